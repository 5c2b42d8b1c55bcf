"""Describe in words what an arm costs, and how its waiting times were measured."""

import pandas as pd

from ablate.records.provenance import LARGE_BATCH, LARGE_CALLS, LATENCY_CALLS
from ablate.report.evidence import Evidence


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
