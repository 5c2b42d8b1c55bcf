"""Compare the speeds of two programs that take turns. Each round times the first program twice.

A is the first program, and B is the second. An A/A ratio compares the first program with itself, and an A/B
ratio compares the second program with the first.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ablate.stats.intervals import TRIMMED, Interval, compute_trimmed_interval, compute_trimmed_spread
from ablate.stats.power import PAIRS_FOR_A_VERDICT

SLOWDOWN = 0.10
"""The plan has enough rounds to show a slowdown of this size: 10 %."""
PLANNED_POWER = 0.95
"""The power for which rounds are planned.

The true power is lower. The noise is known only roughly, and the plan ignores that two processes of the same
program can differ in speed. With a planned power of 95 %, at least 80 % of slowdowns are found (measured by
`tests/gate/test_timing_calibration.py`).
"""
MOST_COUNTED = 100_000
"""If more rounds than this are needed, they are not counted, because nobody would wait for so many rounds."""


@dataclass(frozen=True, kw_only=True)
class Alternation:
    """The ratio of the speeds of two programs, and the ratio of one program to itself (the noise)."""

    ratio: Interval
    """The speed of the second program divided by the speed of the first: geometric trimmed mean."""
    noise: float
    """How much faster or slower the first program was than itself (an A/A test), as a ratio above 1.

    This is a geometric trimmed mean over the rounds in which the two programs were compared.
    """
    spread: float
    """The standard deviation of the logarithms of the rounds' ratios, computed for the trimmed mean."""
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
        """Count the rounds that are needed to show on which side of a bound the ratio lies.

        The measured ratio is taken as the true ratio. Return None if more than `MOST_COUNTED` rounds are
        needed.
        """
        return _count_rounds(self.spread, abs(math.log(self.ratio.mean / bound)), confidence)


def measure_spread_of_rounds(first: Sequence[float], again: Sequence[float]) -> float | None:
    """Measure the noise of one round from the speeds of the same program in two processes (A/A).

    The noise is the standard deviation of log(again / first) over the rounds, computed for the trimmed mean.
    Return None for fewer than three rounds.

    Args:
        first: the program's speed in each round.
        again: the speed of the same program in another process, in the same rounds.
    """
    if len(first) < PAIRS_FOR_A_VERDICT:
        return None
    return compute_trimmed_spread((np.log(again) - np.log(first)).tolist())


def plan_rounds(spread: float, bound: float | None, confidence: float) -> int | None:
    """Count the rounds that are needed to tell a slowdown of 10 %, or equal speeds, from the bound.

    Two true ratios are considered: 0.9 (the slowdown) and 1 (equal speeds). The plan uses the ratio that is
    farther from the bound. Return None if more than `MOST_COUNTED` rounds are needed.

    Args:
        spread: the noise of one round, as `measure_spread_of_rounds` returns it.
        bound: the smallest ratio that the user accepts. None means a ratio of 1.
        confidence: the confidence of the interval of the ratio.
    """
    bound = 1.0 if bound is None else bound
    distance = max(abs(math.log(bound)), abs(math.log((1 - SLOWDOWN) / bound)))
    # The A/A ratio of a round has the noise of two speeds. The A/B ratio has less: the noise of one speed and
    # of a mean of two speeds.
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
    """Measure as many rounds as the noise requires, and return the speeds of each program in every round.

    The first plan is made from `spread`. Later plans are made from the noise of the rounds that were
    measured. Rounds are added until the plan requires no more. A plan uses only the ratio of the first
    program to itself. So the number of rounds does not depend on the ratio of the two programs.

    Args:
        measure: a function that measures a number of rounds. It returns the speeds of the first program, of
            the second, and of the first again.
        spread: the noise of one round, from an earlier measurement. None if it is not known.
        bound: the smallest ratio that the user accepts, as in `plan_rounds`.
        confidence: the confidence of the interval of the ratio.
        fewest: the minimum number of rounds.
        most: the maximum number of rounds.
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
    drift of the machine's speed. If other programs disturb some rounds, the trimmed mean over rounds hardly
    changes. Return None for fewer than three rounds.

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

    `distance` is the distance between the true ratio and the bound, as logarithms. Two errors add up: the
    error of the ratio, and the absolute A/A ratio. In standard errors of the ratio, their sum is Z + a·|Z'|
    with a = √(2 / 1.5). Z and Z' are standard normal variables, so this sum has a skew normal distribution
    (Azzalini, 1985).
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
