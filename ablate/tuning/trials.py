"""Trials: one score for each point, arm and seed. This module also lists the scores that are missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from ablate.design.grid import Grid, Side
from ablate.study.seed_looks import MAX_SEEDS

FIRST_TUNING_SEEDS = (MAX_SEEDS,)
"""Every point is scored on these seeds. Confirmation runs have other seeds."""
RESCORING_SEEDS = (MAX_SEEDS + 1, MAX_SEEDS + 2)
"""The points on the shortlist are also scored on these seeds."""

Point = dict[str, float]
"""One value for each nuisance: a parameter, such as the learning rate, that is tuned in every arm."""


class Trial(NamedTuple):
    """A run that tries one point in one arm on one seed."""

    arm: str
    setting: tuple[tuple[str, float], ...]
    seed: int


Scores = Mapping[Trial, float]
"""The validation accuracy of each trial. It is 0 if the trial's run diverged or failed."""


@dataclass
class Progress:
    """The points that each arm tries, and their scores so far, for arms that share one grid."""

    grid: Grid
    arms: Sequence[str]
    scores: Scores
    guessing: float
    """The score of a network that guesses."""
    points: dict[str, list[Point]] = field(init=False)
    """By arm: the points of the grid, and the points that widening has added."""
    widened: set[Side] = field(default_factory=set)
    """The sides (low, high) on which the range has been widened."""

    def __post_init__(self) -> None:
        points = self.grid.list_points()
        self.points = {arm: list(points) for arm in self.arms}

    def list_missing(self, points: Mapping[str, Sequence[Point]], seeds: Sequence[int]) -> list[Trial]:
        """List the trials without a score, for these points (by arm) and seeds."""
        wanted = (_make_trial(arm, p, seed) for seed in seeds for arm in self.arms for p in points[arm])
        return [trial for trial in wanted if trial not in self.scores]

    def list_scores(self, arm: str, point: Point, seeds: Sequence[int]) -> list[float]:
        """List the point's scores in the arm, one for each seed."""
        return [self.scores[_make_trial(arm, point, seed)] for seed in seeds]

    def compute_mean(self, arm: str, point: Point, seeds: Sequence[int]) -> float:
        """Compute the point's mean score in the arm over the seeds."""
        return fmean(self.list_scores(arm, point, seeds))

    def compute_failure_limit(self, arm: str) -> float:
        """Compute the score at or below which a run of the arm counts as failed.

        It is half way between guessing and the arm's best score. So a run that learned to tell only some of
        the classes apart counts as failed, too.
        """
        best = max(score for trial, score in self.scores.items() if trial.arm == arm)
        return (self.guessing + best) / 2

    def rank(self, arm: str, points: Sequence[Point], seeds: Sequence[int]) -> list[Point]:
        """Sort the points by mean score in the arm, the best first."""
        return sorted(points, key=lambda p: (self.compute_mean(arm, p, seeds), self.is_own(p)), reverse=True)

    def is_own(self, point: Point) -> bool:
        """Whether the point has the recipe's own values. Among equally good points, it ranks first."""
        return point == self.grid.own


def _make_trial(arm: str, point: Point, seed: int) -> Trial:
    return Trial(arm=arm, setting=tuple(point.items()), seed=seed)
