"""The interval for new images covers the truth of simulated studies, in which it is known."""

import numpy as np
import pytest
from scipy import special, stats

from ablate.stats.image_variance import Errors, NewImages, estimate_errors

EASE, HARD = 1.2, 1.5
"""The mean of all images' ease on the probit scale, and the spread of their difficulties."""


def simulate(
    rng: np.random.Generator, studies: int, seeds: int, images: int, *, by_image: float, by_seed: float
) -> tuple[np.ndarray, float]:
    """Right answers of an arm minus those of its baseline `(studies, seeds, images)`, and the true difference.

    A network is right with probability Φ(ease + difficulty of the image + effects of arm × image and of the run).
    The mean of Φ over normal effects is known: Φ(ease / √(1 + variances)).
    """
    difficulty = rng.normal(scale=HARD, size=(studies, 1, images))
    right, truth = [], []
    for ease in (EASE + 0.15, EASE):
        own = rng.normal(scale=by_image, size=(studies, 1, images))
        run = rng.normal(scale=by_seed, size=(studies, seeds, 1))
        chance = special.ndtr(ease + difficulty + own + run)
        right.append((rng.random(chance.shape) < chance).astype(np.int8))
        truth.append(special.ndtr(ease / np.sqrt(1 + HARD**2 + by_image**2 + by_seed**2)))
    return right[0] - right[1], truth[0] - truth[1]


def measure_coverage(cells: np.ndarray, truth: float) -> tuple[float, float]:
    """Shares of the studies whose interval covers the truth: for new images, and over seeds alone."""
    *_, seeds, _ = cells.shape
    errors, means = estimate_errors(cells), cells.mean(axis=(-2, -1))
    covered = []
    for difference, over_seeds, error, degrees in zip(
        means, errors.seeds, errors.new_images, errors.degrees, strict=True
    ):
        new = NewImages(difference=difference, seeds=seeds, seeds_standard_error=over_seeds, standard_error=error, degrees=degrees)  # fmt: skip
        covered.append(abs(difference - truth) <= new.compute_reach(0.95))
    reach = stats.t.ppf(0.975, seeds - 1) * errors.seeds
    return float(np.mean(covered)), float(np.mean(np.abs(means - truth) <= reach))


@pytest.mark.parametrize("seeds", [5, 10])
def test_an_interval_for_new_images_covers_them_where_seeds_alone_do_not(seeds: int) -> None:
    cells, truth = simulate(np.random.default_rng(seeds), 400, seeds, 300, by_image=0.7, by_seed=0.02)
    new, over_seeds = measure_coverage(cells, truth)
    assert 0.95 - 3 * np.sqrt(0.05 * 0.95 / 400) < new < 0.99
    assert over_seeds < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("by_image", [0.0, 0.3, 0.7])
@pytest.mark.parametrize("by_seed", [0.02, 0.1, 0.3])
@pytest.mark.parametrize(
    ("seeds", "images"), [(3, 300), (5, 300), (5, 1000), (10, 300), (10, 1000), (20, 300)]
)
def test_intervals_for_new_images_are_calibrated(
    seeds: int, images: int, by_seed: float, by_image: float
) -> None:
    rng, studies = np.random.default_rng(seeds), 2000
    cells, truth = simulate(rng, studies, seeds, images, by_image=by_image, by_seed=by_seed)
    new, over_seeds = measure_coverage(cells, truth)
    # Satterthwaite's degrees are estimates: with three to five seeds they cost up to a point of coverage.
    slack = 0.01 if seeds <= 5 else 0.0
    assert new > 0.95 - slack - 3 * np.sqrt(0.05 * 0.95 / studies)
    assert new >= over_seeds


def test_the_variance_for_new_images_is_the_sum_of_its_three_terms() -> None:
    cells, _ = simulate(np.random.default_rng(0), 1, 4, 50, by_image=1.0, by_seed=0.3)
    (table,) = cells
    errors = estimate_errors(table)
    rest = table - table.mean(1, keepdims=True) - table.mean(0) + table.mean()
    v_seed = table.mean(1).var(ddof=1) / 4
    v_image = table.mean(0).var(ddof=1) / 50
    v_cell = np.square(rest).sum() / (3 * 49) / (4 * 50)
    assert v_image > v_cell
    variance = v_seed + v_image - v_cell
    assert errors.seeds == pytest.approx(np.sqrt(v_seed), rel=1e-12)
    assert errors.new_images == pytest.approx(np.sqrt(variance), rel=1e-12)
    expected = variance**2 / (v_seed**2 / 3 + v_image**2 / 49 + v_cell**2 / (3 * 49))
    assert errors.degrees == pytest.approx(expected, rel=1e-12)


def test_images_that_vary_less_than_chance_add_nothing() -> None:
    # Each image has the same mean over seeds, so the term of the images is below that of the cells.
    table = np.array([[1, -1, 0, 1], [0, 1, 0, 0], [-1, 0, 0, -1]])
    errors = estimate_errors(table)
    assert errors.new_images == errors.seeds > 0
    assert errors.degrees == 2


def test_arms_that_always_agree_have_no_error() -> None:
    errors = estimate_errors(np.zeros((3, 5), np.int8))
    assert (errors.seeds, errors.new_images, errors.degrees) == (0, 0, 2)
    new = _summarise(np.zeros((3, 5), np.int8), errors)
    assert new.compute_reach(0.95) == 0
    assert new.compute_p_value() == 1


def test_a_p_value_for_new_images_agrees_with_the_interval_and_is_never_below_that_of_the_seeds() -> None:
    cells, _ = simulate(np.random.default_rng(2), 60, 5, 200, by_image=0.5, by_seed=0.1)
    significant = 0
    for table in cells:
        new = _summarise(table, estimate_errors(table))
        excluded = abs(new.difference) > new.compute_reach(0.95)
        significant += excluded
        assert (new.compute_p_value() < 0.05) == excluded
        assert new.compute_p_value() >= stats.ttest_1samp(table.mean(1), 0).pvalue * (1 - 1e-9)
    assert 0 < significant < 60


def _summarise(table: np.ndarray, errors: Errors) -> NewImages:
    return NewImages(
        difference=float(table.mean()),
        seeds=len(table),
        seeds_standard_error=float(errors.seeds),
        standard_error=float(errors.new_images),
        degrees=float(errors.degrees),
    )
