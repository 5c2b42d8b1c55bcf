"""Compute power: which differences a study can detect with its seeds, and how many seeds a study needs."""

import bisect
import math

from scipy import special  # scipy.stats would compute the same, but its import takes a third of a second

POWER = 0.8
"""The probability with which a study should detect a difference, or show equivalence."""
PAIRS_FOR_A_VERDICT = 3
"""The minimum number of pairs of runs for a verdict."""
MOST_SEEDS = 10**9
"""The highest number of seeds that a function returns. Beyond this number, scipy is not exact."""


def count_seeds_for_significance(contrasts: int, alpha: float) -> int:
    """Compute the smallest number n of pairs with which a sign-flip test can be significant.

    n must satisfy 2/2ⁿ ≤ alpha/contrasts. The division by the number of contrasts is Holm's correction of the
    smallest p-value.
    """
    return math.ceil(1 + math.log2(contrasts / alpha))


def compute_noncentrality(degrees: float, alpha: float, power: float = POWER) -> float:
    """Compute the true effect, in standard errors, that a two-sided t-test detects with the given power.

    scipy inverts the noncentral t distribution exactly. The result leaves out the probability of a
    significant effect with the wrong sign, which is below alpha/2. The solver of statsmodels is not used. For
    small alpha, it returns the end of its search interval without a warning.

    Args:
        degrees: the degrees of freedom of the test.
        alpha: the level of the test.
        power: the probability with which the test detects the effect.
    """
    critical = special.stdtrit(degrees, 1 - alpha / 2)
    return float(special.nctdtrinc(degrees, 1 - power, critical))


def compute_detectable_effect(pairs: int, alpha: float, power: float = POWER) -> float:
    """Compute the effect size d_z that a two-sided paired t-test at level alpha detects with the given power.

    d_z is the mean of the differences divided by their standard deviation. See `compute_noncentrality`.
    """
    return compute_noncentrality(pairs - 1, alpha, power) / math.sqrt(pairs)


def compute_detectable_difference(
    pairs: int, spread: float, alpha: float, *, degrees_per_pair: float = 1.0
) -> float:
    """Compute the smallest true difference that a two-sided t-test detects with the power `POWER`.

    The result has the same unit as `spread`.

    Args:
        pairs: the number of pairs. If runs are not paired, `pairs` is the number of runs of each arm.
        spread: the standard deviation of the differences. If runs are not paired, `spread` is the square root
            of the sum of both arms' variances.
        alpha: the level of the test.
        degrees_per_pair: the degrees of freedom that each further pair adds. It is 1 if runs are paired.
    """
    degrees = degrees_per_pair * (pairs - 1)
    return compute_noncentrality(degrees, alpha) * spread / math.sqrt(pairs)


def count_seeds_for_equivalence(
    margin_in_sd: float, alpha: float, power: float = POWER, *, degrees_per_pair: float = 1.0
) -> int:
    """Compute the number of pairs with which two one-sided tests show equivalence with the given power.

    The true difference is taken to be zero. Each of the two tests may then fail with the probability
    (1 - power)/2 (Chow, Shao & Wang, 2008, section 3.2). The result is at most `MOST_SEEDS`.

    Args:
        margin_in_sd: the margin divided by the standard deviation of the differences.
        alpha: the level of each of the two tests.
        power: the probability that both tests succeed.
        degrees_per_pair: the degrees of freedom that each further pair adds. It is 1 if runs are paired.
    """
    return _count_pairs(margin_in_sd, alpha, miss=(1 - power) / 2, degrees_per_pair=degrees_per_pair)


def count_seeds_for_bound(distance_in_sd: float, alpha: float, power: float = POWER) -> int:
    """Compute how many pairs a one-sided t-test needs to show that a mean lies above a bound.

    The result is at most `MOST_SEEDS`. `distance_in_sd` is the distance between the true mean and the bound,
    divided by the standard deviation of the pairs' differences.
    """
    return _count_pairs(distance_in_sd, alpha, miss=1 - power)


def _count_pairs(distance_in_sd: float, alpha: float, *, miss: float, degrees_per_pair: float = 1.0) -> int:
    """Compute how many pairs a one-sided t-test needs to fail with a probability of at most `miss`."""

    def enough(pairs: int) -> bool:
        degrees = degrees_per_pair * (pairs - 1)
        critical = special.stdtrit(degrees, 1 - alpha)
        return bool(distance_in_sd * math.sqrt(pairs) >= special.nctdtrinc(degrees, miss, critical))

    above = PAIRS_FOR_A_VERDICT
    while above < MOST_SEEDS and not enough(above):
        above *= 2
    above = min(above, MOST_SEEDS)
    return bisect.bisect_left(range(above + 1), True, lo=PAIRS_FOR_A_VERDICT, hi=above, key=enough)


def compute_resolvable_spread(pairs: int, margin: float, alpha: float) -> float:
    """Compute the largest standard deviation of differences with which this many pairs can show equivalence.

    The power is `POWER`, and the true difference is taken to be zero. The result has the unit of the margin.
    If there are too few pairs for a verdict, the result is 0.
    """
    if pairs < PAIRS_FOR_A_VERDICT:
        return 0.0
    miss = (1 - POWER) / 2
    critical = special.stdtrit(pairs - 1, 1 - alpha)
    return margin * math.sqrt(pairs) / float(special.nctdtrinc(pairs - 1, miss, critical))
