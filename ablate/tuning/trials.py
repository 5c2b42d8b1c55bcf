"""Trials: the scores of each point in each arm on each seed, and the scores that are still missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from ablate.design.grid import Grid, Side
from ablate.study.spec import MAX_SEEDS

FIRST_TUNING_SEEDS = (MAX_SEEDS,)
"""The seeds on which every point is scored. No confirmation run has them."""
RESCORING_SEEDS = (MAX_SEEDS + 1, MAX_SEEDS + 2)
"""The further seeds on which the shortlisted points are scored."""

Point = dict[str, float]
"""One value for each nuisance: a parameter that is tuned in every arm, such as the learning rate."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One point that one arm tries on one seed."""

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
    points: dict[str, list[Point]] = field(init=False)
    """By arm: the points of the grid, and those that widening the range has added."""
    widened: set[Side] = field(default_factory=set)
    """The sides on which the range has been widened."""

    def __post_init__(self) -> None:
        points = self.grid.list_points()
        self.points = {arm: list(points) for arm in self.arms}

    def list_missing(self, points: Mapping[str, Sequence[Point]], seeds: Sequence[int]) -> list[Trial]:
        """List the trials of these points (by arm) on these seeds that have no score yet."""
        wanted = (_make_trial(arm, p, seed) for seed in seeds for arm in self.arms for p in points[arm])
        return [trial for trial in wanted if trial not in self.scores]

    def list_scores(self, arm: str, point: Point, seeds: Sequence[int]) -> list[float]:
        """List the point's scores in the arm, one for each seed."""
        return [self.scores[_make_trial(arm, point, seed)] for seed in seeds]

    def compute_mean(self, arm: str, point: Point, seeds: Sequence[int]) -> float:
        """Compute the point's mean score in the arm over the seeds."""
        return fmean(self.list_scores(arm, point, seeds))

    def rank(self, arm: str, points: Sequence[Point], seeds: Sequence[int]) -> list[Point]:
        """Sort the points by mean score in the arm, the best first."""
        return sorted(points, key=lambda p: (self.compute_mean(arm, p, seeds), self.is_own(p)), reverse=True)

    def is_own(self, point: Point) -> bool:
        """Whether the point is the recipe's own. The recipe's own point wins a tie."""
        return point == self.grid.own


def _make_trial(arm: str, point: Point, seed: int) -> Trial:
    return Trial(arm=arm, setting=tuple(point.items()), seed=seed)
