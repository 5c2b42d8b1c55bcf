"""The verdict on one contrast in words, with its interval and what it costs."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ablate.formatting import counted, interval, p_in_words, points
from ablate.report.evidence import Evidence
from ablate.stats import comparisons, power
from ablate.stats.contrasts import BOTH_ALONE


def sentence(row: dict[str, Any], evidence: Evidence) -> str:
    """The verdict in words with its interval; every branch one verdict of the design."""
    decision, verdict = evidence.study.decision, row["verdict"]
    margin = f"±{points(decision.margin)}"
    involved = _involved(row, evidence)
    both = evidence.confirmed[evidence.confirmed["arm"].isin(involved)]
    missing = int(both["status"].isin(["failed", "oom"]).sum())
    lost = f" {missing} of {len(both)} runs crashed and are left out." if missing else ""
    if verdict == comparisons.UNSTABLE:
        return f"{_unstable(row, both, involved, evidence)}{lost}"
    if verdict == comparisons.NOT_TRAINED:
        medians = both[both["status"] == "complete"].groupby("arm")["test_accuracy"].median()
        stuck = " and ".join(f"{name} ({medians[name]:.1%})" for name in involved if name in medians)
        return (
            f"Median test accuracy: {stuck}. On these test images up to {evidence.ceiling:.1%} may be "
            f"guessing: where an arm stays at chance, there is nothing to compare.{lost}"
        )
    if row["difference"] is None:
        return f"No pair of runs was completed.{lost}"
    within = interval(row["ci_low"], row["ci_high"], 1 - decision.alpha)
    measured = _measured(row)
    pairs = int((both[both["status"] == "complete"].groupby("seed").size() == len(involved)).sum())
    if verdict == comparisons.NO_VERDICT:
        return (
            f"{measured} in {counted(pairs, 'pair')} of runs; "
            f"a verdict needs {power.PAIRS_FOR_A_VERDICT}.{lost}"
        )
    if verdict == comparisons.CANNOT_TELL_APART:
        same = points(row["difference"])
        return f"In all {pairs} pairs the difference is the same, {same}: no spread, no test.{lost}"
    tested = f"{measured} ({within}; {p_in_words(row['p_holm'])} after Holm, {pairs} paired seeds)"
    family = len(evidence.contrasts)
    if verdict == comparisons.MATTERS:
        wider = f", even widened for {family} contrasts," if family > 1 else ""
        return f"{tested}; the whole interval{wider} lies beyond the margin of {margin}.{lost}"
    if verdict == comparisons.SIZE_UNCLEAR:
        return f"{tested}; a difference there is, but it may be smaller than the margin of {margin}.{lost}"
    if verdict == comparisons.EQUIVALENT:
        # Two one-sided tests at alpha are an interval at 1 - 2·alpha: it, not the usual one, lies inside.
        shown = interval(
            row["equivalence_ci_low"], row["equivalence_ci_high"], round(1 - 2 * decision.alpha / family, 4)
        )
        return (
            f"{tested}; whatever difference there is, it is smaller than the margin of {margin} "
            f"({shown}).{lost}"
        )
    found = f"These seeds find {points(row['detectable_difference'])} or more in {power.POWER:.0%} of studies"
    if row["p_value"] < decision.alpha:
        return (
            f"{tested}. Alone it would count as a difference, among {counted(family, 'contrast')} it does "
            f"not. {found}.{lost}"
        )
    if row["seeds_needed"] <= pairs:
        return f"{tested}. {found}; this difference lies too near the margin of {margin} to say more.{lost}"
    return (
        f"{tested}. {found}; to show that there is no difference worth having, if there is none, "
        f"would take {row['seeds_needed']:,} seeds.{lost}"
    )


def _unstable(row: Mapping[str, Any], both: pd.DataFrame, involved: list[str], evidence: Evidence) -> str:
    """Which runs did not train, and what can be said without a mean: seeds ahead and the median seed."""
    # What diverged guesses at best; a place in an order is all that is asked of it.
    accuracy = both["test_accuracy"].astype(float).mask(both["status"] == "diverged", 0.0)
    failed = both[accuracy <= evidence.ceiling]
    told = []
    for name in involved:
        statuses = failed.loc[failed["arm"] == name, "status"]
        kinds = {
            "diverged": (statuses == "diverged").sum(),
            "stayed at chance": (statuses == "complete").sum(),
        }
        told += [f"{n} of {evidence.study.seeds} runs of {name} {how}" for how, n in kinds.items() if n]
    sentence = (
        f"{' and '.join(told)}: a mean would mix two kinds of outcome, and one over survivors would flatter."
    )
    if row["baseline"] == BOTH_ALONE:
        return sentence
    wide = both.assign(accuracy=accuracy).pivot(index="seed", columns="arm", values="accuracy")
    gaps = (wide[row["arm"]] - wide[row["baseline"]]).dropna().sort_values()
    ahead = f"{int((gaps > 0).sum())} of {counted(len(gaps), 'seed')}"
    ranked = f"{sentence} Counting such runs as behind, {row['arm']} is ahead of {row['baseline']} in {ahead}"
    middle = gaps.index[(len(gaps) - 1) // 2 : len(gaps) // 2 + 1]
    if middle.isin(failed["seed"]).any():
        return f"{ranked}."  # the size of a gap to a run that failed says nothing
    return f"{ranked}, in the median seed by {points(float(gaps.median()), signed=True)}."


def _measured(row: Mapping[str, Any]) -> str:
    amount, ahead = points(abs(row["difference"])), row["difference"] > 0
    if row["baseline"] == BOTH_ALONE:
        one, other = row["arm"].split(" × ")
        than = "more" if ahead else "less"
        return f"{one} and {other} together give {amount} {than} than the sum of both alone"
    return (
        f"{row['arm']} is {amount} {'more' if ahead else 'less'} accurate than {row['baseline']} "
        "on the test images"
    )


def _involved(row: Mapping[str, Any], evidence: Evidence) -> list[str]:
    """The arms a contrast is made of, the one compared with first."""
    if row["baseline"] != BOTH_ALONE:
        return [row["baseline"], row["arm"]]
    (contrast,) = (c for c in evidence.contrasts if c.name == row["arm"])
    return [arm for arm in evidence.arms if arm in contrast.weights]


def cost(arm: pd.Series, baseline: pd.Series, evidence: Evidence) -> str:
    """What the arm costs beside the baseline: throughput ratio with its interval, size, arithmetic."""
    told = []
    if pd.notna(arm["examples_per_second_ratio_ci_low"]):
        confidence = 1 - evidence.study.decision.alpha
        told.append(
            f"it trains at {arm['examples_per_second_ratio']:.2f} times the baseline's speed "
            f"({confidence * 100:g}% interval {arm['examples_per_second_ratio_ci_low']:.2f} to "
            f"{arm['examples_per_second_ratio_ci_high']:.2f}; "
            f"{arm['examples_per_second']:,.0f} against {baseline['examples_per_second']:,.0f} examples/s)"
        )
    else:
        undisturbed = "" if evidence.tables["timing"].empty else " in three undisturbed blocks"
        told.append(f"its speed beside the baseline's was not measured{undisturbed}")
    for name, noun in (("parameters", "parameters"), ("flops_per_example", "FLOP an example")):
        if pd.isna(arm[name]) or pd.isna(baseline[name]):
            continue
        if arm[name] == baseline[name]:
            told.append(f"the same {arm[name]:,} {noun}")
        else:
            told.append(f"{arm[name]:,} {noun} against {baseline[name]:,}")
    return f"Cost: {'; '.join(told)}."
