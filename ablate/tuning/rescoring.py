"""Rescoring: the few points that every arm scores again on further seeds."""

from ablate.design.runs import setting_name
from ablate.tuning.trials import FIRST_TUNING_SEEDS, Point, Progress

SHORTLISTED_PER_ARM = 3
"""How many of its best points each arm puts on the shortlist."""


def shortlist(progress: Progress) -> dict[str, list[Point]]:
    """By arm, the points to score again: the union of every arm's best three, where the arm tried them."""
    union: set[str] = set()
    for arm in progress.arms:
        ranked = progress.rank(arm, progress.points[arm], FIRST_TUNING_SEEDS)
        union |= {setting_name(point) for point in ranked[:SHORTLISTED_PER_ARM]}
    return {arm: [p for p in progress.points[arm] if setting_name(p) in union] for arm in progress.arms}
