"""The accuracy of guessing, and the standard error of a measured accuracy."""

import math


def compute_accuracy_standard_error(accuracy: float, images: int) -> float:
    """The standard error of an accuracy measured on so many images: sqrt(p(1 − p)/n)."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def compute_chance_ceiling(chance: float, images: int) -> float:
    """The highest accuracy that guessing may reach: chance plus three standard errors."""
    return chance + 3 * compute_accuracy_standard_error(chance, images)
