"""Choose the setting for each arm's confirmation: the arm's own best, or the pooled best of all arms.

An arm is a variant of the network. A point is a value for each tuned parameter. The pooled best is the point
with the best mean score over all arms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ablate.design.runs import name_setting
from ablate.tuning.trials import FIRST_TUNING_SEEDS, RESCORING_SEEDS, Point, Progress
from ablate.tuning.widening import find_edges

ALL_TUNING_SEEDS = (*FIRST_TUNING_SEEDS, *RESCORING_SEEDS)
STANDARD_ERRORS = 2
"""An arm's own best is chosen only if it beats the pooled best by more than this many standard errors.

The number comes from simulated studies of two identical arms (tests/tuning/test_calibration.py). The accuracy
depends on the learning rate, and three shapes of this curve were simulated. The arms should be called
different in 5 % of the studies, which is the level of the test.

- With two standard errors, the arms are called different in 5.0, 5.1 and 5.2 % of the studies.
- With three standard errors, the share is 5.0 % for all shapes. But an arm that needs its own value gets this
  value less often.
- With one standard error, computed from three seeds, the share is up to 8.8 %.

Another rule was tried, too. That rule excluded the values next to a value that failed. But chance decides in
which arm a run fails. With this other rule, two identical arms were called different in up to 28 % of the
studies.
"""
UNSOUND_LEVEL = 0.2
"""The level of the test that finds unsound points. A point is unsound if its runs fail significantly more
often than the runs of another point.

The level is high for a reason. If an unreliable point is kept, some runs fail. If a reliable point is left
out, little is lost. With two arms, a point with three failures in six runs is unsound if another point has no
failure in six runs.
"""
ARM_LEVEL = 0.05
"""The level of Fisher's exact test of whether an arm's runs fail more often, or less often, than others."""
RESAMPLES = 9_999
"""The number of random tables in Fisher's test of all arms. Its random numbers are always the same."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The setting for an arm's confirmation runs, and the values that led to this choice."""

    chosen: Point
    best: Point
    """The arm's own best point. The arm gets this point only if it is clearly better than the pooled best."""
    tried: tuple[Point, ...]
    at_edge: bool
    """Whether the arm's own best is the lowest or the highest value that the arm has tried.

    If the range was widened, the values that were added count, too.
    """
    extended: bool
    """Whether the range of tried values was widened."""


def choose(
    progress: Progress, shortlist: Mapping[str, Sequence[Point]], best: Mapping[str, Point]
) -> dict[str, Choice]:
    """Choose a setting for each arm: its own best if this is clearly better, otherwise the pooled best.

    Mean accuracies leave out failed runs, because one failed run changes a mean of three runs by up to 30
    percentage points. Exact tests compare how often runs fail. Another rule was simulated, too. In that rule,
    the means include failed runs. With eight identical arms and 5 % failed runs, a third of the studies then
    gave the arms different settings.

    Args:
        progress: the points tried and their scores.
        shortlist: maps each arm to the points that were scored on all tuning seeds.
        best: maps each arm to its best point on the shortlist.
    """
    pool = _Pool(progress, shortlist)
    return {
        arm: Choice(
            chosen=best[arm] if pool.best is None or pool.needs_own(arm, best[arm]) else pool.best,
            best=best[arm],
            tried=tuple(progress.points[arm]),
            at_edge=any(find_edges(progress, arm, best[arm])),
            extended=bool(progress.widened),
        )
        for arm in progress.arms
    }


class _Pool:
    """The scores of the shortlist's points in all arms, and the pooled best of these points."""

    def __init__(self, progress: Progress, shortlist: Mapping[str, Sequence[Point]]) -> None:
        self._arms = progress.arms
        self._scores = {
            (arm, name_setting(point)): np.array(progress.list_scores(arm, point, ALL_TUNING_SEEDS))
            for arm in progress.arms
            for point in shortlist[arm]
        }
        limits = {arm: progress.compute_failure_limit(arm) for arm in progress.arms}
        self._failed = {
            (arm, name): self._mark_failures(scores, limits[arm])
            for (arm, name), scores in self._scores.items()
        }
        shared = [p for p in shortlist[self._arms[0]] if all(p in shortlist[arm] for arm in self._arms)]
        self._sound = self._find_sound([name_setting(point) for point in shared])
        self.best: Point | None = max(
            (point for point in shared if name_setting(point) in self._sound),
            key=lambda point: (self._compute_pooled_mean(name_setting(point)), progress.is_own(point)),
            default=None,
        )
        """The sound point with the best mean over all arms. None if no point is on every arm's shortlist."""
        self._typical = 0.0 if self.best is None else self._find_typical_error(name_setting(self.best))

    def needs_own(self, arm: str, point: Point) -> bool:
        """Return whether the arm needs `point` instead of the pooled best.

        The arm needs it if the pooled best fails only in this arm, or if `point` scores clearly better.
        """
        if self.best is None or point == self.best:
            return False
        own, pooled = name_setting(point), name_setting(self.best)
        if self._failed[arm, own].any():
            return False
        if self._failed[arm, pooled].all():
            return self._differs_from_others(arm, pooled, "greater")
        if self._failed[arm, pooled].any():
            return False
        gain = self._scores[arm, own] - self._scores[arm, pooled]
        error = max(self._typical, float(_compute_standard_error(gain)))
        clear = gain.mean() > STANDARD_ERRORS * error
        return bool(clear) and (own in self._sound or self._suits_only_some_arms(arm, own))

    @staticmethod
    def _mark_failures(scores: np.ndarray, limit: float) -> np.ndarray:
        """Return for each score whether the run failed. A run fails if its score is at most the limit."""
        return scores <= limit

    def _find_sound(self, names: Sequence[str]) -> set[str]:
        """Find the sound points.

        A point is unsound if its runs failed significantly more often than the runs of the point with the
        fewest failures. All other points are sound.
        """
        failures = {name: sum(int(self._failed[arm, name].sum()) for arm in self._arms) for name in names}
        runs = len(self._arms) * len(ALL_TUNING_SEEDS)
        fewest = min(failures.values(), default=0)
        return {
            name
            for name, count in failures.items()
            if count == fewest or _test_failures(count, runs, fewest, runs, "greater") >= UNSOUND_LEVEL
        }

    def _compute_pooled_mean(self, name: str) -> float:
        """Compute the mean of a point's mean scores in all arms. Failed runs are left out."""
        means = [
            self._scores[arm, name][trained].mean()
            for arm in self._arms
            if (trained := ~self._failed[arm, name]).any()
        ]
        return float(np.mean(means)) if means else 0.0

    def _find_typical_error(self, pooled: str) -> float:
        """Compute the typical standard error of an arm's mean gain over the pooled best.

        A point in an arm has a gain over the pooled best, and this gain has a standard error. The result is
        the median of these standard errors. With only three seeds, a single standard error is often near zero
        by chance. The median varies less.
        """
        gains = [
            scores - self._scores[arm, pooled]
            for (arm, name), scores in self._scores.items()
            if name != pooled and not (self._failed[arm, name] | self._failed[arm, pooled]).any()
        ]
        return float(np.median(_compute_standard_error(np.array(gains)))) if gains else 0.0

    def _suits_only_some_arms(self, arm: str, name: str) -> bool:
        """Return whether the failures at this point come from other arms, and so say nothing about this arm.

        They do if no other arm has tried the point, or if the share of failed runs depends on the arm.
        """
        failed = [failed for (_, tried), failed in self._failed.items() if tried == name]
        if len(failed) == 1 or self._differs_from_others(arm, name, "less"):
            return True
        counts = [[int(of_arm.sum()), len(of_arm) - int(of_arm.sum())] for of_arm in failed]
        method = stats.PermutationMethod(n_resamples=RESAMPLES, rng=0)
        return bool(stats.fisher_exact(counts, method=method).pvalue <= ARM_LEVEL)

    def _differs_from_others(self, arm: str, name: str, direction: str) -> bool:
        """Return whether runs at this point fail significantly more often in this arm than in the other arms.

        If `direction` is `less`, return whether they fail significantly less often.
        """
        here = self._failed[arm, name]
        others = [f for (a, n), f in self._failed.items() if n == name and a != arm]
        there = np.concatenate(others) if others else np.array([], dtype=bool)
        p = _test_failures(int(here.sum()), len(here), int(there.sum()), len(there), direction)
        return p <= ARM_LEVEL


def _compute_standard_error(gains: np.ndarray) -> np.ndarray:
    """Compute the standard error of the mean over the last axis.

    `scipy.stats.sem` is not used, because it takes ten times as long.
    """
    error: np.ndarray = gains.std(axis=-1, ddof=1) / np.sqrt(gains.shape[-1])
    return error


def _test_failures(failures: int, runs: int, other_failures: int, other_runs: int, direction: str) -> float:
    """Test by Fisher's one-sided exact test whether two groups of runs fail equally often.

    Returns:
        The p-value.
    """
    table: Any = [[failures, runs - failures], [other_failures, other_runs - other_failures]]
    # If three of three runs fail in one group and none of three in the other group, the p-value is 1/20.
    # Without rounding, the computed p-value could be slightly above 0.05.
    return round(float(stats.fisher_exact(table, alternative=direction).pvalue), 9)
