"""Outcomes: whether each confirmed run trained, and its value of the metric that decides the verdicts.

A confirmed run is a run on a fresh seed after tuning. A run trained if it did not diverge, and if its network
is better than guessing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median

import numpy as np
import pandas as pd

from ablate.records.run_records import Phase, Status
from ablate.stats.contrasts import Contrast
from ablate.stats.power import PAIRS_FOR_A_VERDICT
from ablate.stats.rounding import DIGITS
from ablate.stats.verdicts import Verdict


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """The outcomes of the confirmed runs. In `values` and `trained`, rows are seeds and columns are arms."""

    runs: pd.DataFrame
    """The rows of the `runs` table that belong to confirmed runs."""
    values: pd.DataFrame
    """The values of the metric that decides the verdicts. A missing, crashed or diverged run has NaN."""
    trained: pd.DataFrame
    """1 if the run trained, 0 if it diverged or stayed at chance, NaN if it is missing or crashed."""
    ceiling: float
    """The highest accuracy that guessing can reach."""

    def find_untrained(self, arms: Collection[str]) -> Verdict | None:
        """Return the verdict if runs of these arms did not train, or None if the means can be compared."""
        involved = [self._by_arm[arm] for arm in arms if arm in self._by_arm]
        diverged = any(one.diverged for one in involved)
        if len(set().union(*(one.seeds for one in involved))) < PAIRS_FOR_A_VERDICT:
            return Verdict.NO_VERDICT if diverged else None
        if diverged:
            return Verdict.UNSTABLE
        complete = [one.accuracies for one in involved if one.accuracies]
        if any(median(accuracies) <= self.ceiling for accuracies in complete):
            return Verdict.NOT_TRAINED
        # A run that stayed at chance did not train, and counts like a diverged run.
        return Verdict.UNSTABLE if any(min(each) <= self.ceiling for each in complete) else None

    @cached_property
    def _by_arm(self) -> dict[str, "_RunsOfArm"]:
        found: dict[str, _RunsOfArm] = {}
        accuracies = _read_accuracies(self.runs)
        for arm, seed, status, accuracy in zip(
            self.runs["arm"], self.runs["seed"], self.runs["status"], accuracies, strict=True
        ):
            of_arm = found.setdefault(arm, _RunsOfArm())
            of_arm.seeds.add(int(seed))
            of_arm.diverged |= status == Status.DIVERGED
            if status == Status.COMPLETE and not np.isnan(accuracy):
                of_arm.accuracies.append(accuracy)
        return found

    @cached_property
    def _columns(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Maps each arm to two arrays `(seeds,)`: its column of `values` and its column of `trained`."""
        return {
            arm: (self.values[arm].to_numpy(float), self.trained[arm].to_numpy(float))
            for arm in self.values.columns
        }

    def compute_contrast(self, contrast: Contrast, *, only_trained: bool) -> np.ndarray:
        """Compute the contrast's value for every seed in which all its arms have a complete run, `(pairs,)`.

        If `only_trained` is true, leave out the seeds in which a run of these arms stayed at chance.
        """
        if not set(contrast.weights) <= set(self._columns):
            return np.array([])
        by_seed, trained = (
            np.stack(each, axis=1)
            for each in zip(*(self._columns[arm] for arm in contrast.weights), strict=True)
        )
        kept = ~np.isnan(by_seed).any(axis=1)
        if only_trained:
            kept &= (trained == 1).all(axis=1)
        values = by_seed[kept] @ np.array(list(contrast.weights.values()))
        return np.round(values, DIGITS)

    def find_trained(self, arms: Sequence[str]) -> np.ndarray | None:
        """Return for each seed and arm whether the run trained, as booleans `(seeds, arms)`.

        Seeds in which a run is missing or crashed are left out. Return None if an arm has no run.
        """
        if not set(arms) <= set(self._columns):
            return None
        trained = np.stack([self._columns[arm][1] for arm in arms], axis=1)
        found: np.ndarray = trained[~np.isnan(trained).any(axis=1)] == 1
        return found


@dataclass
class _RunsOfArm:
    """The confirmed runs of one arm."""

    seeds: set[int] = field(default_factory=set)
    diverged: bool = False
    """Whether a run diverged."""
    accuracies: list[float] = field(default_factory=list)
    """The test accuracies of the complete runs."""


def _read_accuracies(runs: pd.DataFrame) -> pd.Series:
    return runs["test_accuracy"].astype("Float64").astype(float)


def read_outcomes(
    runs: pd.DataFrame, *, ceiling: float, seeds: int | None = None, values: pd.Series | None = None
) -> Outcomes:
    """Read the outcomes of the confirmed runs.

    Args:
        runs: the `runs` table. Only runs of the phase confirm are used.
        ceiling: the highest accuracy that guessing can reach.
        seeds: only the runs of the first so many seeds are used. If None, all runs are used.
        values: each run's value of the metric that decides the verdicts, by `(arm, seed)`. If None, the test
            accuracies decide.
    """
    confirmed = runs[runs["phase"] == Phase.CONFIRM]
    if seeds is not None:
        confirmed = confirmed[confirmed["seed"] < confirmed["seed"].min() + seeds]
    accuracy = _read_accuracies(confirmed)
    complete = confirmed["status"] == Status.COMPLETE
    diverged = confirmed["status"] == Status.DIVERGED
    decided = accuracy
    if values is not None:
        places = pd.MultiIndex.from_frame(confirmed[["arm", "seed"]].astype({"arm": object, "seed": int}))
        decided = pd.Series(values.reindex(places).to_numpy(float), index=confirmed.index)
    trained = (accuracy > ceiling).astype(float).where(complete).mask(diverged, 0.0)
    by_run = confirmed.assign(value=decided.where(complete), trained=trained)
    return Outcomes(
        runs=confirmed,
        values=by_run.pivot(index="seed", columns="arm", values="value"),
        trained=by_run.pivot(index="seed", columns="arm", values="trained"),
        ceiling=ceiling,
    )
