"""How figures are said in words, the same everywhere."""

from collections.abc import Sequence
from typing import Any

import pandas as pd


def points(share: float, *, signed: bool = False) -> str:
    """A difference of accuracies in percentage points: `1.25 points`, always with the same digits."""
    return f"{share * 100:{'+' if signed else ''}.2f} points".replace("-", "−")


def interval(low: float | None, high: float | None, confidence: float) -> str:
    """`95% interval −0.10 to +1.20`, in percentage points."""
    if low is None or high is None:
        return "no interval from one pair"
    return f"{confidence * 100:g}% interval {low * 100:+.2f} to {high * 100:+.2f}".replace("-", "−")


def p_in_words(p: float) -> str:
    """`p = 0.012`, or `p < 0.001`."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def counted(number: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def spoken(keyword: str) -> str:
    """`learning rate` for `learning_rate`."""
    return keyword.replace("_", " ")


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = names or [""]
    return f"{', '.join(most)} and {last}" if most else last


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain Python values, None where nothing is known."""
    return [
        {str(column): None if pd.isna(value) else value for column, value in row.items()}
        for row in table.astype(object).to_dict("records")
    ]
