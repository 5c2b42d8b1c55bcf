"""The paired t-test of one contrast, its intervals, and the verdict that follows from them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from ablate.records.columns import TABLES
from ablate.stats.intervals import compute_mean_interval
from ablate.stats.power import PAIRS_FOR_A_VERDICT, compute_detectable_effect, count_seeds_for_equivalence
from ablate.stats.rounding import clear_noise
from ablate.stats.rule import Rule
from ablate.stats.verdicts import Verdict

EXACT_SIGN_FLIPS = 2**14
"""If there are at most this many sign patterns, the sign-flip test uses all of them.

If there are more, the test uses a random sample of this many patterns.
"""


def measure_pairs(values: np.ndarray, rule: Rule, family: int, share: float = 1.0) -> dict[str, Any]:
    """Make a row of the `comparisons` table, but without the corrected p-value and the verdict.

    A column is None if there are too few pairs for it. `p_sign_flip` is always None here. The row also has
    `pairs`, the number of pairs. If the values are not all equal, it has `spread`, their standard deviation.

    Args:
        values: the contrast's value for each seed, `(pairs,)`.
        rule: the margin, the significance level alpha, and which direction is better.
        family: the number of tests for which the p-values are corrected.
        share: the share of alpha that this look (interim analysis) spends.
    """
    row: dict[str, Any] = dict.fromkeys(TABLES["comparisons"])
    n = row["pairs"] = len(values)
    if n == 0:
        return row
    row["difference"] = clear_noise(float(values.mean()), values)
    better = values if rule.higher_is_better else -values
    row["prob_better"] = float(np.mean(better > 0) + np.mean(better == 0) / 2)
    if n < 2:
        return row
    listed, alpha = values.tolist(), rule.alpha * share
    for name, confidence in (
        ("ci", 1 - alpha),
        # The probability of a false verdict about the margin must be at most alpha in all tests together. So
        # each test gets an equal part of alpha (Bonferroni).
        ("family_ci", 1 - alpha / family),
        ("equivalence_ci", 1 - 2 * alpha / family),
    ):
        interval = compute_mean_interval(listed, confidence)
        assert interval is not None
        row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    if np.ptp(values) > 0:
        spread = row["spread"] = float(values.std(ddof=1))
        row["p_value"] = float(stats.ttest_1samp(values, 0).pvalue)
        row["effect_size_dz"] = row["difference"] / spread
        row["detectable_difference"] = compute_detectable_effect(n, alpha / family) * spread
        # The level is not multiplied by `share`, because a new study with that many seeds would have one
        # look.
        whole = rule.alpha / family
        if rule.margin is not None:
            row["seeds_needed"] = count_seeds_for_equivalence(rule.margin / spread, whole)
    return row


def flip_signs(values: np.ndarray) -> float | None:
    """Compute the two-sided p-value of the sign-flip permutation test.

    Return None if all values are equal, or if there are fewer than two.
    """
    if len(values) < 2 or np.ptp(values) == 0:
        return None
    kind, most = "samples", EXACT_SIGN_FLIPS
    found = stats.permutation_test((values,), np.mean, permutation_type=kind, n_resamples=most, rng=0)
    return float(found.pvalue)


def choose_verdict(row: Mapping[str, Any], rule: Rule) -> Verdict:
    """Choose the verdict for a contrast if all its runs trained. `row` must contain `p_holm`.

    If the rule has no margin, the verdict says only whether a difference was shown.
    """
    if row["pairs"] < PAIRS_FOR_A_VERDICT:
        return Verdict.NO_VERDICT
    if row["p_value"] is None:
        return Verdict.NOT_TESTED if row["difference"] else Verdict.CANNOT_TELL_APART
    if rule.margin is None:
        return Verdict.DIFFERENT if row["p_holm"] < rule.alpha else Verdict.NO_DIFFERENCE_SHOWN
    if -rule.margin < row["equivalence_ci_low"] and row["equivalence_ci_high"] < rule.margin:
        return Verdict.EQUIVALENT
    if row["p_holm"] < rule.alpha:
        beyond = row["family_ci_low"] > rule.margin or row["family_ci_high"] < -rule.margin
        return Verdict.MATTERS if beyond else Verdict.SIZE_UNCLEAR
    return Verdict.INCONCLUSIVE
