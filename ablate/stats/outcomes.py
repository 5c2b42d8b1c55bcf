"""Outcomes: whether each confirmed run trained, and its value of the metric on which the verdicts rest."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ablate.records.run_records import Phase, Status
from ablate.stats.contrasts import Contrast
from ablate.stats.power import PAIRS_FOR_A_VERDICT
from ablate.stats.verdicts import Verdict


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """The outcomes of the confirmed runs. `values` and `trained` have seeds as rows and arms as columns."""

    runs: pd.DataFrame
    """The rows of the `runs` table."""
    values: pd.DataFrame
    """The values of the metric on which the verdicts rest. A missing, crashed or diverged run has NaN."""
    trained: pd.DataFrame
    """1 if the run trained, 0 if it diverged or stayed at chance, NaN if it is missing or crashed."""
    ceiling: float
    """The highest accuracy that guessing can reach."""

    def find_untrained(self, arms: Collection[str]) -> Verdict | None:
        """Return the verdict if runs of these arms did not train, or None if the means can be compared."""
        involved = self.runs[self.runs["arm"].isin(arms)]
        diverged = bool((involved["status"] == Status.DIVERGED).any())
        if involved["seed"].nunique() < PAIRS_FOR_A_VERDICT:
            return Verdict.NO_VERDICT if diverged else None
        if diverged:
            return Verdict.UNSTABLE
        done = involved[involved["status"] == Status.COMPLETE]
        if (done.groupby("arm")["test_accuracy"].median() <= self.ceiling).any():
            return Verdict.NOT_TRAINED
        # A run that stayed at chance did not train, and counts like a diverged run.
        return Verdict.UNSTABLE if (done["test_accuracy"] <= self.ceiling).any() else None

    def compute_contrast(self, contrast: Contrast, *, only_trained: bool) -> np.ndarray:
        """Compute the contrast's value for every seed with a complete run of all its arms, `(pairs,)`.

        With `only_trained`, leave out the seeds in which a run of these arms did not train.
        """
        arms = list(contrast.weights)
        if not set(arms) <= set(self.values.columns):
            return np.array([])
        by_seed = self.values[arms]
        if only_trained:
            by_seed = by_seed[(self.trained[arms] == 1).all(axis=1)]
        values = by_seed.dropna().astype(float).to_numpy() @ np.array(list(contrast.weights.values()))
        # Rounding to nine digits removes floating-point errors, so that equal differences are exactly equal.
        return np.round(values, 9)


def read_outcomes(
    runs: pd.DataFrame, *, ceiling: float, seeds: int | None = None, values: pd.Series | None = None
) -> Outcomes:
    """Read the outcomes of the confirmed runs.

    Args:
        runs: the `runs` table; only its confirm phase is used.
        ceiling: the highest accuracy that guessing can reach.
        seeds: only the runs with a seed below this number are used. None uses all runs.
        values: each run's value of the metric on which the verdicts rest, by `(arm, seed)`. None uses the
            test accuracies.
    """
    confirmed = runs[runs["phase"] == Phase.CONFIRM]
    if seeds is not None:
        confirmed = confirmed[confirmed["seed"] < seeds]
    accuracy = confirmed["test_accuracy"].astype("Float64").astype(float)
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
