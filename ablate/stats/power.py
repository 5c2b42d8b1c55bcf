"""Power: which differences a number of seeds can detect, and how many seeds a study needs."""

import bisect
import math

from scipy import special, stats

POWER = 0.8
PAIRS_FOR_A_VERDICT = 3


def count_seeds_for_significance(contrasts: int, alpha: float) -> int:
    """The fewest pairs with which an exact sign-flip test can fall below alpha after Holm: 2/2ⁿ ≤ alpha/m."""
    return math.ceil(1 + math.log2(contrasts / alpha))


def compute_detectable_effect(pairs: int, alpha: float, power: float = POWER) -> float:
    """The effect size d_z that a two-sided paired t-test at level alpha detects with that power.

    scipy's inverse of the noncentral t is exact, except that it ignores the opposite tail (below alpha/2).
    statsmodels' solver is not used: for small alpha it returns the end of its bracket without a warning.
    """
    critical = stats.t.ppf(1 - alpha / 2, pairs - 1)
    return float(special.nctdtrinc(pairs - 1, 1 - power, critical)) / math.sqrt(pairs)


def count_seeds_for_equivalence(margin_in_sd: float, alpha: float, power: float = POWER) -> int:
    """The fewest pairs with which two one-sided tests show equivalence if the true difference is zero.

    Each test gets half of the permitted error, 1 - power (Chow, Shao & Wang, 2008, section 3.2).
    """
    miss = (1 - power) / 2

    def enough(pairs: int) -> bool:
        critical = stats.t.ppf(1 - alpha, pairs - 1)
        return bool(margin_in_sd * math.sqrt(pairs) >= special.nctdtrinc(pairs - 1, miss, critical))

    above = PAIRS_FOR_A_VERDICT
    while not enough(above):
        above *= 2
    return bisect.bisect_left(range(above + 1), True, lo=PAIRS_FOR_A_VERDICT, key=enough)


def compute_resolvable_spread(pairs: int, margin: float, alpha: float) -> float:
    """The largest standard deviation of differences at which this many pairs can show equivalence.

    It has the unit of the margin. It is 0 if there are too few pairs for a verdict.
    """
    if pairs < PAIRS_FOR_A_VERDICT:
        return 0.0
    miss = (1 - POWER) / 2
    critical = stats.t.ppf(1 - alpha, pairs - 1)
    return margin * math.sqrt(pairs) / float(special.nctdtrinc(pairs - 1, miss, critical))
