"""Statistics of two programs that were timed in alternation, with the first program timed twice."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ablate.stats.intervals import Interval, compute_mean_interval
from ablate.stats.power import PAIRS_FOR_A_VERDICT


@dataclass(frozen=True, kw_only=True)
class Alternation:
    """The ratio of two speeds, and how large a ratio this machine shows where there is no difference."""

    ratio: Interval
    """The speed of the second program divided by that of the first: geometric mean over rounds."""
    noise: float
    """The largest ratio, above 1, in the interval of the first program against itself (A/A)."""
    rounds: int

    @property
    def low(self) -> float:
        """The lower end of the ratio's interval, lowered by the noise."""
        return self.ratio.low / self.noise

    @property
    def high(self) -> float:
        """The upper end of the ratio's interval, raised by the noise."""
        return self.ratio.high * self.noise


def measure_noise(first: Sequence[float], again: Sequence[float], *, confidence: float) -> float | None:
    """Compute the largest ratio, above 1, that a program shows against itself.

    This is the end farther from 1 of the t-interval of the geometric mean ratio. Return None for fewer than
    three rounds.

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
    """Compare two programs that took turns: first, second, and the first again, in every round.

    The geometric mean of a round's two timings of the first program cancels a steady drift of the machine's
    speed. Return None for fewer than three rounds.
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
