"""Sum up how much computing time a study took."""

from dataclasses import dataclass

import pandas as pd

RUN = ["phase", "arm", "setting", "seed"]


@dataclass(frozen=True, kw_only=True)
class ComputeTime:
    """The time that a study took to train its runs, and the time that it took to measure throughput."""

    training_seconds: float
    """The wall-clock time that the study spent on training steps.

    If several runs train at the same time, this time counts once, not once for each run.
    """
    timing_seconds: float
    """The sum of the wall-clock times of all timing blocks."""
    timed_runs: int
    """How many runs have a recorded time."""
    runs: int
    """How many runs the study has. A run that failed has no recorded time."""


def sum_compute_time(runs: pd.DataFrame, epochs: pd.DataFrame, timing: pd.DataFrame) -> ComputeTime | None:
    """Sum the time of all runs, including the runs of tuning and search.

    The sum does not include the time to evaluate networks, to load data, or to start processes.

    Args:
        runs: the `runs` table.
        epochs: the `epochs` table. Runs that train together on a GPU (a cohort) all record the same time: the
            time of the whole cohort. Equal times therefore count once.
        timing: the `timing` table, with one row for each timing block.

    Returns:
        None if no run has a recorded time.
    """
    timed = epochs.dropna(subset=["train_seconds"])
    if timed.empty:
        return None
    return ComputeTime(
        training_seconds=float(timed["train_seconds"].drop_duplicates().sum()),
        timing_seconds=float(timing["seconds"].dropna().sum()),
        timed_runs=len(timed[RUN].drop_duplicates()),
        runs=len(runs),
    )
