"""Contrasts: what a study tests. A contrast is a difference between arms or an interaction of factors.

An arm is one variant of the network or of its training. A contrast has a weight for each of its arms.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `plan` does not need pandas, and to import it takes a quarter of a second
    import pandas as pd

BOTH_ALONE = "both alone"
"""In tables, an interaction has this text as its reference.

An interaction compares the effect of two values together with the sum of their effects alone.
"""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A weighted sum of several arms' values of a metric. The test asks whether the sum differs from zero."""

    name: str
    reference: str
    weights: Mapping[str, float]


def make_contrasts(pairs: Iterable[Sequence[str]]) -> list[Contrast]:
    """Make a contrast for each pair of arms: the first arm minus the second."""
    return [Contrast(name=arm, reference=other, weights={arm: 1.0, other: -1.0}) for arm, other in pairs]


def tabulate_settings(confirmed: "pd.DataFrame", factors: Iterable[str]) -> "pd.DataFrame":
    """Tabulate the confirmed arms' factor values by arm (rows) and factor (columns).

    If an arm has no value of a factor, the cell has the text `null`.
    """
    return confirmed.drop_duplicates("arm").set_index("arm")[list(factors)].fillna("null")


def list_interactions(settings: "pd.DataFrame") -> list[Contrast]:
    """List the interactions of a factorial design: one contrast for each pair of values of two factors.

    Values that the baseline has are left out. The contrast is the effect of both values together minus the
    sum of their separate effects. The contrast needs four arms: one with both values, two with one of the
    values, and one with neither. The contrast is averaged over all settings of the other factors for which
    these arms exist.

    Args:
        settings: one row for each arm, the baseline first, and one column for each factor.
    """
    settings = settings.fillna("null")
    cells = {tuple(row): str(arm) for arm, row in zip(settings.index, settings.to_numpy(), strict=True)}
    baseline = settings.iloc[0]
    found = []
    for one, other in combinations(range(settings.shape[1]), 2):
        for a, b in product(*(settings.iloc[:, i].drop_duplicates() for i in (one, other))):
            if a == baseline.iloc[one] or b == baseline.iloc[other]:
                continue
            squares = []
            for cell in cells:
                if (cell[one], cell[other]) != (a, b):
                    continue
                corners = {
                    _replace(cell, {one: x, other: y}): sign
                    for (x, y), sign in {
                        (a, b): 1.0,
                        (a, baseline.iloc[other]): -1.0,
                        (baseline.iloc[one], b): -1.0,
                        (baseline.iloc[one], baseline.iloc[other]): 1.0,
                    }.items()
                }
                if corners.keys() <= cells.keys():
                    squares.append(corners)
            if squares:
                weights = {
                    cells[corner]: sign / len(squares)
                    for corners in squares
                    for corner, sign in corners.items()
                }
                name = f"{settings.columns[one]}={a} × {settings.columns[other]}={b}"
                found.append(Contrast(name=name, reference=BOTH_ALONE, weights=weights))
    return found


def _replace(cell: tuple[str, ...], values: Mapping[int, str]) -> tuple[str, ...]:
    """Copy a cell (a tuple with one value for each factor), and replace the values at some positions.

    `values` maps each of these positions to its new value.
    """
    return tuple(values.get(i, value) for i, value in enumerate(cell))
