"""The verdict on one comparison in words, with its interval, and what the arm costs."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ablate.formatting import (
    format_count,
    format_interval,
    format_list,
    format_margin,
    format_p,
    format_points,
)
from ablate.records.run_records import CRASHED, Status
from ablate.report.evidence import Evidence
from ablate.stats import power
from ablate.stats.contrasts import BOTH_ALONE
from ablate.stats.verdicts import Verdict


def explain_verdict(row: dict[str, Any], evidence: Evidence) -> str:
    """Explain why a row of the comparisons table has its verdict, in sentences with numbers."""
    involved = _list_involved(row, evidence)
    both = evidence.confirmed[evidence.confirmed["arm"].isin(involved)]
    verdict = row["verdict"]
    if verdict == Verdict.UNSTABLE:
        told = _explain_unstable(row, both, involved, evidence)
    elif verdict == Verdict.NOT_TRAINED:
        told = _explain_not_trained(both, involved, evidence)
    elif row["difference"] is None:
        told = f"No seed has a completed run of {'both' if len(involved) == 2 else 'all'} arms."
    else:
        pairs = int((both[both["status"] == Status.COMPLETE].groupby("seed").size() == len(involved)).sum())
        told = _explain_difference(row, pairs, evidence)
    crashed = int(both["status"].isin(CRASHED).sum())
    lost = f" {crashed} of {len(both)} runs crashed; crashed runs are left out." if crashed else ""
    return f"{told}{lost}"


def _explain_difference(row: dict[str, Any], pairs: int, evidence: Evidence) -> str:
    """Explain a verdict that rests on the mean difference of `pairs` pairs of runs."""
    decision, verdict, family = evidence.study.decision, row["verdict"], len(evidence.contrasts)
    measured = _state_difference(row, evidence)
    if verdict == Verdict.NO_VERDICT:
        return (
            f"{measured} in {format_count(pairs, 'pair')} of runs. A verdict needs "
            f"{power.PAIRS_FOR_A_VERDICT} pairs."
        )
    if verdict == Verdict.CANNOT_TELL_APART:
        return (
            f"The difference is the same in all {pairs} pairs of runs: "
            f"{format_points(row['difference'], signed=True)}. Without any spread there is nothing to test."
        )
    margin = f"±{format_margin(decision.margin)}"
    corrected = f" after Holm's correction for {family} comparisons" if family > 1 else ""
    tested = (
        f"{measured} ({format_interval(row['ci_low'], row['ci_high'], 1 - decision.alpha)}; "
        f"{format_p(row['p_holm'])}{corrected}; {pairs} paired seeds)."
    )
    if verdict == Verdict.MATTERS:
        whole = f"Even widened for {family} comparisons, the whole" if family > 1 else "The whole"
        return f"{tested} {whole} interval lies outside the margin of {margin}."
    if verdict == Verdict.SIZE_UNCLEAR:
        return f"{tested} There is a difference, but it may be smaller than the margin of {margin}."
    if verdict == Verdict.EQUIVALENT:
        # Two one-sided tests at alpha find equivalence if the interval at 1 - 2·alpha is inside the margin.
        confidence = round(1 - 2 * decision.alpha / family, 4)
        shown = format_interval(row["equivalence_ci_low"], row["equivalence_ci_high"], confidence)
        return f"{tested} Any difference is smaller than the margin of {margin} ({shown})."
    return f"{tested} {_say_what_seeds_can_show(row, pairs, evidence)}"


def _say_what_seeds_can_show(row: Mapping[str, Any], pairs: int, evidence: Evidence) -> str:
    """Say why a comparison is inconclusive, which difference it could detect, and how many seeds it needs."""
    decision, family = evidence.study.decision, len(evidence.contrasts)
    margin = f"±{format_margin(decision.margin)}"
    detectable = (
        f"With {format_count(pairs, 'seed')} this study has {power.POWER:.0%} power to detect a difference "
        f"of {format_points(row['detectable_difference'])}."
    )
    if row["p_value"] < decision.alpha:
        return (
            f"On its own this difference would be significant ({format_p(row['p_value'])}); "
            f"corrected for {family} comparisons it is not. {detectable}"
        )
    if row["seeds_needed"] <= pairs:
        return f"{detectable} The measured difference is too close to the margin of {margin} to say more."
    return (
        f"{detectable} Showing equivalence within {margin} would take about {row['seeds_needed']:,} seeds, "
        "if there is no true difference."
    )


def _explain_not_trained(both: pd.DataFrame, involved: list[str], evidence: Evidence) -> str:
    medians = both[both["status"] == Status.COMPLETE].groupby("arm")["test_accuracy"].median()
    told = [f"{medians[arm]:.1%} for {evidence.names.name_arm(arm)}" for arm in involved if arm in medians]
    return (
        f"Median test accuracy: {format_list(told)}. On these test images guessing reaches up to "
        f"{evidence.ceiling:.1%} (always predicting their most frequent class: "
        f"{evidence.provenance.data.chance:.1%}). An arm that is no better than guessing has not trained, so "
        "there is nothing to compare."
    )


def _explain_unstable(
    row: Mapping[str, Any], both: pd.DataFrame, involved: list[str], evidence: Evidence
) -> str:
    """Say which runs did not train, and compare the arms without using means.

    The comparison counts the seeds at which the arm is ahead, and gives the median difference if it is known.
    """
    # A diverged run counts as accuracy 0, which ranks it last. The value 0 itself is never shown.
    accuracy = both["test_accuracy"].astype(float).mask(both["status"] == Status.DIVERGED, 0.0)
    failed = both[accuracy <= evidence.ceiling]
    told = []
    for arm in involved:
        statuses = failed.loc[failed["arm"] == arm, "status"]
        kinds = {
            "diverged": (statuses == Status.DIVERGED).sum(),
            "stayed at chance": (statuses == Status.COMPLETE).sum(),
        }
        told += [f"{n} of {evidence.study.seeds} runs of {arm} {how}" for how, n in kinds.items() if n]
    sentence = (
        f"{format_list(told)}. No mean difference is reported: it would mix runs that trained with runs that "
        "did not, and a mean over the trained runs alone would flatter the arm."
    )
    if row["baseline"] == BOTH_ALONE:
        return sentence
    wide = both.assign(accuracy=accuracy).pivot(index="seed", columns="arm", values="accuracy")
    gaps = (wide[row["arm"]] - wide[row["baseline"]]).dropna().sort_values()
    ahead = f"{int((gaps > 0).sum())} of {format_count(len(gaps), 'seed')}"
    ranked = (
        f"{sentence} If a run that did not train counts as the worse one, {row['arm']} is ahead of "
        f"{evidence.names.name_arm(row['baseline'], row['arm'])} in {ahead}"
    )
    middle = gaps.index[(len(gaps) - 1) // 2 : len(gaps) // 2 + 1]
    if middle.isin(failed["seed"]).any():
        return f"{ranked}."  # the size of a gap to an untrained run has no meaning
    return f"{ranked}, and the median difference is {format_points(float(gaps.median()), signed=True)}."


def _state_difference(row: Mapping[str, Any], evidence: Evidence) -> str:
    amount, ahead = format_points(abs(row["difference"])), row["difference"] > 0
    if row["baseline"] == BOTH_ALONE:
        one, other = row["arm"].split(" × ")
        return (
            f"{one} and {other} together change the test accuracy by {amount} "
            f"{'more' if ahead else 'less'} than the sum of their separate effects"
        )
    return (
        f"{evidence.names.name_arm(row['arm'], row['baseline'])} is {amount} {'more' if ahead else 'less'} "
        f"accurate than {evidence.names.name_arm(row['baseline'], row['arm'])} on the test images"
    )


def _list_involved(row: Mapping[str, Any], evidence: Evidence) -> list[str]:
    """List the arms of a contrast, first the arm that the others are compared with."""
    if row["baseline"] != BOTH_ALONE:
        return [row["baseline"], row["arm"]]
    (contrast,) = (c for c in evidence.contrasts if c.name == row["arm"])
    return [arm for arm in evidence.arms if arm in contrast.weights]


def describe_cost(arm: pd.Series, baseline: pd.Series, evidence: Evidence) -> str:
    """Describe the arm's cost against the baseline: throughput ratio with interval, parameters, FLOPs."""
    told = []
    if pd.notna(arm["examples_per_second_ratio_ci_low"]):
        confidence = 1 - evidence.study.decision.alpha
        told.append(
            f"{arm['examples_per_second_ratio']:.2f} times the training throughput of the baseline "
            f"({confidence * 100:g}% interval {arm['examples_per_second_ratio_ci_low']:.2f} to "
            f"{arm['examples_per_second_ratio_ci_high']:.2f}; {arm['examples_per_second']:,.0f} against "
            f"{baseline['examples_per_second']:,.0f} examples/s)"
        )
    for column, noun in (("parameters", "parameters"), ("flops_per_example", "FLOP per example")):
        if pd.isna(arm[column]) or pd.isna(baseline[column]):
            continue
        if arm[column] == baseline[column]:
            told.append(f"{arm[column]:,} {noun}, the same as the baseline")
        else:
            told.append(f"{arm[column]:,} {noun} against {baseline[column]:,}")
    costs = [f"Cost: {'; '.join(told)}."] if told else []
    if pd.isna(arm["examples_per_second_ratio_ci_low"]):
        costs.append(
            "Throughput was not measured."
            if evidence.tables["timing"].empty
            else "Throughput was not compared: fewer than three timing blocks were undisturbed."
        )
    return " ".join(costs)
