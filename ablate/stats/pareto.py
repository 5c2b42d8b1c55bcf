"""Which of several things are not beaten in both of two objectives, and how much the best of them cover."""

from collections.abc import Sequence

Point = tuple[float, float]
"""Two objectives, more is better in both."""


def on_front(points: Sequence[Point | None]) -> list[bool | None]:
    """Whether no other point is as good in both objectives and better in one; None where one is not known."""
    known = [point for point in points if point is not None]
    return [
        None if p is None else not any(q != p and q[0] >= p[0] and q[1] >= p[1] for q in known)
        for p in points
    ]


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """The area between the reference and the front of the points, in the product of both units."""
    area, covered = 0.0, reference[1]
    for first, second in sorted(points, reverse=True):
        if first > reference[0] and second > covered:
            area += (first - reference[0]) * (second - covered)
            covered = second
    return area
