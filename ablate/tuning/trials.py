"""Trials: runs that score one point in one arm on one seed. This module lists which trials are still missing.

An arm is a variant of the network. A point is a value for each tuned parameter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from ablate.design.grid import Grid, Side
from ablate.study.seed_looks import MAX_SEEDS

FIRST_TUNING_SEEDS = (MAX_SEEDS,)
"""The seeds on which every point is scored. Confirmation runs use other seeds."""
RESCORING_SEEDS = (MAX_SEEDS + 1, MAX_SEEDS + 2)
"""The further seeds on which only the best points (the shortlist) are scored."""

Point = dict[str, float]
"""Maps each tuned parameter, such as the learning rate, to a value."""


class Trial(NamedTuple):
    """A run that tries one point in one arm on one seed."""

    arm: str
    setting: tuple[tuple[str, float], ...]
    seed: int


Scores = Mapping[Trial, float]
"""Maps each trial to its validation score. Higher scores are better.

A run that diverged or failed has the lowest possible score, for example an accuracy of 0.
"""


@dataclass
class Progress:
    """The state of tuning for arms with the same grid: the points of each arm, and all scores so far."""

    grid: Grid
    arms: Sequence[str]
    scores: Scores
    guessing: float
    """The score of a network that guesses."""
    points: dict[str, list[Point]] = field(init=False)
    """Maps each arm to its points: the points of the grid, and the points that widening has added."""
    widened: set[Side] = field(default_factory=set)
    """The sides of the range, low or high, that have been widened."""

    def __post_init__(self) -> None:
        points = self.grid.list_points()
        self.points = {arm: list(points) for arm in self.arms}

    def list_missing(self, points: Mapping[str, Sequence[Point]], seeds: Sequence[int]) -> list[Trial]:
        """List the trials that have no score yet.

        `points` maps each arm to the points that must be scored on each of the `seeds`.
        """
        wanted = (_make_trial(arm, p, seed) for seed in seeds for arm in self.arms for p in points[arm])
        return [trial for trial in wanted if trial not in self.scores]

    def list_scores(self, arm: str, point: Point, seeds: Sequence[int]) -> list[float]:
        """List the point's scores in the arm, one for each seed."""
        return [self.scores[_make_trial(arm, point, seed)] for seed in seeds]

    def compute_mean(self, arm: str, point: Point, seeds: Sequence[int]) -> float:
        """Compute the point's mean score in the arm over the seeds."""
        return fmean(self.list_scores(arm, point, seeds))

    def compute_failure_limit(self, arm: str) -> float:
        """Compute the failure limit of an arm. Runs with this score or a lower score count as failed.

        The limit is half way between the score of guessing and the arm's best score. So a run counts as
        failed even if it learned to tell some of the classes apart.
        """
        best = max(score for trial, score in self.scores.items() if trial.arm == arm)
        return (self.guessing + best) / 2

    def rank(self, arm: str, points: Sequence[Point], seeds: Sequence[int]) -> list[Point]:
        """Sort the points by their mean score in the arm. The best point comes first."""
        return sorted(points, key=lambda p: (self.compute_mean(arm, p, seeds), self.is_own(p)), reverse=True)

    def is_own(self, point: Point) -> bool:
        """Return whether the point has the values of the recipe. Such a point wins a tie."""
        return point == self.grid.own


def _make_trial(arm: str, point: Point, seed: int) -> Trial:
    return Trial(arm=arm, setting=tuple(point.items()), seed=seed)
