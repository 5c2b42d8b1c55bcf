"""Describe the computing time of a study in words."""

from ablate.formatting import format_count, format_list
from ablate.report.evidence import Evidence
from ablate.stats.compute import ComputeTime, sum_compute_time

SECONDS = 3600
UNKNOWN_ENERGY = "The energy was not measured."


def describe_compute(evidence: Evidence) -> str:
    """Say how many hours the training took, what this includes, and what is known of the energy.

    On a CPU these are hours of one core, because a run trains on one core.
    """
    used, hours = _sum(evidence), state_hours(evidence)
    if used is None:
        return "The time of training is unknown, and the energy was not measured."
    missing = used.runs - used.timed_runs
    lost = f" The time of {format_count(missing, 'run')} is unknown." if missing else ""
    rest = ["evaluation", "loading of data"]
    if used.timing_seconds:
        rest.append(f"{used.timing_seconds:,.0f} seconds of throughput measurement")
    return (
        f"Training took {hours}. This time covers the training steps of "
        f"{format_count(used.timed_runs, 'run')}, including tuning. Not included: {format_list(rest)}.{lost} "
        f"{describe_energy(evidence) or UNKNOWN_ENERGY}"
    )


def describe_energy(evidence: Evidence) -> str | None:
    """Say how much energy one training image takes in each arm. Return None if no energy was measured."""
    arms = evidence.tables["arms"].dropna(subset=["joules_per_example"])
    if arms.empty:
        return None
    names = map(evidence.names.name_arm, arms["arm"])
    told = [
        f"{1000 * joules:.3g} mJ ({name})"
        for name, joules in zip(names, arms["joules_per_example"], strict=True)
    ]
    return (
        f"In the timing blocks, the energy for one training image was {format_list(told)}. The energy of the "
        "whole training was not measured."
    )


def state_hours(evidence: Evidence) -> str | None:
    """State the hours of training with their unit, such as `0.26 core hours`. None if they are unknown."""
    used = _sum(evidence)
    if used is None:
        return None
    hours = used.training_seconds / SECONDS
    digits = 0 if hours >= 100 else 2 if hours >= 0.1 else 4
    unit = "core" if evidence.provenance.machine.device == "cpu" else "device"
    return f"{hours:,.{digits}f} {unit} hours"


def _sum(evidence: Evidence) -> ComputeTime | None:
    tables = evidence.tables
    return sum_compute_time(tables["runs"], tables["epochs"], tables["timing"])
