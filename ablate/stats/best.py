"""Find the best arm (variant of the network), and the arms that may be just as good."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from ablate.metrics import METRICS
from ablate.stats.holm import correct_by_holm
from ablate.stats.power import PAIRS_FOR_A_VERDICT
from ablate.stats.rounding import DIGITS
from ablate.study.effort import Decision


@dataclass(frozen=True, kw_only=True)
class Best:
    """The arm with the best mean, and the arms whose difference from this arm may be due to chance."""

    arm: str
    level: frozenset[str]
    """The other arms for which the tests show no difference from the best arm."""
    tests: int
    """The number of tests that Holm's correction covers: one for each pair of arms."""


def find_best(values: pd.DataFrame, arms: Sequence[str], decision: Decision) -> Best | None:
    """Find the arm with the best mean, and the arms that do not differ significantly from this arm.

    Each pair of arms gets a paired t-test. Holm's correction covers all pairs, because the results themselves
    choose which arm is the best. If the correction covered only the pairs with the best arm, it would call
    equal arms different too often. A pair is not tested if it has too few seeds, or if its difference is the
    same in all seeds. A pair that is not tested counts as not different.

    Args:
        values: each run's value of the metric that decides the verdicts. Rows are seeds, columns are arms. A
            missing run has NaN.
        arms: the arms that have a mean.
        decision: the metric, and the significance level alpha.

    Returns:
        None if there are fewer than two arms, or too few seeds for a verdict.
    """
    by_seed = values.reindex(columns=list(arms)).to_numpy(float).T
    if len(arms) < 2 or (np.isnan(by_seed).sum(axis=1) > by_seed.shape[1] - PAIRS_FOR_A_VERDICT).any():
        return None
    means = np.nanmean(by_seed, axis=1)
    best = int(means.argmax() if METRICS[decision.metric].higher_is_better else means.argmin())
    pairs = list(combinations(range(len(arms)), 2))
    first, second = np.array(pairs).T
    p_values = _test_pairs(np.round(by_seed[first] - by_seed[second], DIGITS))
    corrected = correct_by_holm(p_values.tolist())
    level = {
        arms[i + j - best]
        for (i, j), p in zip(pairs, corrected, strict=True)
        if best in (i, j) and p >= decision.alpha
    }
    return Best(arm=arms[best], level=frozenset(level), tests=len(pairs))


def _test_pairs(differences: np.ndarray) -> np.ndarray:
    """Test whether the mean of each row of differences is zero, and return the p-values, `(pairs,)`.

    `differences` has the shape `(pairs, seeds)`. A row that cannot be tested gets p = 1.
    """
    seeds = (~np.isnan(differences)).sum(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy warns of rows without any value
        spans = np.nanmax(differences, axis=1) - np.nanmin(differences, axis=1)
    tested = (seeds >= PAIRS_FOR_A_VERDICT) & (spans > 0)
    p_values = np.ones(len(differences))
    if tested.any():
        p_values[tested] = stats.ttest_1samp(differences[tested], 0, axis=1, nan_policy="omit").pvalue
    return p_values
