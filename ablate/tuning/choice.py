"""Choose the setting for each arm's confirmation: the arm's own best, or the pooled best of all arms."""

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

The number comes from simulated studies of two identical arms, for three shapes of the curve of accuracy over
learning rate (tests/tuning/test_calibration.py). With two standard errors, a test at level 5 % calls the arms
different in 5.0, 5.1 and 5.2 % of the studies. With three standard errors, the share is 5.0 % for all shapes,
but an arm that needs its own value gets this value less often. With one standard error of three seeds, the
share is up to 8.8 %. We also tried to exclude the values next to a value that failed. But chance decides in
which arm a run fails, so two identical arms then differed in up to 28 % of the studies.
"""
UNSOUND_LEVEL = 0.2
"""A point is unsound if its runs failed more often than those of another point, tested at this level.

The level is lenient: an unreliable point costs runs, while a sound point that is left out costs little. With
two arms, three failures in six runs are too many compared with none in six.
"""
ARM_LEVEL = 0.05
"""An arm fails more or less often than the other arms if Fisher's exact test says so at this level."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The setting for an arm's confirmation, and the values that led to this choice."""

    chosen: Point
    best: Point
    """The arm's own best point. It is chosen only if it clearly beats the pooled best."""
    tried: tuple[Point, ...]
    at_edge: bool
    """Whether the arm's best is still the lowest or the highest value that the arm tried."""
    extended: bool
    """Whether the range was widened."""


def choose(
    progress: Progress, shortlist: Mapping[str, Sequence[Point]], best: Mapping[str, Point]
) -> dict[str, Choice]:
    """Choose each arm's own best if it clearly beats the pooled best. Otherwise choose the pooled best.

    Accuracies are compared between runs that trained. How often runs fail is compared separately, by exact
    tests. One failed run changes a mean of three by up to 30 points. In simulated studies with eight
    identical arms, 5 % of the runs failed. Where means included the failed runs, a third of these studies
    gave the arms different settings.

    Args:
        progress: the points tried and their scores.
        shortlist: by arm, the points that were scored on all tuning seeds.
        best: by arm, the best point on the shortlist.
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
    """The shortlist's scores in all arms, the pooled best, and whether an arm needs another point."""

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
        """The sound point with the best mean over all arms. None if the arms' shortlists share no point."""
        self._typical = 0.0 if self.best is None else self._find_typical_error(name_setting(self.best))

    def needs_own(self, arm: str, point: Point) -> bool:
        """Whether the arm needs this point, because the pooled best fails in the arm or is clearly worse."""
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
        return bool(clear) and (own in self._sound or self._differs_from_others(arm, own, "less"))

    @staticmethod
    def _mark_failures(scores: np.ndarray, limit: float) -> np.ndarray:
        """Mark the runs that failed."""
        return scores <= limit

    def _find_sound(self, names: Sequence[str]) -> set[str]:
        """Find the points that did not fail clearly more often than the point with the fewest failures."""
        failures = {name: sum(int(self._failed[arm, name].sum()) for arm in self._arms) for name in names}
        runs = len(self._arms) * len(ALL_TUNING_SEEDS)
        fewest = min(failures.values(), default=0)
        return {
            name
            for name, count in failures.items()
            if count == fewest or _test_failures(count, runs, fewest, runs, "greater") >= UNSOUND_LEVEL
        }

    def _compute_pooled_mean(self, name: str) -> float:
        """Compute the mean over all arms of the point's mean score. Failed runs are left out."""
        means = [
            self._scores[arm, name][trained].mean()
            for arm in self._arms
            if (trained := ~self._failed[arm, name]).any()
        ]
        return float(np.mean(means)) if means else 0.0

    def _find_typical_error(self, pooled: str) -> float:
        """Compute the median standard error of a mean gain over the pooled best, over all arms and points.

        With only three seeds, a single standard error is often near zero by chance. The median varies less.
        """
        gains = [
            scores - self._scores[arm, pooled]
            for (arm, name), scores in self._scores.items()
            if name != pooled and not (self._failed[arm, name] | self._failed[arm, pooled]).any()
        ]
        return float(np.median(_compute_standard_error(np.array(gains)))) if gains else 0.0

    def _differs_from_others(self, arm: str, name: str, direction: str) -> bool:
        """Whether this arm fails at this point clearly more (`greater`) or less often than other arms."""
        here = self._failed[arm, name]
        others = [f for (a, n), f in self._failed.items() if n == name and a != arm]
        there = np.concatenate(others) if others else np.array([], dtype=bool)
        p = _test_failures(int(here.sum()), len(here), int(there.sum()), len(there), direction)
        return p <= ARM_LEVEL


def _compute_standard_error(gains: np.ndarray) -> np.ndarray:
    """Compute the mean's standard error over the last axis. `scipy.stats.sem` takes ten times as long."""
    error: np.ndarray = gains.std(axis=-1, ddof=1) / np.sqrt(gains.shape[-1])
    return error


def _test_failures(failures: int, runs: int, other_failures: int, other_runs: int, direction: str) -> float:
    """Test by Fisher's exact test, one-sided, whether two groups of runs fail equally often. Return p."""
    table: Any = [[failures, runs - failures], [other_failures, other_runs - other_failures]]
    # Three failures of three against none of three have p = 1/20. Without rounding, it could exceed 0.05.
    return round(float(stats.fisher_exact(table, alternative=direction).pvalue), 9)
