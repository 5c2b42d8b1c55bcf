"""Estimate how uncertain a difference between two arms is for new test images and new seeds.

An arm is a variant of the network. The test images of a study are a random sample, as the seeds are. If an
interval takes only the seeds into account, it holds only for the test images of the study.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Two standard errors for each mean difference: for the study's own test images, and for new test images.

    Each array has the shape of the argument `cells` of `estimate_errors`, without the last two axes.
    """

    seeds: Array
    """The standard error over seeds. It holds for the study's own images only."""
    new_images: Array
    """The standard error for new images and new seeds."""
    degrees: Array
    """The degrees of freedom of `new_images`."""


@dataclass(frozen=True, kw_only=True)
class NewImages:
    """A mean difference between two arms, with the standard errors for its interval and its test."""

    difference: float
    seeds: int
    """The number of seeds in which both arms have a run."""
    seeds_standard_error: float
    """The standard error over seeds. It holds for the study's own images only."""
    standard_error: float
    """The standard error for new images and new seeds."""
    degrees: float
    """The degrees of freedom of `standard_error`."""

    def compute_reach(self, confidence: float) -> float:
        """Compute half the width of the t-interval for new images.

        The result is at least half the width of the interval for the study's own images. Without this lower
        limit, the interval for new images could be narrower, because its t quantile has more degrees of
        freedom and is smaller. With five seeds or fewer, such a narrower interval contains the true
        difference in only 92 to 94 % of cases instead of 95 %.
        """
        beyond = (1 + confidence) / 2
        return max(
            float(stats.t.ppf(beyond, degrees)) * error
            for error, degrees in (
                (self.standard_error, self.degrees),
                (self.seeds_standard_error, self.seeds - 1),
            )
        )

    def compute_p_value(self) -> float:
        """Compute the two-sided p-value for new images.

        The result is at least as large as the p-value for the study's own images.
        """
        if min(self.seeds_standard_error, self.standard_error) == 0:
            return 1.0  # if all values are equal, there is nothing to test
        distance = abs(self.difference)
        return max(
            2 * float(stats.t.sf(distance / self.standard_error, self.degrees)),
            2 * float(stats.t.sf(distance / self.seeds_standard_error, self.seeds - 1)),
        )


def estimate_errors(cells: Array) -> Errors:
    """Estimate the standard errors of a mean over n seeds and J images. Seeds and images are random samples.

    Each cell is the sum of a mean, an effect of the seed, an effect of the image and a residual (two-way
    crossed random effects). The variance of the mean is V = V_seed + V_image − V_cell:

    - V_seed: the variance of the seeds' means, divided by n;
    - V_image: the variance of the images' means, divided by J;
    - V_cell: the variance of the residuals, divided by n·J. V_seed and V_image both contain it, so V
      subtracts it once.

    V is the unbiased estimate from an analysis of variance. Owen, "The pigeonhole bootstrap" (Annals of
    Applied Statistics, 2007), explains why resampling gives no unbiased estimate. Cameron, Gelbach & Miller,
    "Robust inference with multiway clustering" (Journal of Business & Economic Statistics, 2011), add and
    subtract the same three terms. V is at least V_seed. The degrees of freedom of V are computed by
    Satterthwaite's method (Biometrics, 1946) and are at least n − 1.

    Args:
        cells: integers `(..., n, J)`. A cell is 1 if only the arm classifies the image correctly, −1 if only
            the baseline does, otherwise 0. n and J are at least 2.
    """
    # Sums of integers are exact, so the same cells give exactly the same results on every machine.
    *_, n, images = cells.shape
    size, free_seeds, free_images = n * images, n - 1, images - 1
    free_cells = free_seeds * free_images
    seeds = cells.sum(axis=-1, dtype=np.int64)
    by_seed = n * np.square(seeds).sum(axis=-1)
    by_image = images * np.square(cells.sum(axis=-2, dtype=np.int64)).sum(axis=-1)
    by_cell = size * np.count_nonzero(cells, axis=(-2, -1))  # the square of −1 and of 1 is 1
    total = np.square(seeds.sum(axis=-1))
    # The sums above are n·J times the sums of squares of an analysis of variance. The variance of a mean is a
    # mean square divided by n·J. So the code divides by (n·J)² in total.
    v_seed = (by_seed - total) / free_seeds / size**2
    v_image = (by_image - total) / free_images / size**2
    v_cell = (by_cell - by_seed - by_image + total) / free_cells / size**2
    vary = v_image > v_cell
    variance = v_seed + np.where(vary, v_image - v_cell, 0.0)
    spread = v_seed**2 / free_seeds
    spread = spread + np.where(vary, v_image**2 / free_images + v_cell**2 / free_cells, 0.0)
    degrees = np.divide(variance**2, spread, out=np.full(spread.shape, float(free_seeds)), where=spread > 0)
    return Errors(
        seeds=np.sqrt(v_seed), new_images=np.sqrt(variance), degrees=np.maximum(degrees, free_seeds)
    )
