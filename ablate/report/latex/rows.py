"""Make the rows of the table for a paper. Every number is written as in the report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ablate.formatting import format_p, list_rows, scale_difference, spell_keyword
from ablate.report.evidence import Evidence
from ablate.stats.best import Best, find_best
from ablate.stats.decision_values import read_decision_values
from ablate.stats.intervals import compute_mean_interval
from ablate.stats.outcomes import read_outcomes
from ablate.study.seed_looks import SeedLooks


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A mean with its confidence interval, as text without unit. One seed gives no interval."""

    mean: str
    low: str | None = None
    high: str | None = None
    half_width: str | None = None
    """Half the length of the interval. The mean is the middle of the interval."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A row of the comparisons table, as text without unit."""

    arm: str
    other: str
    """The arm that this arm is compared with."""
    name: str
    """The name of the comparison in the table, such as `pooling=max against baseline (pooling=avg)`."""
    measured: Measured | None
    """None if some runs did not train."""
    p: str | None
    """The p-value after Holm's correction, such as `p = 0.012`."""
    verdict: str


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """An arm of the study: its result, its costs, and its comparison with the baseline."""

    arm: str
    name: str
    """The name of the arm in the table."""
    seeds: int
    measured: Measured | None
    """None if some runs of the arm did not train."""
    is_best: bool
    is_level: bool
    """Whether the test shows no difference between this arm and the best one."""
    costs: Mapping[str, str | None]
    """The cost columns by their names in `COSTS`."""


COSTS: dict[str, tuple[str, str, float]] = {
    "throughput": ("examples_per_second", ",.0f", 1),
    "ratio": ("examples_per_second_ratio", ".2f", 1),
    "parameters": ("parameters", ",.0f", 1),
    "flops": ("flops_per_example", ",.0f", 1),
    "memory": ("peak_memory_bytes", ",.1f", 1e6),
    "energy": ("joules_per_example", ",.3g", 1e-3),
    "start": ("first_step_seconds", ",.1f", 1e-3),
    "latency": ("inference_seconds", ",.2f", 1e-3),
    "inference": ("inference_examples_per_second", ",.0f", 1),
}
"""For each cost: its column in `arms.csv`, its number format, and the number by which it is divided."""


def list_arm_rows(evidence: Evidence) -> list[ArmRow]:
    """List the arms in the study's order."""
    measured, best = _measure_arms(evidence), find_best_arm(evidence)
    return [
        ArmRow(
            arm=row["arm"],
            name=name_arm(evidence, row["arm"]),
            seeds=row["seeds"],
            measured=measured.get(row["arm"]),
            is_best=best is not None and row["arm"] == best.arm,
            is_level=best is not None and row["arm"] in best.level,
            costs={
                cost: None if row[column] is None else format(row[column] / unit, digits)
                for cost, (column, digits, unit) in COSTS.items()
            },
        )
        for row in list_rows(evidence.tables["arms"])
    ]


def list_differences(evidence: Evidence) -> list[Difference]:
    """List the comparisons in the study's order."""
    return [
        Difference(
            arm=row["arm"],
            other=row["baseline"],
            name=evidence.names.name_contrast(row["arm"], row["baseline"]),
            measured=None
            if row["difference"] is None
            else _write(row["difference"], row["ci_low"], row["ci_high"], evidence, signed=True),
            p=None if row["p_holm"] is None else format_p(row["p_holm"]),
            verdict=row["verdict"],
        )
        for row in list_rows(evidence.tables["comparisons"])
    ]


def format_seeds(arms: Sequence[ArmRow]) -> str:
    """Format the number of completed seeds of each arm: `10`, or `5 to 10` if the arms differ."""
    seeds = sorted({row.seeds for row in arms})
    return f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"


def name_arm(evidence: Evidence, arm: str) -> str:
    """Name an arm by its value of the study's only factor. With several factors, use the arm's own name."""
    names = evidence.names
    if len(names.values.columns) != 1 or arm not in names.values.index:
        return names.name_arm(arm)
    value = str(names.values.loc[arm].iloc[0])
    return f"{value} (baseline)" if arm == names.baseline else value


def name_arm_column(evidence: Evidence) -> str:
    """Return the heading of the column of arms: the study's only factor, or "arm" with several factors."""
    values = evidence.names.values
    return spell_keyword(str(values.columns[0])) if len(values) and len(values.columns) == 1 else "arm"


def find_best_arm(evidence: Evidence) -> Best | None:
    """Find the best arm, and the arms without a significant difference from it.

    Return None if the study looked at its results several times. The p-values would need a correction for the
    repeated looks.
    """
    if isinstance(evidence.study.seeds, SeedLooks):
        return None
    arms = evidence.tables["arms"]
    trained = arms.loc[arms["test_accuracy_mean"].notna(), "arm"]
    return find_best(_read_outcomes(evidence), list(trained), evidence.study.decision)


def _read_outcomes(evidence: Evidence) -> pd.DataFrame:
    """Read each confirmed run's value of the metric on which the verdicts rest.

    Seeds are rows, arms are columns.
    """
    values = (
        None
        if evidence.decides_by_accuracy
        else read_decision_values(evidence.tables, evidence.study.decision.metric)
    )
    return read_outcomes(evidence.tables["runs"], ceiling=evidence.ceiling, values=values).values


def _measure_arms(evidence: Evidence) -> dict[str, Measured]:
    """Write the mean of each arm. An arm is left out if some of its runs did not train."""
    alpha, rows = evidence.study.decision.alpha, list_rows(evidence.tables["arms"])
    kept = [row for row in rows if row["test_accuracy_mean"] is not None]
    if evidence.decides_by_accuracy:
        mean, low, high = (f"test_accuracy_{part}" for part in ("mean", "ci_low", "ci_high"))
        return {row["arm"]: _write(row[mean], row[low], row[high], evidence) for row in kept}
    outcomes = _read_outcomes(evidence)
    measured = {}
    for row in kept:
        values = outcomes[row["arm"]].dropna().tolist()
        if interval := compute_mean_interval(values, 1 - alpha):
            measured[row["arm"]] = _write(interval.mean, interval.low, interval.high, evidence)
        elif values:
            measured[row["arm"]] = _write(values[0], None, None, evidence)
    return measured


def _write(
    mean: float, low: float | None, high: float | None, evidence: Evidence, *, signed: bool = False
) -> Measured:
    """Write a mean and its interval as the report does, without the unit."""
    unit = evidence.metric.unit
    if low is None or high is None:
        return Measured(mean=scale_difference(mean, unit, signed=signed))
    return Measured(
        mean=scale_difference(mean, unit, signed=signed),
        low=scale_difference(low, unit, signed=signed),
        high=scale_difference(high, unit, signed=signed),
        half_width=scale_difference((high - low) / 2, unit),
    )
