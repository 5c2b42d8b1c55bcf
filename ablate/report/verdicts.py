"""Sentences that explain the verdict on one comparison, with its interval and its p-value."""

from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from ablate.formatting import (
    format_count,
    format_difference,
    format_interval,
    format_list,
    format_margin,
    format_p,
)
from ablate.records.run_records import CRASHED, Status
from ablate.report.evidence import Evidence
from ablate.report.new_images import explain_new_images
from ablate.report.stability import explain_stability, state_difference
from ablate.report.stopping import explain_stop
from ablate.stats import power
from ablate.stats.contrasts import BOTH_ALONE
from ablate.stats.verdicts import NO_SPREAD, Verdict


def explain_verdict(row: dict[str, Any], evidence: Evidence) -> str:
    """Explain why a row of the comparisons table has its verdict, in sentences with numbers."""
    involved = _list_involved(row, evidence)
    seeds = evidence.count_seeds(row)
    end = evidence.study.first_seed + seeds
    both = {
        arm: [run for run in evidence.confirmed_by_arm.get(arm, []) if run["seed"] < end] for arm in involved
    }
    runs = [run for of_arm in both.values() for run in of_arm]
    verdict = row["verdict"]
    if verdict == Verdict.UNSTABLE:
        told = f"{_count_failures(both, evidence)} {explain_stability(row, evidence)}"
    elif verdict == Verdict.NOT_TRAINED:
        told = f"{_explain_not_trained(both, evidence)} {explain_stability(row, evidence)}"
    elif row["difference"] is None:
        told = f"No seed has a completed run of {'both' if len(involved) == 2 else 'all'} arms."
    else:
        complete = Counter(run["seed"] for run in runs if run["status"] == Status.COMPLETE)
        pairs = sum(count == len(involved) for count in complete.values())
        told = _explain_difference(row, pairs, evidence)
    crashed = sum(run["status"] in CRASHED for run in runs)
    lost = f" {crashed} of {len(runs)} runs crashed; crashed runs are left out." if crashed else ""
    stopped = explain_stop(row, evidence)
    return f"{told}{lost}{' ' if stopped else ''}{stopped}{explain_new_images(row, evidence)}"


def _explain_difference(row: dict[str, Any], pairs: int, evidence: Evidence) -> str:
    """Explain a verdict that rests on the mean difference over `pairs` pairs of runs."""
    decision, verdict, family = evidence.study.decision, row["verdict"], evidence.family
    unit = evidence.metric.unit
    measured = state_difference(row, evidence)
    if not evidence.decides_by_accuracy:
        measured = measured[0].upper() + measured[1:]
    if verdict == Verdict.NO_VERDICT:
        return (
            f"{measured} in {format_count(pairs, 'pair')} of runs. A verdict needs "
            f"{power.PAIRS_FOR_A_VERDICT} pairs."
        )
    if verdict in NO_SPREAD:
        return (
            f"The difference is the same in all {pairs} pairs of runs: "
            f"{format_difference(row['difference'], unit, signed=True)}. A test is not "
            "possible, because the difference does not vary."
        )
    margin = f"±{format_margin(decision.margin, unit)}"
    corrected = f" after Holm's correction for {_count_tests(evidence)}" if family > 1 else ""
    tested = (
        f"{measured} ({format_interval(row['ci_low'], row['ci_high'], 1 - decision.alpha, unit)}; "
        f"{format_p(row['p_holm'])}{corrected}; {pairs} paired seeds)."
    )
    if verdict == Verdict.MATTERS:
        even = f", even if it is widened to cover {_count_tests(evidence)}" if family > 1 else ""
        return f"{tested} The whole interval lies outside the margin of {margin}{even}."
    if verdict == Verdict.SIZE_UNCLEAR:
        return f"{tested} There is a difference, but it may be smaller than the margin of {margin}."
    if verdict == Verdict.EQUIVALENT:
        # Two one-sided tests at alpha find equivalence if the interval at 1 - 2·alpha is inside the margin.
        confidence = round(1 - 2 * decision.alpha / family, 4)
        shown = format_interval(row["equivalence_ci_low"], row["equivalence_ci_high"], confidence, unit)
        return f"{tested} Any difference is smaller than the margin of {margin} ({shown})."
    return f"{tested} {_say_what_seeds_can_show(row, pairs, evidence)}"


def _count_tests(evidence: Evidence) -> str:
    """Say how many comparisons Holm's correction covers: `3 comparisons`.

    The text is `4 tests` if the correction also covers tests of how often arms train.
    """
    noun = "comparison" if evidence.family == len(evidence.contrasts) else "test"
    return format_count(evidence.family, noun)


def _say_what_seeds_can_show(row: Mapping[str, Any], pairs: int, evidence: Evidence) -> str:
    """Say why a comparison is inconclusive, which difference it could detect, and how many seeds it needs."""
    decision, unit = evidence.study.decision, evidence.metric.unit
    margin = f"±{format_margin(decision.margin, unit)}"
    detectable = (
        f"With {format_count(pairs, 'seed')} this study has {power.POWER:.0%} power to detect a difference "
        f"of {format_difference(row['detectable_difference'], unit)}."
    )
    looks = evidence.list_looks(row)
    alone = row["p_value"] / (looks[-1]["alpha_share"] if looks else 1)
    if alone < decision.alpha:
        return (
            f"As the only comparison of a study, this difference would be significant ({format_p(alone)}). "
            f"After Holm's correction for {_count_tests(evidence)} it is not. {detectable}"
        )
    if row["seeds_needed"] <= pairs:
        return (
            f"{detectable} The measured difference is so close to the margin of {margin} that these seeds "
            "show neither a difference nor equivalence."
        )
    return (
        f"{detectable} If the arms are truly equal, about {row['seeds_needed']:,} seeds are needed to show "
        f"that any difference is smaller than the margin of {margin}."
    )


def _explain_not_trained(both: Mapping[str, list[dict[str, Any]]], evidence: Evidence) -> str:
    told = [
        f"{median(accuracies):.1%} for {evidence.names.name_arm(arm)}"
        for arm, of_arm in both.items()
        if (accuracies := _list_accuracies(of_arm))
    ]
    return (
        f"Median test accuracy: {format_list(told)}. On these test images guessing reaches up to "
        f"{evidence.ceiling:.1%}. Always predicting the most frequent class has the accuracy "
        f"{evidence.provenance.data.chance:.1%}. An arm that is no better than guessing has not trained."
    )


def _count_failures(both: Mapping[str, list[dict[str, Any]]], evidence: Evidence) -> str:
    """Say how many runs of each arm diverged, and how many stayed at chance."""
    told = []
    for arm, of_arm in both.items():
        kinds = {
            "diverged": sum(run["status"] == Status.DIVERGED for run in of_arm),
            "stayed at chance": sum(value <= evidence.ceiling for value in _list_accuracies(of_arm)),
        }
        name = evidence.names.name_arm(arm)
        told += [f"{n} of {len(of_arm)} runs of {name} {how}" for how, n in kinds.items() if n]
    return f"{format_list(told)}."


def _list_accuracies(runs: Iterable[dict[str, Any]]) -> list[float]:
    """List the test accuracies of the complete runs."""
    complete = [run["test_accuracy"] for run in runs if run["status"] == Status.COMPLETE]
    return [accuracy for accuracy in complete if accuracy is not None]


def _list_involved(row: Mapping[str, Any], evidence: Evidence) -> list[str]:
    """List the arms of a contrast (comparison). The other arms are compared with the first one."""
    if row["baseline"] != BOTH_ALONE:
        return [row["baseline"], row["arm"]]
    (contrast,) = (c for c in evidence.contrasts if c.name == row["arm"])
    return [arm for arm in evidence.arms if arm in contrast.weights]
