"""Choose the setting for each arm's confirmation: the arm's own best, or the pooled best of all arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from scipy.stats import sem

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

    Args:
        progress: the points tried and their scores.
        shortlist: by arm, the points that were scored on all tuning seeds.
        best: by arm, the best point on the shortlist.
    """
    pooled = _find_pooled_best(progress, shortlist)
    gains = {} if pooled is None else _compute_gains(pooled, progress, shortlist)
    typical = _find_typical_standard_error(list(gains.values()))
    choices = {}
    for arm in progress.arms:
        own = best[arm]
        gain = gains.get((arm, name_setting(own)))
        clear = gain and fmean(gain) > STANDARD_ERRORS * max(typical, sem(gain))
        choices[arm] = Choice(
            chosen=own if pooled is None or clear else pooled,
            best=own,
            tried=tuple(progress.points[arm]),
            at_edge=any(find_edges(progress, arm, own)),
            extended=bool(progress.widened),
        )
    return choices


def _find_pooled_best(progress: Progress, shortlist: Mapping[str, Sequence[Point]]) -> Point | None:
    """Find the point with the best mean score over all arms. It must be on the shortlist of every arm."""
    shared = [p for p in shortlist[progress.arms[0]] if all(p in shortlist[arm] for arm in progress.arms)]
    return max(
        shared,
        key=lambda p: (
            fmean(progress.compute_mean(arm, p, ALL_TUNING_SEEDS) for arm in progress.arms),
            progress.is_own(p),
        ),
        default=None,
    )


def _compute_gains(
    pooled: Point, progress: Progress, shortlist: Mapping[str, Sequence[Point]]
) -> dict[tuple[str, str], list[float]]:
    """Compute how much each point scores above the pooled best, by arm and point: one number per seed."""
    return {
        (arm, name_setting(point)): [
            score - pooled_score
            for score, pooled_score in zip(
                progress.list_scores(arm, point, ALL_TUNING_SEEDS),
                progress.list_scores(arm, pooled, ALL_TUNING_SEEDS),
                strict=True,
            )
        ]
        for arm in progress.arms
        for point in shortlist[arm]
        if point != pooled
    }


def _find_typical_standard_error(gains: Sequence[Sequence[float]]) -> float:
    """Compute the standard error of the mean gain for each arm and point, and return the median of them.

    With only three seeds, a single standard error is often near zero by chance. The median varies less, and a
    failed run at one point does not inflate the median.
    """
    return median(sem(gain) for gain in gains) if gains else 0.0
