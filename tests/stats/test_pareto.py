"""The front is what nothing beats in both objectives, and its area is an independent library's."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna import _hypervolume

from ablate.stats.pareto import compute_hypervolume, mark_front

POINT = st.tuples(st.integers(0, 6), st.integers(0, 6))


def test_a_point_that_another_beats_is_not_on_the_front() -> None:
    assert mark_front([(1, 3), (2, 2), (1, 2), (3, 1), None, (2, 2)]) == [True, True, False, True, None, True]


@given(points=st.lists(POINT, max_size=8))
def test_every_point_is_on_the_front_or_beaten_by_one_that_is(points: list[tuple[int, int]]) -> None:
    flags = mark_front(points)
    front = [point for point, stands in zip(points, flags, strict=True) if stands]
    for point, stands in zip(points, flags, strict=True):
        assert stands or any(p[0] >= point[0] and p[1] >= point[1] and p != point for p in front)
        assert not stands or not any(p[0] >= point[0] and p[1] >= point[1] and p != point for p in points)


@settings(max_examples=60, deadline=None)
@given(points=st.lists(POINT, min_size=1, max_size=8), reference=POINT)
def test_the_hypervolume_is_optunas(points: list[tuple[int, int]], reference: tuple[int, int]) -> None:
    import numpy as np

    beyond = [p for p in points if p[0] > reference[0] and p[1] > reference[1]]
    losses = -np.array(beyond, dtype=float).reshape(-1, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = (
            _hypervolume.compute_hypervolume(losses, -np.array(reference, dtype=float)) if beyond else 0.0
        )
    assert compute_hypervolume(points, reference) == pytest.approx(theirs)
