"""Compare the speeds of two programs that take turns. Each round times the first program twice."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ablate.stats.intervals import Interval, compute_mean_interval
from ablate.stats.power import PAIRS_FOR_A_VERDICT


@dataclass(frozen=True, kw_only=True)
class Alternation:
    """The ratio of the speeds of two programs, and the ratio of one program to itself (the noise)."""

    ratio: Interval
    """The speed of the second program divided by the speed of the first: the geometric mean over rounds."""
    noise: float
    """How much faster or slower the first program can seem than itself (an A/A test), as a ratio above 1."""
    rounds: int

    @property
    def low(self) -> float:
        """The lower end of the interval of `ratio`, divided by `noise`."""
        return self.ratio.low / self.noise

    @property
    def high(self) -> float:
        """The upper end of the interval of `ratio`, multiplied by `noise`."""
        return self.ratio.high * self.noise


def measure_noise(first: Sequence[float], again: Sequence[float], *, confidence: float) -> float | None:
    """Compute how much faster or slower a program can seem than itself, as a ratio above 1.

    The function computes the t-interval of the geometric mean of the rounds' ratios. The function returns the
    end that is farther from 1. If that end is below 1, the function returns 1 divided by that end. The result
    is None for fewer than three rounds.

    Args:
        first: the program's speed in each round.
        again: the speed of the same program in another process, in the same rounds.
        confidence: the confidence of the interval.
    """
    interval = _compute_log_interval(np.log(again) - np.log(first), confidence)
    return None if interval is None else math.exp(max(abs(interval.low), abs(interval.high)))


def compare_alternate(
    first: Sequence[float],
    second: Sequence[float],
    again: Sequence[float],
    *,
    noise: float,
    confidence: float,
) -> Alternation | None:
    """Compare two programs that took turns. Each round timed the first, the second, and the first again.

    The first program's speed in a round is the geometric mean of its two timings. This mean cancels a steady
    drift of the machine's speed. Return None for fewer than three rounds.

    Args:
        first: the speed of the first program at the start of each round.
        second: the speed of the second program in each round.
        again: the speed of the first program at the end of each round.
        noise: the result of `measure_noise`.
        confidence: the confidence of the interval.
    """
    middle = (np.log(first) + np.log(again)) / 2
    interval = _compute_log_interval(np.log(second) - middle, confidence)
    if interval is None:
        return None
    return Alternation(ratio=interval.exponentiate(), noise=noise, rounds=len(first))


def _compute_log_interval(logarithms: np.ndarray, confidence: float) -> Interval | None:
    if len(logarithms) < PAIRS_FOR_A_VERDICT:
        return None
    return compute_mean_interval(logarithms.tolist(), confidence)
