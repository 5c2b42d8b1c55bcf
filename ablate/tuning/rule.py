"""The rule by which every arm is tuned alike: which trials are wanted next, and what they lead to.

Both follow from the study and the scores on record alone, so that neither the number of workers nor an
interruption can change them. Measured for the design: with one noisy seed a point and each arm taking its
own best, two identical arms were called different in 27–39 % of simulated studies.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from scipy.stats import sem

from ablate.design.grid import Grid, Side
from ablate.design.runs import setting_name
from ablate.study.spec import MAX_SEEDS

FIRST_TUNING_SEEDS = (MAX_SEEDS,)
RESCORING_SEEDS = (MAX_SEEDS + 1, MAX_SEEDS + 2)
SHORTLISTED_PER_ARM = 3
EXTENSION_STEPS = 2
STANDARD_ERRORS = 2
"""By how many an arm's own best must beat the pooled best to be taken.

Measured on simulated studies of two identical arms: a test at 5 % then rejects in 5.0, 5.1 and 5.2 % of three
landscapes (tests/tuning/test_calibration.py); with three standard errors in 5.0 % of all, but an arm that
wants another value gets it later. One standard error of three seeds gave up to 8.8 %. Passing over values
next to one that failed was tried: which arm sees the failure is chance, and identical arms differed in up
to 28 %.
"""
FELL = 0.05
"""A score this far below the arm's best ends the search on that side."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One point scored in one arm on one seed."""

    arm: str
    setting: tuple[tuple[str, float], ...]
    seed: int


Scores = Mapping[Trial, float]
"""Validation accuracy by trial; 0 where the run diverged or failed."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What an arm is confirmed with, and how that came about."""

    chosen: dict[str, float]
    best: dict[str, float]
    """The arm's own best point, taken only if it beats the pooled best clearly."""
    tried: tuple[dict[str, float], ...]
    at_edge: bool
    extended: bool


@dataclass
class _Progress:
    """Which points each arm has been given so far; grows as their scores come in."""

    grid: Grid
    arms: Sequence[str]
    scores: Scores
    points: dict[str, list[dict[str, float]]] = field(init=False)
    extended: set[Side] = field(default_factory=set)

    def __post_init__(self) -> None:
        points = self.grid.points()
        self.points = {arm: list(points) for arm in self.arms}

    def missing(self, points: Mapping[str, Sequence[dict[str, float]]], seeds: Sequence[int]) -> list[Trial]:
        wanted = (_trial(arm, p, seed) for seed in seeds for arm in self.arms for p in points[arm])
        return [trial for trial in wanted if trial not in self.scores]

    def score(self, arm: str, point: dict[str, float], seeds: Sequence[int]) -> float:
        return fmean(self.scores[_trial(arm, point, seed)] for seed in seeds)

    def best(self, arm: str, points: Sequence[dict[str, float]], seeds: Sequence[int]) -> dict[str, float]:
        return max(points, key=lambda point: (self.score(arm, point, seeds), self.is_own(point)))

    def is_own(self, point: dict[str, float]) -> bool:
        """Whether it is the recipe's own; among equal scores it goes first, so that a tie moves nothing."""
        return point == self.grid.own

    def edges(self, arm: str, point: dict[str, float]) -> Iterator[Side]:
        """The sides on which no value beyond the point's has been tried in the arm."""
        if len(point) == 1 and len(self.points[arm]) > 1:
            ((name, value),) = point.items()
            tried = [other[name] for other in self.points[arm]]
            if value == min(tried):
                yield "low"
            if value == max(tried):
                yield "high"

    def ended(self, arm: str, side: Side) -> bool:
        """Whether the outermost value on that side diverged or fell well below the arm's best."""
        (name,) = self.grid.ranges
        outermost = (min if side == "low" else max)(self.points[arm], key=lambda point: point[name])
        best = max(self.score(arm, point, FIRST_TUNING_SEEDS) for point in self.points[arm])
        score = self.score(arm, outermost, FIRST_TUNING_SEEDS)
        return score == 0 or score <= best - FELL

    def extend(self, side: Side) -> list[Trial]:
        """Give every arm up to two more grid steps on a side; the trials this waits for."""
        self.extended.add(side)
        for step in range(1, EXTENSION_STEPS + 1):
            point = self.grid.beyond(side, step)
            if point is None:
                break
            for arm in self.arms:
                if not self.ended(arm, side):
                    self.points[arm].append(point)
            if missing := self.missing(self.points, FIRST_TUNING_SEEDS):
                return missing
        return []

    def shortlist(self) -> dict[str, list[dict[str, float]]]:
        """The union of every arm's best few, in every arm that has tried them."""
        union: dict[str, dict[str, float]] = {}
        for arm in self.arms:
            ranked = sorted(
                self.points[arm],
                key=lambda point: (self.score(arm, point, FIRST_TUNING_SEEDS), self.is_own(point)),
                reverse=True,
            )
            union.update((setting_name(point), point) for point in ranked[:SHORTLISTED_PER_ARM])
        return {arm: [p for p in self.points[arm] if setting_name(p) in union] for arm in self.arms}


def advance(grids: Mapping[str, Grid], scores: Scores) -> list[Trial] | dict[str, Choice]:
    """The trials wanted next, or, when none is, every arm's choice.

    Args:
        grids: by arm; arms with equal grids are tuned together, the others each with their like.
        scores: of the trials that are done.
    """
    wanted: list[Trial] = []
    choices: dict[str, Choice] = {}
    for grid, arms in _alike(grids):
        outcome = _advance_alike(grid, arms, scores)
        if isinstance(outcome, dict):
            choices |= outcome
        else:
            wanted += outcome
    return wanted or {arm: choices[arm] for arm in grids}


def _alike(grids: Mapping[str, Grid]) -> list[tuple[Grid, list[str]]]:
    groups: list[tuple[Grid, list[str]]] = []
    for arm, grid in grids.items():
        for other, members in groups:
            if other == grid:
                members.append(arm)
                break
        else:
            groups.append((grid, [arm]))
    return groups


def _advance_alike(grid: Grid, arms: Sequence[str], scores: Scores) -> list[Trial] | dict[str, Choice]:
    if not grid.ranges:
        return {arm: Choice(chosen={}, best={}, tried=(), at_edge=False, extended=False) for arm in arms}
    progress = _Progress(grid, arms, scores)
    seeds = (*FIRST_TUNING_SEEDS, *RESCORING_SEEDS)
    if missing := progress.missing(progress.points, FIRST_TUNING_SEEDS):
        return missing
    while True:
        firsts = {arm: progress.best(arm, progress.points[arm], FIRST_TUNING_SEEDS) for arm in arms}
        if side := _unextended_edge(progress, firsts):
            if missing := progress.extend(side):
                return missing
            continue
        shortlist = progress.shortlist()
        if missing := progress.missing(shortlist, RESCORING_SEEDS):
            return missing
        finals = {arm: progress.best(arm, shortlist[arm], seeds) for arm in arms}
        if side := _unextended_edge(progress, finals):
            if missing := progress.extend(side):
                return missing
            continue
        return _choices(progress, shortlist, finals, seeds)


def _unextended_edge(progress: _Progress, best: Mapping[str, dict[str, float]]) -> Side | None:
    sides = (side for arm, point in best.items() for side in progress.edges(arm, point))
    return next((side for side in sides if side not in progress.extended), None)


def _choices(
    progress: _Progress,
    shortlist: Mapping[str, list[dict[str, float]]],
    own: Mapping[str, dict[str, float]],
    seeds: Sequence[int],
) -> dict[str, Choice]:
    common = [p for p in shortlist[progress.arms[0]] if all(p in shortlist[arm] for arm in progress.arms)]
    pooled = max(
        common,
        key=lambda p: (fmean(progress.score(arm, p, seeds) for arm in progress.arms), progress.is_own(p)),
        default=None,
    )
    gains = {
        (arm, setting_name(point)): [
            progress.scores[_trial(arm, point, seed)] - progress.scores[_trial(arm, pooled, seed)]
            for seed in seeds
        ]
        for arm in progress.arms
        for point in shortlist[arm]
        if pooled is not None and point != pooled
    }
    typical = _standard_error(list(gains.values()))
    choices = {}
    for arm in progress.arms:
        best = own[arm]
        gain = gains.get((arm, setting_name(best)))
        clear = gain and fmean(gain) > STANDARD_ERRORS * max(typical, sem(gain))
        chosen = best if pooled is None or clear else pooled
        choices[arm] = Choice(
            chosen=chosen,
            best=best,
            tried=tuple(progress.points[arm]),
            at_edge=any(progress.edges(arm, best)),
            extended=bool(progress.extended),
        )
    return choices


def _standard_error(gains: Sequence[Sequence[float]]) -> float:
    """The standard error of a mean gain over the pooled best, from the spread of all shortlisted points.

    Three seeds alone give a spread that is often near zero by chance. The median over points and arms
    steadies it, and a point at which some seed collapsed does not swell it.
    """
    return median(sem(gain) for gain in gains) if gains else 0.0


def _trial(arm: str, point: Mapping[str, float], seed: int) -> Trial:
    return Trial(arm=arm, setting=tuple(point.items()), seed=seed)
