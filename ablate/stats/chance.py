"""The accuracy of guessing, and the standard error of a measured accuracy."""

import math
from collections.abc import Sequence
from functools import lru_cache, reduce

import numpy as np
from scipy import stats

from ablate.records.provenance import DataFacts

LUCK = float(stats.norm.sf(3))
"""Guessing exceeds the limit from `compute_chance_ceiling` with at most this probability.

The value is 0.13 %: the probability that a normal variable is more than three standard deviations above its
mean.
"""
UNEQUAL = 1.5
"""Classes count as unequal if the largest has more than this many times as many images as the smallest."""
_NEGLIGIBLE = 1e-12


def compute_accuracy_standard_error(accuracy: float, images: int) -> float:
    """Compute the standard error of an accuracy p that was measured on n images: sqrt(p(1 − p)/n)."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def are_unequal(counts: Sequence[int] | None) -> bool:
    """Return whether the classes differ so much in their numbers of images that the accuracy can mislead.

    If the numbers are not known (None), return False.
    """
    return counts is not None and max(counts) > UNEQUAL * min(counts)


def describe_majority(classes: Sequence[str], counts: Sequence[int]) -> str:
    """State the accuracy of a network that always predicts the most frequent class of the test images."""
    share = max(counts) / sum(counts)
    if len(set(counts)) == 1:
        return f"Each class has {counts[0]:,} of them, so always predicting one class gives {share:.1%}."
    most = classes[counts.index(max(counts))]
    fewest = classes[counts.index(min(counts))]
    return (
        f"Their classes have {min(counts):,} ({fewest}) to {max(counts):,} ({most}) images. A network that "
        f"always predicts “{most}” has the accuracy {share:.1%}."
    )


def compute_chance_ceiling(chance: float, images: int, counts: Sequence[int] | None) -> float:
    """Compute the highest accuracy that guessing can plausibly reach on the test images.

    A guesser does not look at the images. A guesser predicts each class with a fixed probability. The ceiling
    is an accuracy that every guesser exceeds with a probability of at most `LUCK`.

    Args:
        chance: the share of the most frequent class among the test images.
        images: the number of test images.
        counts: the number of test images of each class. None if the report folder is old and does not have
            these numbers. The ceiling is then chance plus three standard errors, but at most 1.
    """
    if counts is None:
        return min(1.0, chance + 3 * compute_accuracy_standard_error(chance, images))
    return count_lucky_guesses(tuple(sorted((n for n in counts if n), reverse=True))) / images


def compute_ceiling(data: DataFacts) -> float:
    """Compute the highest test accuracy that a network can plausibly reach by guessing on this data set."""
    return compute_chance_ceiling(data.chance, data.test_images, data.test_images_by_class)


@lru_cache(maxsize=32)
def count_lucky_guesses(counts: tuple[int, ...]) -> int:
    """Find the number of right guesses that every guesser exceeds with a probability of at most `LUCK`.

    A guesser does not look at the images. The result is at least the size of the largest class, because a
    guesser that always predicts this class is right that often. `counts` has the number of images of each
    class, the largest class first.
    """
    low, high = counts[0], sum(counts)  # the result lies between `low` and `high`
    while low < high:
        middle = (low + high + 1) // 2
        if compute_luck(counts, find_best_guesser(counts, middle), middle) > LUCK:
            low = middle
        else:
            high = middle - 1
    return low


def find_best_guesser(counts: Sequence[int], wanted: int) -> list[float]:
    """Find the class probabilities for which it is most likely that at least `wanted` guesses are right.

    The number of right guesses is a sum of binomial variables, one for each class. Chernoff's bound
    approximates how likely a large sum is. By this bound, the best guesser predicts class k with a
    probability proportional to max(0, nₖ − level). Here nₖ is the number of images of class k. The level is
    chosen so that these terms add up to `wanted` − level. Classes of equal size get equal probabilities, and
    small classes get the probability zero.

    Args:
        counts: the number of images of each class, the largest class first.
        wanted: the number of right guesses, which exceeds the number of images of the largest class.
    """
    total, level = counts[0], 0.0
    for used, count in enumerate(counts[1:], start=2):
        total += count
        level = (total - wanted) / (used - 1)
        if used == len(counts) or level >= counts[used]:
            break
    return [max(0.0, count - level) / (wanted - level) for count in counts]


def compute_luck(counts: Sequence[int], probabilities: Sequence[float], wanted: int) -> float:
    """Compute the probability that a guesser is right at least `wanted` times.

    The guesser predicts class k, which has `counts[k]` images, with the probability `probabilities[k]`.
    """
    trials: dict[float, int] = {}
    for count, probability in zip(counts, probabilities, strict=True):
        if probability > 0:  # classes with equal probabilities are merged into one binomial variable
            trials[probability] = trials.get(probability, 0) + count
    first, shares = 0, []
    for probability, count in trials.items():
        low, high = stats.binom.ppf([_NEGLIGIBLE, 1 - _NEGLIGIBLE], count, probability).astype(int)
        first += low
        shares.append(stats.binom.pmf(np.arange(low, high + 1), count, probability))
    return float(reduce(np.convolve, shares)[max(0, wanted - first) :].sum())
