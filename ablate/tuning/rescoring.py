"""Rescoring: choose the points that every arm scores again on further seeds."""

from ablate.design.runs import name_setting
from ablate.tuning.trials import FIRST_TUNING_SEEDS, Point, Progress

SHORTLISTED_PER_ARM = 3
"""Each arm puts this many of its best points on the shortlist."""


def shortlist(progress: Progress) -> dict[str, list[Point]]:
    """List for each arm the points that the arm scores again.

    A point is listed if it is among the best three points of at least one arm. If an arm has not tried this
    point, the point is left out for this arm.
    """
    union: set[str] = set()
    for arm in progress.arms:
        ranked = progress.rank(arm, progress.points[arm], FIRST_TUNING_SEEDS)
        union |= {name_setting(point) for point in ranked[:SHORTLISTED_PER_ARM]}
    return {arm: [p for p in progress.points[arm] if name_setting(p) in union] for arm in progress.arms}
