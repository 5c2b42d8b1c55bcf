"""Summarise the accuracy, the throughput and the cost of each arm (variant of the network)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ablate.records.run_records import Phase, Status
from ablate.records.tables import make_frame
from ablate.stats.intervals import compute_mean_interval
from ablate.stats.pareto import mark_front
from ablate.stats.throughput import summarise_throughput
from ablate.study.effort import Decision


def summarise(
    runs: pd.DataFrame,
    timing: pd.DataFrame,
    arms: Sequence[str],
    costs: Mapping[str, Mapping[str, Any]],
    decision: Decision,
    *,
    ceiling: float,
) -> pd.DataFrame:
    """Make the `arms` table, which has each arm's accuracies, throughput and cost.

    The table also says whether an arm is on the Pareto front of accuracy and throughput.
    """
    confirmed = runs[runs["phase"] == Phase.CONFIRM]
    speeds = summarise_throughput(timing, arms, 1 - decision.alpha)
    rows = []
    for arm in arms:
        of_arm = confirmed[confirmed["arm"] == arm]
        # An arm has no mean if only some of its runs trained. An arm has a mean if all its runs stayed at
        # chance.
        at_chance = of_arm["test_accuracy"].dropna() <= ceiling
        mixed = at_chance.any() and not at_chance.all()
        if (of_arm["status"] == Status.DIVERGED).any() or mixed:
            of_arm = of_arm.assign(test_accuracy=None, test_balanced_accuracy=None)
        rows.append(
            {
                "arm": arm,
                "is_baseline": arm == arms[0],
                "seeds": int((of_arm["status"] == Status.COMPLETE).sum()),
                **_summarise_accuracy(of_arm, "test_accuracy", decision),
                **_summarise_accuracy(of_arm, "test_balanced_accuracy", decision),
                **speeds.get(arm, {}),
                **costs.get(arm, {}),
            }
        )
    objectives = [(row["test_accuracy_mean"], row.get("examples_per_second")) for row in rows]
    front = mark_front([(a, b) if a is not None and b is not None else None for a, b in objectives])
    return make_frame("arms", ({**row, "pareto": best} for row, best in zip(rows, front, strict=True)))


def _summarise_accuracy(of_arm: pd.DataFrame, column: str, decision: Decision) -> dict[str, float | None]:
    """Compute the mean of a column of accuracies over seeds, and its interval. Too few values give None."""
    accuracies = of_arm[column].dropna().astype(float).tolist()
    interval = compute_mean_interval(accuracies, 1 - decision.alpha)
    return {
        f"{column}_mean": float(np.mean(accuracies)) if accuracies else None,
        f"{column}_ci_low": interval.low if interval else None,
        f"{column}_ci_high": interval.high if interval else None,
    }
