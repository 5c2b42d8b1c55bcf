"""Confidence intervals of means, and prediction intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its confidence interval."""

    mean: float
    low: float
    high: float


def compute_mean_interval(values: Sequence[float], confidence: float) -> Interval | None:
    """Compute Student's t-interval of the mean. Return None for fewer than two values."""
    if len(values) < 2:
        return None
    n, mean = len(values), float(np.mean(values))
    if np.ptp(values) == 0:  # rounding could give equal values a standard error above zero
        return Interval(mean=mean, low=mean, high=mean)
    # The numbers of `stats.sem` and `stats.t.interval`, without their checks, which take a millisecond.
    error = np.std(values, ddof=1) / math.sqrt(n)
    low, high = (special.stdtrit(n - 1, (1 + sign * confidence) / 2) * error + mean for sign in (-1, 1))
    return Interval(mean=mean, low=float(low), high=float(high))


def compute_prediction_interval(values: Sequence[float], confidence: float) -> Interval | None:
    """Compute the prediction interval for one further value (Hahn & Meeker, 1991, section 4.7).

    The interval is mean ± t·s·sqrt(1 + 1/n). Return None for fewer than two values.
    """
    if len(values) < 2:
        return None
    n, mean = len(values), float(np.mean(values))
    reach = float(
        special.stdtrit(n - 1, (1 + confidence) / 2) * np.std(values, ddof=1) * math.sqrt(1 + 1 / n)
    )
    return Interval(mean=mean, low=mean - reach, high=mean + reach)
