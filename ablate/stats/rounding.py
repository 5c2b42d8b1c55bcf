"""Remove rounding errors, so that equal values are exactly equal."""

import math

import numpy as np

DIGITS = 9
"""Differences in a study are rounded to as many digits after the point. Equal ones are then exactly equal."""
MOST_DIGITS = 112
"""Smaller numbers count as zero, because they cannot be squared."""
NOISE = 1e-12
"""A mean that is smaller than this share of its largest value is a rounding error of the sum."""


def choose_digits(*groups: np.ndarray) -> int:
    """Choose to how many digits after the point values are rounded, so that equal values are exactly equal.

    Values between 0.001 and 1000 are rounded as those of a study are. Other values keep 12 digits of the
    largest one.
    """
    largest = max(float(np.abs(values).max(initial=0)) for values in groups)
    if largest == 0 or 1e-3 <= largest <= 1e3:
        return DIGITS
    return min(12 - math.ceil(math.log10(largest)), MOST_DIGITS)


def clear_noise(difference: float, values: np.ndarray) -> float:
    """Return 0 if a difference of means is only a rounding error, else the difference.

    Args:
        difference: the mean of the values, or a difference between means of some of them.
        values: all values from which the difference was computed.
    """
    return 0.0 if abs(difference) <= NOISE * float(np.abs(values).max(initial=0)) else difference
