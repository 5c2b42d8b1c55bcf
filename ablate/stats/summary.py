"""The summary of each arm: accuracy, throughput, size, cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ablate.records.run_records import Phase, Status
from ablate.records.tables import make_frame
from ablate.stats.intervals import compute_mean_interval
from ablate.stats.pareto import mark_front
from ablate.stats.throughput import summarise_throughput
from ablate.study.spec import Decision


def summarise(
    runs: pd.DataFrame,
    timing: pd.DataFrame,
    arms: Sequence[str],
    costs: Mapping[str, Mapping[str, Any]],
    decision: Decision,
    *,
    ceiling: float,
) -> pd.DataFrame:
    """Make the `arms` table: for each arm accuracy, interval, throughput, size, cost and Pareto front."""
    confirmed = runs[runs["phase"] == Phase.CONFIRM]
    speeds = summarise_throughput(timing, arms, 1 - decision.alpha)
    rows = []
    for arm in arms:
        of_arm = confirmed[confirmed["arm"] == arm]
        # An arm has no mean if only some of its runs trained. If all runs stayed at chance, it has a mean.
        accuracies = of_arm["test_accuracy"].dropna().astype(float).tolist()
        at_chance = sum(accuracy <= ceiling for accuracy in accuracies)
        if (of_arm["status"] == Status.DIVERGED).any() or 0 < at_chance < len(accuracies):
            accuracies = []
        interval = compute_mean_interval(accuracies, 1 - decision.alpha)
        rows.append(
            {
                "arm": arm,
                "is_baseline": arm == arms[0],
                "seeds": int((of_arm["status"] == Status.COMPLETE).sum()),
                "test_accuracy_mean": float(np.mean(accuracies)) if accuracies else None,
                "test_accuracy_ci_low": interval.low if interval else None,
                "test_accuracy_ci_high": interval.high if interval else None,
                **speeds.get(arm, {}),
                **costs.get(arm, {}),
            }
        )
    objectives = [(row["test_accuracy_mean"], row.get("examples_per_second")) for row in rows]
    front = mark_front([(a, b) if a is not None and b is not None else None for a, b in objectives])
    return make_frame("arms", ({**row, "pareto": best} for row, best in zip(rows, front, strict=True)))
