"""Plan looks (interim analyses): after how many seeds a study tests its comparisons.

Alpha is the accepted probability of a false claim. Each look spends a share of alpha. A study with a fixed
number of seeds has one look, which spends all of alpha. A study with several looks is a group-sequential
design with alpha spending (Lan & DeMets, 1983). Each look tests at level alpha × its share, and the shares
add up to 1. So the probability of any false claim at any look is at most alpha (Bonferroni). This limit is
true even if the looks depend on each other. It is true for any number of seeds, because the t-test of each
look is exact. Libraries compute other limits for the tests, which assume normal variables and are wrong for
few seeds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:  # pydantic takes a quarter of a second to import
    from ablate.study.seed_looks import SeedLooks


@dataclass(frozen=True, kw_only=True)
class Look:
    """One interim analysis of the results."""

    seeds: int
    """The number of seeds that each arm has at this look."""
    share: float
    """The share of alpha that this look spends."""


def plan_looks(seeds: "int | SeedLooks", alpha: float) -> tuple[Look, ...]:
    """Plan the looks of a study, which has the significance level `alpha`.

    A study with a fixed number of seeds has one look.
    """
    if isinstance(seeds, int):
        return (Look(seeds=seeds, share=1.0),)
    counts = seeds.list_looks()
    spent = SPENDING[seeds.spending](np.array(counts) / counts[-1], alpha)
    return tuple(
        Look(seeds=count, share=float(share))
        for count, share in zip(counts, np.diff(spent, prepend=0.0), strict=True)
    )


def _spend_like_obrien_fleming(fraction: np.ndarray, alpha: float) -> np.ndarray:
    """Compute the share of alpha that is spent after a fraction t of the seeds: (2 − 2Φ(z/√t))/alpha.

    Φ is the normal distribution function, and z is its quantile for 1 − alpha/2. Early looks spend very
    little of alpha (Lan & DeMets, 1983).
    """
    return np.asarray(2 * stats.norm.sf(stats.norm.isf(alpha / 2) / np.sqrt(fraction)) / alpha)


SPENDING: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "linear": lambda fraction, _: fraction,
    "obrien_fleming": _spend_like_obrien_fleming,
}
"""Maps the name of a spending rule to its function.

The function has two arguments: a number of seeds, as a fraction of the largest number, and alpha. The
function returns the share of alpha that all looks up to this number of seeds spend together.
"""
