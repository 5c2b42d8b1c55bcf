"""Number formatting for reports: percentage points, intervals, p-values, counts, lists."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # imports pandas only for type checkers, because its import is slow
    import pandas as pd


def format_points(share: float, *, signed: bool = False) -> str:
    """Format a difference of accuracies in percentage points with two decimals: `1.25 points`."""
    return f"{share * 100:{'+' if signed else ''}.2f} points".replace("-", "−")


def format_margin(share: float) -> str:
    """Format a margin in percentage points with as few digits as possible: `1 point`, `0.5 points`."""
    size = f"{share * 100:g}"
    return f"{size} point{'' if size == '1' else 's'}"


def format_interval(low: float | None, high: float | None, confidence: float) -> str:
    """Format an interval in percentage points: `95% interval −0.10 to +1.20`."""
    if low is None or high is None:
        return "no interval from one pair"
    return f"{confidence * 100:g}% interval {low * 100:+.2f} to {high * 100:+.2f}".replace("-", "−")


def format_p(p: float) -> str:
    """Format a p-value: `p = 0.012`, or `p < 0.001`."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def format_count(number: int, noun: str) -> str:
    """Format a number and its noun: `1 seed`, `3 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_list(names: Sequence[str]) -> str:
    """Join names for a sentence: `a`, `a and b`, `a, b and c`."""
    *most, last = names or [""]
    return f"{', '.join(most)} and {last}" if most else last


def spell_keyword(keyword: str) -> str:
    """Replace the underscores of a keyword by blanks: `learning_rate` becomes `learning rate`."""
    return keyword.replace("_", " ")


def list_rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """List the table's rows as dictionaries of plain Python values. A missing value becomes None."""
    rows = table.to_dict("records")
    for column in table.columns:
        for row, is_missing in zip(rows, table[column].isna(), strict=True):
            if is_missing:
                row[column] = None
    return rows
