"""Comparisons: each contrast's mean over seeds, its intervals, its test and its verdict."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ablate.records.columns import TABLES
from ablate.records.run_records import Phase, Status
from ablate.records.tables import make_frame
from ablate.stats.contrasts import Contrast
from ablate.stats.intervals import compute_mean_interval
from ablate.stats.power import PAIRS_FOR_A_VERDICT, compute_detectable_effect, count_seeds_for_equivalence
from ablate.stats.verdicts import Verdict
from ablate.study.effort import Decision

EXACT_SIGN_FLIPS = 2**14
"""The permutation test uses all sign patterns if there are at most this many, else a sample of this many."""


def compare(
    runs: pd.DataFrame, contrasts: Sequence[Contrast], decision: Decision, *, ceiling: float
) -> pd.DataFrame:
    """Make the `comparisons` table: for each contrast, a test on runs paired by seed, and a verdict.

    Holm's correction covers all contrasts.

    Args:
        runs: the `runs` table; only its confirm phase is used.
        contrasts: all contrasts that the study declares.
        decision: the margin and alpha.
        ceiling: the highest accuracy that guessing can reach.
    """
    confirmed = runs[runs["phase"] == Phase.CONFIRM]
    done = confirmed[confirmed["status"] == Status.COMPLETE]
    accuracies = done.pivot_table(index="seed", columns="arm", values="test_accuracy")
    rows = []
    for contrast in contrasts:
        involved = confirmed[confirmed["arm"].isin(list(contrast.weights))]
        broken = _find_untrained(involved, ceiling)
        # If some runs did not train, no mean is computed: a mean of the other runs alone would mislead.
        values = _compute_by_seed(accuracies, contrast) if broken is None else np.array([])
        rows.append({**_test_pairs(values, decision, len(contrasts)), "verdict": broken})
        rows[-1] |= {"arm": contrast.name, "baseline": contrast.reference}
    # Holm's correction counts every declared contrast. A contrast that could not be tested has p = 1.
    raw = [1.0 if row["p_value"] is None else row["p_value"] for row in rows]
    corrected = multipletests(raw, decision.alpha, method="holm")[1] if raw else []
    for row, p_holm in zip(rows, corrected, strict=True):
        row["p_holm"] = None if row["p_value"] is None else float(p_holm)
        row["verdict"] = row["verdict"] or _choose_verdict(row, decision)
    return make_frame("comparisons", rows)


def trace_path(comparisons: pd.DataFrame, arms: pd.DataFrame, full: str) -> pd.DataFrame:
    """Make the `path` table: one row for each step from the baseline to the full arm.

    A row has the step's difference and the accuracy after the step. The last step adds the last factor. Its
    difference comes from the contrast of the full arm without this factor and the full arm, with the sign
    reversed.
    """
    steps = comparisons[(comparisons["baseline"] != full) & (comparisons["arm"] != full)]
    last = comparisons[(comparisons["baseline"] == full) & (comparisons["arm"] == steps["arm"].iloc[-1])]
    turned = last.assign(
        arm=full,
        baseline=last["arm"],
        difference=-last["difference"],
        ci_low=-last["ci_high"],
        ci_high=-last["ci_low"],
    )
    way = pd.concat([steps, turned]).merge(arms[["arm", "test_accuracy_mean"]], on="arm", how="left")
    return way[list(TABLES["path"])].reset_index(drop=True)


def _find_untrained(involved: pd.DataFrame, ceiling: float) -> str | None:
    """Return the verdict if runs of these arms did not train. None if the means can be compared."""
    if involved["seed"].nunique() < PAIRS_FOR_A_VERDICT:
        return Verdict.NO_VERDICT if (involved["status"] == Status.DIVERGED).any() else None
    if (involved["status"] == Status.DIVERGED).any():
        return Verdict.UNSTABLE
    done = involved[involved["status"] == Status.COMPLETE]
    at_chance = done["test_accuracy"] <= ceiling
    if (done.groupby("arm")["test_accuracy"].median() <= ceiling).any():
        return Verdict.NOT_TRAINED
    # A run that stayed at chance did not train, and counts like a diverged run.
    return Verdict.UNSTABLE if at_chance.any() else None


def _compute_by_seed(accuracies: pd.DataFrame, contrast: Contrast) -> np.ndarray[Any, Any]:
    """Compute the contrast's value for every seed with a complete run of all its arms, `(pairs,)`.

    `accuracies` has a row for each seed and a column for each arm.
    """
    if not set(contrast.weights) <= set(accuracies.columns):
        return np.array([])
    values = pd.concat([weight * accuracies[arm] for arm, weight in contrast.weights.items()], axis=1)
    # Rounding to nine digits removes floating-point errors, so that equal differences are exactly equal.
    return np.round(values.sum(axis=1, skipna=False).dropna().astype(float).to_numpy(), 9)


def _test_pairs(values: np.ndarray[Any, Any], decision: Decision, contrasts: int) -> dict[str, Any]:
    """Make a row of the table before Holm's correction. A column that needs more pairs is None."""
    row: dict[str, Any] = dict.fromkeys(TABLES["comparisons"])
    n = row["pairs"] = len(values)
    if n == 0:
        return row
    row["difference"] = float(values.mean())
    row["prob_better"] = float(np.mean(values > 0) + np.mean(values == 0) / 2)
    if n < 2:
        return row
    listed, alpha = values.tolist(), decision.alpha
    for name, confidence in (
        ("ci", 1 - alpha),
        # A verdict about the margin must hold for all contrasts at once (Bonferroni).
        ("family_ci", 1 - alpha / contrasts),
        ("equivalence_ci", 1 - 2 * alpha / contrasts),
    ):
        interval = compute_mean_interval(listed, confidence)
        assert interval is not None
        row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    if np.ptp(values) > 0:
        spread = float(values.std(ddof=1))
        row["p_value"] = float(stats.ttest_1samp(values, 0).pvalue)
        row["p_sign_flip"] = float(
            stats.permutation_test(
                (values,), np.mean, permutation_type="samples", n_resamples=EXACT_SIGN_FLIPS, rng=0
            ).pvalue
        )
        row["effect_size_dz"] = row["difference"] / spread
        row["detectable_difference"] = compute_detectable_effect(n, alpha / contrasts) * spread
        row["seeds_needed"] = count_seeds_for_equivalence(decision.margin / spread, alpha / contrasts)
    return row


def _choose_verdict(row: Mapping[str, Any], decision: Decision) -> str:
    """Choose the first verdict that applies. All arms of the contrast have trained."""
    if row["pairs"] < PAIRS_FOR_A_VERDICT:
        return Verdict.NO_VERDICT
    if row["p_value"] is None:
        return Verdict.CANNOT_TELL_APART
    if -decision.margin < row["equivalence_ci_low"] and row["equivalence_ci_high"] < decision.margin:
        return Verdict.EQUIVALENT
    if row["p_holm"] < decision.alpha:
        beyond = row["family_ci_low"] > decision.margin or row["family_ci_high"] < -decision.margin
        return Verdict.MATTERS if beyond else Verdict.SIZE_UNCLEAR
    return Verdict.INCONCLUSIVE
