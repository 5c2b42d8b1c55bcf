"""Describe in words what an arm costs, and how its waiting times were measured."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ablate.formatting import format_difference, format_list, list_rows, spell_keyword
from ablate.records.provenance import LARGE_BATCH, LARGE_CALLS, LATENCY_CALLS
from ablate.report.cautions import is_timing_unsteady
from ablate.report.evidence import Evidence
from ablate.stats.verdicts import UNTRAINED


def describe_cost(arm: pd.Series, baseline: pd.Series, evidence: Evidence) -> str:
    """Describe the arm's training speed, parameters and FLOPs, and compare them with the baseline's."""
    told = []
    if pd.notna(arm["examples_per_second_ratio_ci_low"]):
        confidence = 1 - evidence.study.decision.alpha
        told.append(
            f"training is {arm['examples_per_second_ratio']:.2f} times as fast as the baseline's (geometric "
            f"mean over the timing blocks; {confidence * 100:g}% interval "
            f"{arm['examples_per_second_ratio_ci_low']:.2f} to "
            f"{arm['examples_per_second_ratio_ci_high']:.2f}; median throughput "
            f"{arm['examples_per_second']:,.0f} against {baseline['examples_per_second']:,.0f} examples/s)"
        )
    for column, noun in (("parameters", "parameters"), ("flops_per_example", "FLOP per example")):
        if pd.isna(arm[column]) or pd.isna(baseline[column]):
            continue
        if arm[column] == baseline[column]:
            told.append(f"{arm[column]:,} {noun}, the same as the baseline")
        else:
            told.append(f"{arm[column]:,} {noun} against the baseline's {baseline[column]:,}")
    costs = [f"Cost: {'; '.join(told)}."] if told else []
    if pd.isna(arm["examples_per_second_ratio_ci_low"]):
        costs.append(
            "Throughput was not measured."
            if evidence.tables["timing"].empty
            else "Throughput was not compared: fewer than three timing blocks were undisturbed."
        )
    return " ".join(costs)


def list_speeds(evidence: Evidence) -> list[str]:
    """State in brief how fast each arm trains, its size and its difference, the fastest arm first."""
    if evidence.preliminary:
        return ["not finished"]
    if evidence.tables["timing"].empty:
        return ["the speed was not measured"]
    if is_timing_unsteady(evidence):
        return ["the speeds are unreliable, because the speed of the baseline varied too much"]
    confidence = f"{(1 - evidence.study.decision.alpha) * 100:g}%"
    arms = evidence.tables["arms"].set_index("arm")
    timed = arms[arms["examples_per_second_ratio_ci_low"].notna()].index
    rows = [
        row
        for row in list_rows(evidence.tables["comparisons"])
        if row["baseline"] == evidence.arms[0] and row["arm"] in timed
    ]
    rows.sort(key=lambda row: arms.at[row["arm"], "examples_per_second_ratio"], reverse=True)
    told = []
    for row in rows:
        arm, baseline = arms.loc[row["arm"]], arms.loc[row["baseline"]]
        low, high = arm["examples_per_second_ratio_ci_low"], arm["examples_per_second_ratio_ci_high"]
        told.append(
            f"{evidence.names.name_arm(row['arm'], row['baseline'])} trains "
            f"{arm['examples_per_second_ratio']:.2f} times as fast as "
            f"{evidence.names.name_arm(row['baseline'], row['arm'])} ({confidence} interval {low:.2f} to "
            f"{high:.2f}){compare_size(arm, baseline)}; {_state_found(row, evidence)}"
        )
    return told or ["the speeds were not compared"]


def compare_speeds(contexts: Mapping[str, Evidence]) -> str:
    """State which arms train faster or slower than the baseline in all of these contexts.

    `contexts` has at least one context. The arms of all contexts must be the same networks.
    """
    first = next(iter(contexts.values()))
    found: dict[str, list[str]] = {}
    for arm in first.arms[1:]:
        signs = {_find_direction(arm, each) for each in contexts.values()}
        if signs in ({1}, {-1}):
            word = "faster" if signs == {1} else "slower"
            found.setdefault(f"{word} in every context", []).append(first.names.name_arm(arm))
        elif None in signs:
            found.setdefault("not known in every context", []).append(first.names.name_arm(arm))
    told = [f"{what}: {format_list(arms)}" for what, arms in found.items()]
    return "; ".join(told) or "no arm trains faster or slower than the baseline in every context"


def _find_direction(name: str, evidence: Evidence) -> int | None:
    """Return 1 if an arm surely trains faster than the baseline, -1 if slower, else 0. None if not known."""
    arms = evidence.tables["arms"].set_index("arm")
    if name not in arms.index or is_timing_unsteady(evidence):
        return None
    low, high = arms.loc[name, ["examples_per_second_ratio_ci_low", "examples_per_second_ratio_ci_high"]]
    if pd.isna(low):
        return None
    return 1 if low > 1 else -1 if high < 1 else 0


def _state_found(row: dict[str, Any], evidence: Evidence) -> str:
    """State the difference in the metric of the verdicts: `test accuracy +0.31 points, matters`."""
    metric = (
        "test accuracy" if evidence.decides_by_accuracy else spell_keyword(evidence.study.decision.metric)
    )
    if row["difference"] is None or row["verdict"] in UNTRAINED:
        return f"{metric} {row['verdict']}"
    difference = format_difference(row["difference"], evidence.metric.unit, signed=True)
    return f"{metric} {difference}, {row['verdict']}"


def compare_size(arm: pd.Series, baseline: pd.Series) -> str:
    """Divide the arm's parameters and FLOPs by the baseline's: `, parameters ×1.32, FLOP ×0.66`.

    What is nearly equal or unknown is left out.
    """
    ratios = {
        "parameters": arm["parameters"] / baseline["parameters"],
        "FLOP": arm["flops_per_example"] / baseline["flops_per_example"],
    }
    return "".join(
        f", {name} ×{ratio:.2f}"
        for name, ratio in ratios.items()
        if not pd.isna(ratio) and round(ratio, 2) != 1
    )


def describe_waiting_times(evidence: Evidence) -> str:
    """Say how the first step and the inference were measured. Empty if they were not measured."""
    if evidence.tables["arms"]["inference_seconds"].isna().all():
        return ""
    return (
        f"One image: the median time of {LATENCY_CALLS} calls, each with one image. Large batches: "
        f"{LARGE_BATCH:,} images per call, median of {LARGE_CALLS} calls. Before each measurement, the same "
        "number of calls warmed the network up. Each network was alone on the machine, in the plain torch "
        "loop, with all threads. Each value was measured once and not in alternation, so it has no interval: "
        "do not rely on small differences. With torch.compile, the first step includes the compilation. "
        "Compilation is faster if torch finds the code of an earlier process in its cache."
    )
