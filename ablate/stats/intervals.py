"""Compute confidence intervals of means, and prediction intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.stats import mstats

TRIMMED = 0.2
"""The share of values that a trimmed mean leaves out at each end (Wilcox, 2012, section 3.3)."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float

    def exponentiate(self) -> "Interval":
        """Turn the interval of a mean of logarithms into the interval of the geometric mean."""
        return Interval(mean=math.exp(self.mean), low=math.exp(self.low), high=math.exp(self.high))


def compute_mean_interval(values: Sequence[float], confidence: float) -> Interval | None:
    """Compute Student's t-interval of the mean. Return None for fewer than two values."""
    if len(values) < 2:
        return None
    mean, spread = float(np.mean(values)), float(stats.sem(values))
    if np.ptp(values) == 0:  # rounding could give equal values a standard error above zero
        return Interval(mean=mean, low=mean, high=mean)
    low, high = stats.t.interval(confidence, len(values) - 1, loc=mean, scale=spread)
    return Interval(mean=mean, low=float(low), high=float(high))


def compute_prediction_interval(values: Sequence[float], confidence: float) -> Interval | None:
    """Compute the prediction interval for one further value (Hahn & Meeker, 1991, section 4.7).

    The interval is mean ± t·s·sqrt(1 + 1/n). Return None for fewer than two values.
    """
    if len(values) < 2:
        return None
    n, mean = len(values), float(np.mean(values))
    reach = float(stats.t.ppf((1 + confidence) / 2, n - 1) * np.std(values, ddof=1) * math.sqrt(1 + 1 / n))
    return Interval(mean=mean, low=mean - reach, high=mean + reach)


def compute_trimmed_interval(values: Sequence[float], confidence: float) -> Interval:
    """Compute the interval of the trimmed mean.

    A trimmed mean leaves out the lowest and the highest fifth of the values. A few very low or very high
    values hardly change its interval (Tukey & McLaughlin, 1963). At least two values are needed.
    """
    mean = float(stats.trim_mean(values, TRIMMED))
    if np.ptp(values) == 0:
        return Interval(mean=mean, low=mean, high=mean)
    low, high = mstats.trimmed_mean_ci(np.array(values), limits=(TRIMMED, TRIMMED), alpha=1 - confidence)
    return Interval(mean=mean, low=float(low), high=float(high))


def compute_trimmed_spread(values: Sequence[float]) -> float:
    """Compute the standard error of the trimmed mean, and multiply it by the root of the number of values.

    With the plain mean instead of the trimmed mean, the result would be the standard deviation of the values.
    """
    if np.ptp(values) == 0:
        return 0.0
    return float(mstats.trimmed_stde(np.array(values), limits=(TRIMMED, TRIMMED))) * math.sqrt(len(values))
