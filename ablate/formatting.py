"""Format numbers and lists for reports: percentage points, intervals, p-values, counts, names."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # imports pandas only for type checkers, because its import is slow
    import pandas as pd

Unit = Literal["points", "nats", "number"]
"""The unit of a difference: percentage points for shares, nats for losses, or a number without a unit."""


def format_points(share: float, *, signed: bool = False) -> str:
    """Format a difference of accuracies in percentage points with two decimals: `1.25 points`."""
    return f"{share * 100:{'+' if signed else ''}.2f} points".replace("-", "−")


def format_difference(value: float, unit: Unit, *, signed: bool = False) -> str:
    """Format a difference in its unit: `1.25 points`, `0.0213 nats`, `0.0213`."""
    noun = {"points": " points", "nats": " nats", "number": ""}[unit]
    return f"{scale_difference(value, unit, signed=signed)}{noun}"


def scale_difference(value: float, unit: Unit, *, signed: bool = False) -> str:
    """Format a difference without the name of its unit: 0.0125 becomes `1.25` if the unit is points."""
    sign = "+" if signed else ""
    number = f"{value * 100:{sign}.2f}" if unit == "points" else f"{value:{sign}.4f}"
    return number.replace("-", "−")


def format_margin(size: float, unit: Unit = "points") -> str:
    """Format a margin with as few digits as possible: `1 point`, `0.5 points`, `0.02 nats`."""
    number = f"{size * 100:g}" if unit == "points" else f"{size:g}"
    return number if unit == "number" else f"{number} {unit[:-1]}{'' if number == '1' else 's'}"


def format_interval(low: float | None, high: float | None, confidence: float, unit: Unit = "points") -> str:
    """Format an interval, by default in percentage points: `95% interval −0.10 to +1.20`."""
    if low is None or high is None:
        return "no interval from one pair"
    ends = [scale_difference(end, unit, signed=True) for end in (low, high)]
    return f"{confidence * 100:g}% interval {ends[0]} to {ends[1]}"


def format_p(p: float) -> str:
    """Format a p-value: `p = 0.012`, or `p < 0.001`."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def format_count(number: int, noun: str) -> str:
    """Format a number and its noun: `1 seed`, `3 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def keep_first(told: Sequence[str], most: int) -> list[str]:
    """Keep at most the first `most` texts. If there are more, say how many: `and 3 more`."""
    more = [f"and {len(told) - most} more"] if len(told) > most else []
    return [*told[:most], *more]


def format_list(names: Sequence[str]) -> str:
    """Join names for a sentence: `a`, `a and b`, `a, b and c`."""
    *most, last = names or [""]
    return f"{', '.join(most)} and {last}" if most else last


def spell_keyword(keyword: str) -> str:
    """Replace the underscores of a keyword with spaces: `learning_rate` becomes `learning rate`."""
    return keyword.replace("_", " ")


def list_rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """List the table's rows as dictionaries of plain Python values. A missing value becomes None."""
    rows = table.to_dict("records")
    for column in table.columns:
        for place in table[column].isna().to_numpy().nonzero()[0]:
            rows[place][column] = None
    return rows
