"""Remove rounding errors, so that equal values are exactly equal."""

import math

import numpy as np

DIGITS = 9
"""Differences between runs are rounded to this many digits after the decimal point.

Differences that are equal apart from rounding errors are then exactly equal.
"""
MOST_DIGITS = 112
"""The maximum number of digits after the decimal point.

A number that needs more digits becomes zero. The square of such a number is too small for a float.
"""
NOISE = 1e-12
"""A mean counts as a rounding error if it is smaller than this share of the largest of its values."""


def choose_digits(*groups: np.ndarray) -> int:
    """Choose to how many digits after the decimal point values are rounded.

    If the largest value is between 0.001 and 1000, the result is `DIGITS`. Otherwise, the values are rounded
    to 12 significant digits of the largest value.
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
