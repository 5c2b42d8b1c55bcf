"""Widening: if an arm's best value is the lowest or highest value tried, all arms try values beyond it.

An arm is a variant of the network.
"""

from collections.abc import Iterator, Mapping

from ablate.design.grid import Side
from ablate.tuning.trials import FIRST_TUNING_SEEDS, Point, Progress, Trial

EXTENSION_STEPS = 2
"""A side is widened by at most this many grid steps."""
LARGE_DROP = 0.05
"""If a value's score is this much lower than the arm's best score, the arm tries no value beyond it."""


def find_edges(progress: Progress, arm: str, point: Point) -> Iterator[Side]:
    """Yield `low` if the point is the lowest value that the arm has tried, and `high` if it is the highest.

    Yield nothing if more than one parameter is tuned.
    """
    if len(point) == 1 and len(progress.points[arm]) > 1:
        ((name, value),) = point.items()
        tried = [other[name] for other in progress.points[arm]]
        if value == min(tried):
            yield "low"
        if value == max(tried):
            yield "high"


def find_side_to_widen(progress: Progress, best: Mapping[str, Point]) -> Side | None:
    """Find a side to widen. On this side, the best value of an arm is the outermost value that it tried.

    Return None if there is no such side, or if it has been widened before.
    """
    sides = (side for arm, point in best.items() for side in find_edges(progress, arm, point))
    return next((side for side in sides if side not in progress.widened), None)


def widen(progress: Progress, side: Side) -> list[Trial]:
    """Add up to two more grid steps, on one side of the range, to the points of every arm.

    If a value diverged or scored far below the arm's best, the arm gets no value beyond it. So the second
    step is added only when the first step has been scored.

    Returns:
        The trials that must be scored next. Empty if all trials have been scored.
    """
    progress.widened.add(side)
    for step in range(1, EXTENSION_STEPS + 1):
        point = progress.grid.find_point_beyond(side, step)
        if point is None:
            break
        for arm in progress.arms:
            if not _outermost_failed(progress, arm, side):
                progress.points[arm].append(point)
        if missing := progress.list_missing(progress.points, FIRST_TUNING_SEEDS):
            return missing
    return []


def _outermost_failed(progress: Progress, arm: str, side: Side) -> bool:
    """Return whether the arm's outermost value on this side diverged or scored far below the arm's best."""
    (name,) = progress.grid.ranges
    points = progress.points[arm]
    outermost = (min if side == "low" else max)(points, key=lambda point: point[name])
    best = max(progress.compute_mean(arm, point, FIRST_TUNING_SEEDS) for point in points)
    score = progress.compute_mean(arm, outermost, FIRST_TUNING_SEEDS)
    return score == 0 or score <= best - LARGE_DROP
