"""How much computing time a study took."""

from dataclasses import dataclass

import pandas as pd

RUN = ["phase", "arm", "setting", "seed"]


@dataclass(frozen=True, kw_only=True)
class ComputeTime:
    """The time that a study's runs took to train, and the time of its throughput measurement."""

    training_seconds: float
    """The sum of the wall-clock times of all training steps. Runs that trained together count once."""
    timing_seconds: float
    """The sum of the wall-clock times of all timing blocks."""
    timed_runs: int
    """How many runs have a recorded time."""
    runs: int
    """How many runs the study has. A run that failed has no recorded time."""


def sum_compute_time(runs: pd.DataFrame, epochs: pd.DataFrame, timing: pd.DataFrame) -> ComputeTime | None:
    """Sum the time of all runs in tables, those of tuning and search included.

    Evaluation, loading of data and the start of processes are not included.

    Args:
        runs: the `runs` table.
        epochs: the `epochs` table. Runs of a cohort train together, and each records the time of the whole
            cohort. They record exactly equal times, so that each time counts once.
        timing: the `timing` table.

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
