"""From tables of runs to intervals, tests and verdicts. A DataFrame in, a DataFrame out; no torch."""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats
from statsmodels.stats.multitest import multipletests

from ablate.results import frame
from ablate.spec import Decision

POWER = 0.8
PAIRS_FOR_A_VERDICT = 3
EXACT_SIGN_FLIPS = 2**14
"""Up to this many sign patterns the permutation test counts all of them; beyond, as many random ones."""

NO_VERDICT = "no verdict"
UNSTABLE = "unstable"
NOT_TRAINED = "not trained"
CANNOT_TELL_APART = "cannot tell apart"
EQUIVALENT = "practically equivalent"
MATTERS = "matters"
SIZE_UNCLEAR = "detectable, size unclear"
INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float], confidence: float) -> Interval | None:
    """Student's t-interval of the mean; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean, spread = float(np.mean(values)), float(stats.sem(values))
    if np.ptp(values) == 0:  # the standard error of equal values is rounding, not zero
        return Interval(mean=mean, low=mean, high=mean)
    low, high = stats.t.interval(confidence, len(values) - 1, loc=mean, scale=spread)
    return Interval(mean=mean, low=float(low), high=float(high))


def prediction_interval(values: Sequence[float], confidence: float) -> Interval | None:
    """Where one further run should fall: mean ± t·s·sqrt(1 + 1/n) (Hahn & Meeker, 1991, section 4.7)."""
    if len(values) < 2:
        return None
    n, mean = len(values), float(np.mean(values))
    reach = float(stats.t.ppf((1 + confidence) / 2, n - 1) * np.std(values, ddof=1) * math.sqrt(1 + 1 / n))
    return Interval(mean=mean, low=mean - reach, high=mean + reach)


def compare(
    runs: pd.DataFrame, arms: Sequence[str], decision: Decision, *, classes: int, test_images: int
) -> pd.DataFrame:
    """Every arm against the baseline (the first), paired by seed, with a verdict each.

    Args:
        runs: the `runs` table; only its confirm phase is used.
        arms: names in order, the baseline first.
        decision: margin and alpha.
        classes: for chance level.
        test_images: for the standard error of an accuracy near chance.
    """
    confirmed = runs[runs["phase"] == "confirm"]
    baseline = arms[0]
    rows = [_paired(confirmed, arm, baseline, decision) for arm in arms[1:]]
    # Over all contrasts the study declared: one that could not be tested still counts, as p = 1.
    raw = [1.0 if row["p_value"] is None else row["p_value"] for row in rows]
    for row, p_holm in zip(rows, multipletests(raw, decision.alpha, method="holm")[1], strict=True):
        row["p_holm"] = None if row["p_value"] is None else float(p_holm)
    for row in rows:
        _add_power(row, decision, contrasts=len(arms) - 1)
        row["verdict"] = _verdict(row, confirmed, decision, classes, test_images)
    return frame("comparisons", rows)


def summarise(
    runs: pd.DataFrame,
    timing: pd.DataFrame,
    arms: Sequence[str],
    costs: Mapping[str, Mapping[str, Any]],
    decision: Decision,
) -> pd.DataFrame:
    """One row an arm: accuracy with its interval, throughput alone, size, cost, Pareto front."""
    confirmed = runs[runs["phase"] == "confirm"]
    speeds = throughput(timing, arms, 1 - decision.alpha)
    rows = []
    for arm in arms:
        of_arm = confirmed[confirmed["arm"] == arm]
        # No mean over survivors: where a run diverged, the arm has none.
        stable = not (of_arm["status"] == "diverged").any()
        accuracies = of_arm["test_accuracy"].dropna().astype(float).tolist() if stable else []
        interval = mean_interval(accuracies, 1 - decision.alpha)
        rows.append(
            {
                "arm": arm,
                "is_baseline": arm == arms[0],
                "seeds": int((of_arm["status"] == "complete").sum()),
                "test_accuracy_mean": float(np.mean(accuracies)) if accuracies else None,
                "test_accuracy_ci_low": interval.low if interval else None,
                "test_accuracy_ci_high": interval.high if interval else None,
                **speeds.get(arm, {}),
                **costs.get(arm, {}),
            }
        )
    for row in rows:
        row["pareto"] = _on_front(row, rows)
    return frame("arms", rows)


def throughput(timing: pd.DataFrame, arms: Sequence[str], confidence: float) -> dict[str, dict[str, float]]:
    """Examples per second by arm (median of blocks), and its ratio to the baseline's, paired by block.

    The ratio is the geometric mean over blocks with a t-interval on the logarithm; within a block the
    baseline's two figures, first and last, are averaged, which cancels a steady drift. Disturbed
    measurements are left out, and an arm with fewer than three undisturbed pairs gets no ratio.
    """
    clean = timing[~timing["disturbed"].astype(bool)]
    speed = clean.assign(speed=(clean["examples"] / clean["seconds"]).astype(float))
    by_block = speed.groupby(["arm", "block"])["speed"].mean()
    found: dict[str, dict[str, float]] = {}
    for arm in arms:
        if arm not in by_block.index.get_level_values("arm"):
            continue
        found[arm] = {"examples_per_second": float(speed.loc[speed["arm"] == arm, "speed"].median())}
        if arm == arms[0]:
            found[arm]["examples_per_second_ratio"] = 1.0
        elif arms[0] in by_block.index.get_level_values("arm"):
            ratios = (by_block.loc[arm] / by_block.loc[arms[0]]).dropna()
            interval = mean_interval(np.log(ratios.to_numpy()).tolist(), confidence)
            if interval is not None and len(ratios) >= PAIRS_FOR_A_VERDICT:
                found[arm] |= {
                    "examples_per_second_ratio": math.exp(interval.mean),
                    "examples_per_second_ratio_ci_low": math.exp(interval.low),
                    "examples_per_second_ratio_ci_high": math.exp(interval.high),
                }
    return found


def drift(timing: pd.DataFrame) -> float | None:
    """How much faster or slower the baseline was at a block's end than at its start: median ratio - 1."""
    if timing.empty:
        return None
    speed = timing.assign(speed=(timing["examples"] / timing["seconds"]).astype(float))
    ends = speed.groupby("block")["position"].agg(["min", "max"])
    at = speed.set_index(["block", "position"])["speed"]
    ratios = [at.loc[block, last] / at.loc[block, first] for block, first, last in ends.itertuples()]
    return float(np.median(ratios)) - 1


def accuracy_standard_error(accuracy: float, images: int) -> float:
    """How far an accuracy may lie from its long-run value because only so many images were read."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def chance_ceiling(classes: int, images: int) -> float:
    """The accuracy up to which a network may be guessing: chance and three of its standard errors."""
    return 1 / classes + 3 * accuracy_standard_error(1 / classes, images)


def seeds_for_significance(contrasts: int, alpha: float) -> int:
    """The fewest pairs with which an exact sign-flip test can fall below alpha after Holm: 2/2ⁿ ≤ alpha/m."""
    return math.ceil(1 + math.log2(contrasts / alpha))


def detectable_effect(pairs: int, alpha: float, power: float = POWER) -> float:
    """The d_z that a two-sided paired t-test at level alpha finds with that power.

    Solved exactly by scipy's inverse of the noncentral t (the opposite tail, below alpha/2, left out).
    statsmodels' solver was tried: for small alpha it returns the end of its bracket without a word.
    """
    critical = stats.t.ppf(1 - alpha / 2, pairs - 1)
    return float(special.nctdtrinc(pairs - 1, 1 - power, critical)) / math.sqrt(pairs)


def seeds_for_equivalence(margin_in_sd: float, alpha: float, power: float = POWER) -> int:
    """The fewest pairs with which two one-sided tests show equivalence if there is no difference at all.

    Each of the two may miss half of what the pair may miss (Chow, Shao & Wang, 2008, section 3.2).
    """
    miss = (1 - power) / 2

    def enough(pairs: int) -> bool:
        critical = stats.t.ppf(1 - alpha, pairs - 1)
        return bool(margin_in_sd * math.sqrt(pairs) >= special.nctdtrinc(pairs - 1, miss, critical))

    above = PAIRS_FOR_A_VERDICT
    while not enough(above):
        above *= 2
    return bisect.bisect_left(range(above + 1), True, lo=PAIRS_FOR_A_VERDICT, key=enough)


def _paired(confirmed: pd.DataFrame, arm: str, baseline: str, decision: Decision) -> dict[str, Any]:
    """The paired differences of one arm and what they say, before any correction."""
    row: dict[str, Any] = dict.fromkeys(
        (
            "difference",
            "ci_low",
            "ci_high",
            "p_value",
            "p_holm",
            "p_sign_flip",
            "effect_size_dz",
            "prob_better",
        )
    )
    row |= {"arm": arm, "baseline": baseline}
    both = confirmed[confirmed["arm"].isin([arm, baseline])]
    diverged = both[both["status"] == "diverged"]
    row["pairs"] = 0
    if not diverged.empty:
        return row  # an outcome, not a gap: no mean over the survivors
    wide = both[both["status"] == "complete"].pivot_table(index="seed", columns="arm", values="test_accuracy")
    if not {arm, baseline} <= set(wide.columns):
        return row
    differences = (wide[arm] - wide[baseline]).dropna().astype(float).to_numpy()
    # Accuracies are ratios of whole numbers; what is left after nine digits is rounding.
    differences = np.round(differences, 9)
    n = row["pairs"] = len(differences)
    if n == 0:
        return row
    row["difference"] = float(differences.mean())
    row["prob_better"] = float(np.mean(differences > 0) + np.mean(differences == 0) / 2)
    if n < 2:
        return row
    interval = mean_interval(differences.tolist(), 1 - decision.alpha)
    equivalence = mean_interval(differences.tolist(), 1 - 2 * decision.alpha)
    assert interval is not None
    row |= {"ci_low": interval.low, "ci_high": interval.high, "equivalence": equivalence}
    row["sd"] = float(differences.std(ddof=1)) if np.ptp(differences) > 0 else 0.0
    if row["sd"] > 0:
        row["p_value"] = float(stats.ttest_1samp(differences, 0).pvalue)
        row["p_sign_flip"] = float(
            stats.permutation_test(
                (differences,), np.mean, permutation_type="samples", n_resamples=EXACT_SIGN_FLIPS, rng=0
            ).pvalue
        )
        row["effect_size_dz"] = row["difference"] / row["sd"]
    return row


def _add_power(row: dict[str, Any], decision: Decision, contrasts: int) -> None:
    """What these seeds could have found, and how many would be needed to show equivalence."""
    row["detectable_difference"] = row["seeds_needed"] = None
    if row["p_value"] is None:
        return
    row["detectable_difference"] = detectable_effect(row["pairs"], decision.alpha / contrasts) * row["sd"]
    row["seeds_needed"] = seeds_for_equivalence(decision.margin / row["sd"], decision.alpha)


def _verdict(
    row: Mapping[str, Any], confirmed: pd.DataFrame, decision: Decision, classes: int, test_images: int
) -> str:
    """The first verdict of the design that applies."""
    both = confirmed[confirmed["arm"].isin([row["arm"], row["baseline"]])]
    if (both["status"] == "diverged").any():
        return UNSTABLE
    if row["pairs"] < PAIRS_FOR_A_VERDICT:
        return NO_VERDICT
    ceiling = chance_ceiling(classes, test_images)
    medians = both[both["status"] == "complete"].groupby("arm")["test_accuracy"].median()
    if (medians <= ceiling).any():
        return NOT_TRAINED
    if row["sd"] == 0:
        return CANNOT_TELL_APART
    inside = row["equivalence"]
    if -decision.margin < inside.low and inside.high < decision.margin:
        return EQUIVALENT
    if row["p_holm"] < decision.alpha:
        beyond = row["ci_low"] > decision.margin or row["ci_high"] < -decision.margin
        return MATTERS if beyond else SIZE_UNCLEAR
    return INCONCLUSIVE


def _on_front(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> bool | None:
    """Whether no other arm is at least as accurate and as fast, and better in one of the two."""
    objectives = ("test_accuracy_mean", "examples_per_second")
    if any(row.get(name) is None for name in objectives):
        return None
    mine = [row[name] for name in objectives]
    for other in rows:
        theirs = [other.get(name) for name in objectives]
        if None not in theirs and theirs != mine and all(t >= m for t, m in zip(theirs, mine, strict=True)):
            return False
    return True
