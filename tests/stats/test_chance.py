"""The ceiling of guessing is the best that a guesser reaches by luck, and no more."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from ablate.stats.chance import (
    LUCK,
    compute_chance_ceiling,
    compute_luck,
    count_lucky_guesses,
    find_best_guesser,
)


@pytest.mark.parametrize("counts", [(8, 5, 2), (10, 10, 4), (12, 3, 3), (20, 9, 1), (178, 12, 0)], ids=str)
def test_no_guesser_of_a_fine_grid_is_luckier(counts: tuple[int, ...]) -> None:
    shares, most = np.linspace(0, 1, 41), np.zeros(sum(counts) + 1)
    for first, second in product(shares, shares):
        if first + second <= 1:
            parts = [
                stats.binom.pmf(np.arange(count + 1), count, share)
                for count, share in zip(counts, (first, second, max(0.0, 1 - first - second)), strict=True)
            ]
            distribution = np.convolve(np.convolve(parts[0], parts[1]), parts[2])
            most = np.maximum(most, distribution[::-1].cumsum()[::-1])
    lucky = count_lucky_guesses(tuple(count for count in counts if count))
    assert most[lucky + 1 :].max(initial=0) <= LUCK
    assert lucky >= max(np.flatnonzero(most > LUCK))


def test_of_classes_of_equal_size_the_best_guesser_predicts_each_equally_often() -> None:
    assert find_best_guesser([40, 40, 40, 40], 60) == pytest.approx([0.25] * 4)
    assert compute_luck([40, 40], [0.5, 0.5], 50) == pytest.approx(stats.binom.sf(49, 80, 0.5))


def test_the_best_guesser_leaves_small_classes_out() -> None:
    guesser = find_best_guesser([100, 60, 3], 110)
    assert guesser == pytest.approx([0.8333, 0.1667, 0], abs=1e-4)
    assert sum(guesser) == pytest.approx(1)


@pytest.mark.parametrize(
    ("counts", "lucky"),
    [([1000] * 10, 1091), ([100] * 100, 131), ([178, 12], 179), ([1, 1], 2), ([150], 150)],
    ids=["ten equal classes", "hundred equal classes", "178 and 12", "two images", "one class"],
)
def test_the_ceiling_of_known_classes(counts: list[int], lucky: int) -> None:
    images = sum(counts)
    assert compute_chance_ceiling(max(counts) / images, images, counts) == lucky / images


def test_without_class_counts_the_ceiling_is_three_standard_errors_above_chance_but_at_most_1() -> None:
    assert compute_chance_ceiling(0.1, 10_000, None) == pytest.approx(0.109)
    assert compute_chance_ceiling(0.99, 100, None) == 1
