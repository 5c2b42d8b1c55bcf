"""Correct the p-values of all tests that a study makes at one look (interim analysis)."""

from collections.abc import Sequence
from dataclasses import dataclass

from ablate.stats.holm import correct_by_holm


@dataclass(frozen=True, kw_only=True)
class FamilyTest:
    """One of the tests that a study makes at one look."""

    p_value: float
    least_p_value: float = 0.0
    """The smallest p-value that the test can give.

    An exact test with few seeds cannot give a p-value near zero.
    """


def select_family(tests: Sequence[FamilyTest], alpha: float) -> list[bool]:
    """Return for each test whether the correction counts the test.

    If a test cannot give a small enough p-value, it can never be significant. The correction does not need to
    count such a test (Tarone, 1990, "A modified Bonferroni method for discrete data"). K is the smallest
    number for which at most K tests can give a p-value up to alpha/K. The correction counts the tests that
    can do so.
    """
    size = 1
    while sum(test.least_p_value <= alpha / size for test in tests) > size:
        size += 1
    return [test.least_p_value <= alpha / size for test in tests]


def correct(tests: Sequence[FamilyTest], alpha: float) -> list[float | None]:
    """Correct the p-values by Holm's method. A test that the correction does not count gets None."""
    counts = select_family(tests, alpha)
    raw = [test.p_value for test, counted in zip(tests, counts, strict=True) if counted]
    corrected = iter(correct_by_holm(raw))
    return [float(next(corrected)) if counted else None for counted in counts]
