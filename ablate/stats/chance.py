"""Accuracy by guessing, and how far a measured accuracy may lie from its true value."""

import math


def accuracy_standard_error(accuracy: float, images: int) -> float:
    """How far an accuracy may lie from its long-run value because only so many images were read."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def chance_ceiling(chance: float, images: int) -> float:
    """The accuracy up to which a network may be guessing: chance and three of its standard errors."""
    return chance + 3 * accuracy_standard_error(chance, images)
