"""Number formatting for reports: percentage points, intervals, p-values, counts, lists."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command line formats numbers before pandas is needed
    import pandas as pd


def format_points(share: float, *, signed: bool = False) -> str:
    """A difference of accuracies in percentage points: `1.25 points`, always with two decimals."""
    return f"{share * 100:{'+' if signed else ''}.2f} points".replace("-", "−")


def format_margin(share: float) -> str:
    """A margin in percentage points, as short as possible: `1 point`, `0.5 points`."""
    size = f"{share * 100:g}"
    return f"{size} point{'' if size == '1' else 's'}"


def format_interval(low: float | None, high: float | None, confidence: float) -> str:
    """`95% interval −0.10 to +1.20`, in percentage points."""
    if low is None or high is None:
        return "no interval from one pair"
    return f"{confidence * 100:g}% interval {low * 100:+.2f} to {high * 100:+.2f}".replace("-", "−")


def format_p(p: float) -> str:
    """`p = 0.012`, or `p < 0.001`."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def format_count(number: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_list(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = names or [""]
    return f"{', '.join(most)} and {last}" if most else last


def spell_keyword(keyword: str) -> str:
    """`learning rate` for `learning_rate`."""
    return keyword.replace("_", " ")


def list_rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """The table's rows as plain Python values, None where a value is missing."""
    return table.astype(object).where(table.notna(), None).to_dict("records")
