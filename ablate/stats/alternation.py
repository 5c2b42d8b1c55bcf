"""Compare the speeds of two programs that take turns. Each round times the first program twice."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ablate.stats.intervals import TRIMMED, Interval, compute_trimmed_interval, compute_trimmed_spread
from ablate.stats.power import PAIRS_FOR_A_VERDICT

SLOWDOWN = 0.10
"""The slowdown that the rounds are planned for: 10 %."""
PLANNED_POWER = 0.95
"""The power with which rounds are planned.

The plan rests on a roughly known noise, and does not know that each process has a speed of its own. With 95 %
in the plan, at least 80 % of slowdowns are found (measured by `tests/gate/test_timing_calibration.py`).
"""
MOST_COUNTED = 100_000
"""More rounds than this are not counted. Nobody would wait for them."""


@dataclass(frozen=True, kw_only=True)
class Alternation:
    """The ratio of the speeds of two programs, and the ratio of one program to itself (the noise)."""

    ratio: Interval
    """The speed of the second program divided by the speed of the first: geometric trimmed mean."""
    noise: float
    """How much faster or slower the first program was than itself (an A/A test), as a ratio above 1.

    This is a geometric trimmed mean over the same rounds.
    """
    spread: float
    """The standard deviation of the logarithm of a round's ratio, for the trimmed mean."""
    rounds: int

    @property
    def low(self) -> float:
        """The lower end of the interval of `ratio`, divided by `noise`."""
        return self.ratio.low / self.noise

    @property
    def high(self) -> float:
        """The upper end of the interval of `ratio`, multiplied by `noise`."""
        return self.ratio.high * self.noise

    def count_rounds(self, bound: float, confidence: float) -> int | None:
        """Count the rounds that show on which side of a bound the ratio lies, if it is as measured.

        Return None if this takes more than `MOST_COUNTED` rounds.
        """
        return _count_rounds(self.spread, abs(math.log(self.ratio.mean / bound)), confidence)


def measure_spread_of_rounds(first: Sequence[float], again: Sequence[float]) -> float | None:
    """Measure the noise of one round from the speeds of one program in two processes (A/A).

    This is the standard deviation of the logarithm of the ratio of `again` to `first`, for the trimmed mean.
    Return None for fewer than three rounds.

    Args:
        first: the program's speed in each round.
        again: the speed of the same program in another process, in the same rounds.
    """
    if len(first) < PAIRS_FOR_A_VERDICT:
        return None
    return compute_trimmed_spread((np.log(again) - np.log(first)).tolist())


def plan_rounds(spread: float, bound: float | None, confidence: float) -> int | None:
    """Count the rounds that would show a slowdown of 10 %, or no difference, on this machine.

    Of these two, the one that is farther from the bound decides. Return None for more than `MOST_COUNTED`.

    Args:
        spread: the noise of one round, as `measure_spread_of_rounds` returns it.
        bound: the least ratio that is required. None: a ratio of 1.
        confidence: the confidence of the interval of the ratio.
    """
    bound = 1.0 if bound is None else bound
    distance = max(abs(math.log(bound)), abs(math.log((1 - SLOWDOWN) / bound)))
    # A round's A/A ratio has two speeds. Its A/B ratio has one speed, and the mean of two others.
    return _count_rounds(spread * math.sqrt(1.5 / 2), distance, confidence)


def measure_rounds(
    measure: Callable[[int], Sequence[Sequence[float]]],
    spread: float | None,
    *,
    bound: float | None,
    confidence: float,
    fewest: int,
    most: int,
) -> list[list[float]]:
    """Measure as many rounds as their noise asks for, and return the speeds of each program in every round.

    A first plan comes from `spread`. Then the plan is made again from the noise of the measured rounds, and
    rounds are added until the noise asks for no more. The plan reads only the ratio of the first program to
    itself, so that it does not depend on the ratio of the two programs.

    Args:
        measure: measures the given number of rounds of the first program, the second, and the first again.
        spread: the noise of one round, measured before. None: unknown.
        bound: the least ratio that is required, as in `plan_rounds`.
        confidence: the confidence of the interval of the ratio.
        fewest: the fewest rounds.
        most: the most rounds.
    """
    speeds: list[list[float]] = [[], [], []]
    while True:
        planned = None if spread is None else plan_rounds(spread, bound, confidence)
        wanted = max(fewest, min(most, planned or most)) - len(speeds[0])
        if wanted <= 0:
            return speeds
        for values, more in zip(speeds, measure(wanted), strict=True):
            values.extend(more)
        spread = measure_spread_of_rounds(speeds[0], speeds[2])


def compare_alternate(
    first: Sequence[float], second: Sequence[float], again: Sequence[float], *, confidence: float
) -> Alternation | None:
    """Compare two programs that took turns. Each round timed the first, the second, and the first again.

    The first program's speed in a round is the geometric mean of its two timings. This mean cancels a steady
    drift of the machine's speed. The trimmed mean over rounds hardly depends on rounds that other programs
    disturbed. Return None for fewer than three rounds.

    Args:
        first: the speed of the first program at the start of each round.
        second: the speed of the second program in each round.
        again: the speed of the first program at the end of each round.
        confidence: the confidence of the interval.
    """
    if len(first) < PAIRS_FOR_A_VERDICT:
        return None
    before, after = np.log(first), np.log(again)
    ratios = (np.log(second) - (before + after) / 2).tolist()
    itself = stats.trim_mean(after - before, TRIMMED)
    return Alternation(
        ratio=compute_trimmed_interval(ratios, confidence).exponentiate(),
        noise=math.exp(abs(float(itself))),
        spread=compute_trimmed_spread(ratios),
        rounds=len(first),
    )


def _count_rounds(spread: float, distance: float, confidence: float) -> int | None:
    """Count the rounds after which the interval, widened by the noise, excludes a bound at this distance.

    Measured in standard errors of the ratio, the error of the ratio plus the absolute A/A ratio is
    Z + a·|Z'| with a = √(2 / 1.5), which has a skew normal distribution (Azzalini, 1985).
    """
    shape = math.sqrt(2 / 1.5)
    reach = float(stats.skewnorm.ppf(PLANNED_POWER, shape)) * math.hypot(1, shape)
    if distance <= 0:
        return None

    def enough(rounds: int) -> bool:
        degrees = rounds - 2 * int(TRIMMED * rounds) - 1
        critical = float(stats.t.ppf((1 + confidence) / 2, degrees))
        return (critical + reach) * spread <= distance * math.sqrt(rounds)

    above = PAIRS_FOR_A_VERDICT
    while above < MOST_COUNTED and not enough(above):
        above *= 2
    if above >= MOST_COUNTED:
        return None
    return next(rounds for rounds in range(max(PAIRS_FOR_A_VERDICT, above // 2), above + 1) if enough(rounds))
