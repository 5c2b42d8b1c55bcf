"""The accuracy of guessing, and the standard error of a measured accuracy."""

import math


def compute_accuracy_standard_error(accuracy: float, images: int) -> float:
    """Compute the standard error of an accuracy p that was measured on n images: sqrt(p(1 − p)/n)."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def compute_chance_ceiling(chance: float, images: int) -> float:
    """Compute the highest accuracy that guessing may reach: chance plus three standard errors."""
    return chance + 3 * compute_accuracy_standard_error(chance, images)
