"""Compute the Pareto front of two objectives, and the area that the front dominates."""

from collections.abc import Sequence

Point = tuple[float, float]
"""The values of two objectives. For both objectives, higher values are better."""


def mark_front(points: Sequence[Point | None]) -> list[bool | None]:
    """Return for each point whether it is on the Pareto front. If a point is None, its result is None.

    A point is on the front if no other point is at least as good in both objectives and better in one.
    """
    known = [point for point in points if point is not None]
    return [
        None if p is None else not any(q != p and q[0] >= p[0] and q[1] >= p[1] for q in known)
        for p in points
    ]


def compute_hypervolume(points: Sequence[Point], reference: Point) -> float:
    """Compute the area between the Pareto front of the points and the reference point.

    The unit of the area is the product of the units of the two objectives.
    """
    area, covered = 0.0, reference[1]
    for first, second in sorted(points, reverse=True):
        if first > reference[0] and second > covered:
            area += (first - reference[0]) * (second - covered)
            covered = second
    return area
