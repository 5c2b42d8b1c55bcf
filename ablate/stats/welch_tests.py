"""Welch's t-test of two arms (variants of the network) whose runs share no seeds.

The results have the same columns and verdicts as the paired test.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ablate.records.columns import TABLES
from ablate.stats.power import compute_noncentrality, count_seeds_for_equivalence
from ablate.stats.rounding import clear_noise
from ablate.stats.rule import Rule


@dataclass(frozen=True, kw_only=True)
class GroupError:
    """The standard error of a difference between two groups' means, and its degrees of freedom."""

    standard_error: float
    degrees: float
    """Welch-Satterthwaite degrees of freedom."""
    spread: float
    """The standard deviation of the difference between a run of one group and a run of the other group.

    This standard deviation is the square root of the sum of both groups' variances.
    """
    degrees_per_run: float
    """How many degrees of freedom one more run in each group adds, if both groups have equally many runs."""

    @classmethod
    def compute(cls, one: np.ndarray, other: np.ndarray) -> "GroupError":
        """Compute the standard error from two groups of values.

        Each group needs at least two values. In at least one group, the values must not all be equal.
        """
        spreads = [float(values.var(ddof=1)) for values in (one, other)]
        shares = np.array(spreads) / max(spreads)  # scaled, because squares of tiny variances become zero
        parts = shares / np.array([len(one), len(other)])
        degrees = parts.sum() ** 2 / (parts**2 / np.array([len(one) - 1, len(other) - 1])).sum()
        return cls(
            standard_error=math.sqrt(spreads[0] / len(one) + spreads[1] / len(other)),
            degrees=float(degrees),
            spread=math.sqrt(sum(spreads)),
            degrees_per_run=float(shares.sum() ** 2 / (shares**2).sum()),
        )


def measure_groups(
    arm: np.ndarray, baseline: np.ndarray, rule: Rule, family: int, share: float = 1.0
) -> dict[str, Any]:
    """Make a row of the `comparisons` table, but without the corrected p-value and the verdict.

    A column is None if there are too few runs for it. `effect_size_dz` and `p_sign_flip` are always None,
    because they need pairs. `pairs` is the number of runs of the smaller group. A verdict needs as many runs
    of each arm as a paired comparison needs pairs. If the values are not all equal, the row also has `spread`
    and `degrees_per_run` of `GroupError`.

    Args:
        arm: the metric of the arm's runs, `(runs,)`.
        baseline: the metric of the runs of the arm that it is compared with, `(runs,)`.
        rule: the margin, the significance level alpha, and which direction is better.
        family: the number of tests for which the p-values are corrected.
        share: the share of alpha that this look (interim analysis) spends.
    """
    row: dict[str, Any] = dict.fromkeys(TABLES["comparisons"])
    n = row["pairs"] = min(len(arm), len(baseline))
    if n == 0:
        return row
    difference = float(arm.mean() - baseline.mean())
    row["difference"] = clear_noise(difference, np.concatenate([arm, baseline]))
    better, worse = (arm, baseline) if rule.higher_is_better else (-arm, -baseline)
    row["prob_better"] = compute_prob_better(better, worse)
    if n < 2:
        return row
    alpha = rule.alpha * share
    levels = {"ci": 1 - alpha, "family_ci": 1 - alpha / family, "equivalence_ci": 1 - 2 * alpha / family}
    if np.ptp(arm) == 0 and np.ptp(baseline) == 0:
        ends = (f"{name}_{end}" for name in levels for end in ("low", "high"))
        return row | dict.fromkeys(ends, row["difference"])
    with warnings.catch_warnings():  # scipy warns about a group whose values are all equal
        warnings.filterwarnings("ignore", message="Precision loss")
        test = stats.ttest_ind(arm, baseline, equal_var=False)
    row["p_value"] = float(test.pvalue)
    for name, confidence in levels.items():
        interval = test.confidence_interval(confidence)
        row |= {f"{name}_low": float(interval.low), f"{name}_high": float(interval.high)}
    error = GroupError.compute(arm, baseline)
    row |= {"spread": error.spread, "degrees_per_run": error.degrees_per_run}
    row["detectable_difference"] = compute_noncentrality(error.degrees, alpha / family) * error.standard_error
    if rule.margin is not None:
        row["seeds_needed"] = count_seeds_for_equivalence(
            rule.margin / error.spread, rule.alpha / family, degrees_per_pair=error.degrees_per_run
        )
    return row


def compute_prob_better(arm: np.ndarray, baseline: np.ndarray) -> float:
    """Compute the share of all pairs of runs in which the arm's value is higher. A tie counts half."""
    ordered = np.sort(baseline)
    below = np.searchsorted(ordered, arm, "left") + np.searchsorted(ordered, arm, "right")
    return float(below.mean() / 2 / len(baseline))
