"""Measure how the metric of each arm changed from A to B, with the same statistics as a report."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ablate.formatting import format_count
from ablate.gate.obstacles import Obstacle
from ablate.gate.rules import Measured, Reason
from ablate.metrics import METRICS
from ablate.records.run_records import CRASHED
from ablate.report.comparison import judge_arms
from ablate.report.evidence import Evidence
from ablate.stats.decision_values import DEFAULT, read_decision_values
from ablate.stats.look_tests import Result
from ablate.stats.power import PAIRS_FOR_A_VERDICT
from ablate.stats.verdicts import Verdict
from ablate.study.effort import Decision


@dataclass(frozen=True, kw_only=True)
class MetricChange:
    """How the metric of one arm changed, B − A. A negative change of a loss is an improvement."""

    measured: Measured
    """The same numbers for the rules of the gate. Here, a positive number means that B is better."""
    difference: float | None
    low: float | None
    high: float | None
    confidence: float
    """The confidence of the interval from `low` to `high`: 1 − 2·alpha/tests."""
    p_value: float | None
    spread: float | None
    """The standard deviation of the differences over seeds.

    None if this standard deviation is zero or unknown.
    """
    tests: int
    """The number of tests for which the interval and the p-value are corrected."""
    obstacle: Obstacle | None = None
    told: str = ""
    """A sentence about runs that did not train. The text is empty if all runs trained."""


def measure_changes(
    first: Evidence, second: Evidence, arms: Sequence[str], decision: Decision
) -> dict[str, MetricChange]:
    """Measure how the metric of each arm changed. Runs with the same seed in both folders are paired.

    Raises:
        MissingMetricError: a folder does not have the metric.
    """
    if not arms:
        return {}
    judgement = judge_arms(first, second, arms, decision)
    runs = [_read_runs(evidence, decision.metric) for evidence in (first, second)]
    images = second.provenance.data.test_images
    return {
        arm: _measure(result, decision, images, runs[0].get(arm), runs[1].get(arm))
        for arm, result in zip(arms, judgement.latest, strict=True)
    }


def _read_runs(evidence: Evidence, metric: str) -> dict[str, pd.DataFrame]:
    """Read the status and the metric of every confirmed run (a run with the tuned values).

    Return a table for each arm, indexed by seed.
    """
    types = {"arm": object, "seed": int, "status": object}
    runs = evidence.confirmed[list(types)].astype(types)
    if metric == DEFAULT:
        values = evidence.confirmed["test_accuracy"].astype("Float64").astype(float).to_numpy()
    else:
        places = pd.MultiIndex.from_frame(runs[["arm", "seed"]])
        values = read_decision_values(evidence.tables, metric).reindex(places).to_numpy(float)
    by_arm = runs.assign(value=values).groupby("arm")
    return {str(arm): of_arm.set_index("seed") for arm, of_arm in by_arm}


def _measure(
    result: Result,
    decision: Decision,
    images: int,
    before: pd.DataFrame | None,
    after: pd.DataFrame | None,
) -> MetricChange:
    row, metric = result.row, METRICS[decision.metric]
    low, high = row["equivalence_ci_low"], row["equivalence_ci_high"]
    significant = row["p_holm"] is not None and row["p_holm"] < decision.alpha
    if row["pairs"] >= PAIRS_FOR_A_VERDICT and row["p_value"] is None and row["difference"] != 0:
        # The difference is the same for every seed, so there is no spread. The precision of a share of the
        # test images is one image.
        step = 1 / images if metric.unit == "points" else 0.0
        low, high = low - step, high + step
        significant = abs(row["difference"]) >= decision.margin
    test, broken = result.training, result.broken is not None and result.broken != Verdict.NO_VERDICT
    shown = test is not None and result.p_training is not None and result.p_training < decision.alpha
    measured = Measured(
        pairs=row["pairs"],
        difference=row["difference"],
        low=low,
        high=high,
        significant=significant,
        same=_are_same(before, after),
        broken=result.broken is not None,
        trains=int(np.sign(test.only_arm - test.only_baseline)) if test is not None and shown else 0,
    )
    return MetricChange(
        measured=measured if metric.higher_is_better else _turn(measured),
        difference=row["difference"],
        low=low,
        high=high,
        confidence=1 - 2 * decision.alpha / result.family,
        p_value=row["p_holm"],
        spread=row.get("spread"),
        tests=result.family,
        obstacle=_find_crashes(before, after),
        told=_count_trained(result) if broken else "",
    )


def _turn(measured: Measured) -> Measured:
    """Change the sign of the differences. The sign of `trains` does not change."""
    swapped = measured.swap()
    return Measured(**{**vars(swapped), "trains": measured.trains})


def _are_same(before: pd.DataFrame | None, after: pd.DataFrame | None) -> bool:
    """Whether the results of all common seeds are equal in both folders.

    Both folders must have at least three common seeds.
    """
    if before is None or after is None:
        return False
    seeds = before.index.intersection(after.index)
    return len(seeds) >= PAIRS_FOR_A_VERDICT and before.loc[seeds].equals(after.loc[seeds])


def _find_crashes(before: pd.DataFrame | None, after: pd.DataFrame | None) -> Obstacle | None:
    """Find runs that crashed. The other seeds cannot be compared, because they may not be typical."""
    told = []
    for runs, name in ((before, "A"), (after, "B")):
        crashed = 0 if runs is None else int(runs["status"].isin(CRASHED).sum())
        if runs is not None and crashed:
            told.append(f"{crashed} of {format_count(len(runs), 'run')} crashed in {name}")
    if not told:
        return None
    return Obstacle(Reason.CRASHED, f"{' and '.join(told)}, so the other seeds may not be typical.")


def _count_trained(result: Result) -> str:
    test = result.training
    if test is None:
        return ""
    seeds = format_count(test.compared_seeds, "seed")
    return f"In {seeds}, A trained {test.baseline_trained} times and B {test.arm_trained} times."
