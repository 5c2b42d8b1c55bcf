"""Check the throughput and the parameters of two commits, arm by arm."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from ablate.errors import AblateError, did_you_mean
from ablate.gate.checks import Check
from ablate.gate.commits import Checkout, Timer, Training, time_rounds
from ablate.gate.needs import Need
from ablate.gate.rules import Outcome, Reason, Requirement, decide_parameters, decide_throughput
from ablate.stats.alternation import (
    Alternation,
    compare_alternate,
    measure_rounds,
    measure_spread_of_rounds,
    plan_rounds,
)

PILOT_ROUNDS = 20
"""The minimum number of rounds in which the base commit is timed against itself.

From so many rounds, the noise is known well enough to plan the other rounds.
"""
MOST_ROUNDS = 300
"""The maximum number of planned rounds.

So many rounds take about six minutes per arm, with blocks of 0.4 seconds.
"""


@dataclass(frozen=True, kw_only=True)
class TimedArm:
    """The throughput of one arm in two commits."""

    arm: str
    parameters: tuple[int, int]
    spread: float | None
    """The noise of one round. The noise is measured first, by timing the base commit against itself (A/A).

    See `measure_spread_of_rounds`.
    """
    planned: int | None
    """The number of rounds that would show a slowdown of 10 % with this noise. None if far too many."""
    rounds: int
    """The number of rounds that were measured."""
    disturbed: int
    """The number of rounds that other programs disturbed."""
    change: Alternation | None = None
    """The ratio of the throughputs of the two commits. None if this ratio is not measured yet."""


def time_commits(
    base: Checkout,
    head: Checkout,
    training: Training,
    *,
    arms: Sequence[str],
    rounds: int,
    bound: float | None,
    alpha: float,
) -> Iterator[TimedArm]:
    """Time the arms of two commits in alternation.

    First yield each arm with the noise of one round, and with the number of rounds that this noise requires.
    The noise is measured with two processes that both run the base commit. Then yield each arm again with the
    ratio of the commits. For this ratio, processes of base, head and base take turns. The processes do as
    many rounds as the noise of the rounds requires, at least `rounds` and at most `MOST_ROUNDS`. Each end of
    an interval has the error probability alpha / arms.

    Raises:
        AblateError: a commit cannot train the study, or an arm is unknown.
    """
    with ExitStack() as stack:
        timers = []
        for checkout in (base, head, base):  # not all at once, because three imports need much memory
            timers.append(Timer(checkout, training))
            stack.callback(timers[-1].close)
        first, second, _ = (timer.list_arms() for timer in timers)
        for arm in arms:
            if arm not in first and arm not in second:
                raise AblateError(f"--arm {arm}: {did_you_mean(arm, list(first))}")
        asked = [arm for arm in (arms or first) if arm in first and arm in second]
        confidence = 1 - 2 * alpha / max(1, len(asked))
        pilots: list[TimedArm] = []
        for arm in asked:
            found = time_rounds([timers[0], timers[2]], arm, max(PILOT_ROUNDS, rounds))
            spread = measure_spread_of_rounds(*found.speeds)
            planned = None if spread is None else plan_rounds(spread, bound, confidence)
            pilots.append(
                TimedArm(
                    arm=arm,
                    parameters=(first[arm], second[arm]),
                    spread=spread,
                    planned=planned,
                    rounds=len(found.speeds[0]),
                    disturbed=found.disturbed,
                )
            )
            yield pilots[-1]
        for pilot in pilots:
            yield _compare(timers, pilot, rounds=rounds, bound=bound, confidence=confidence)


def _compare(
    timers: Sequence[Timer], pilot: TimedArm, *, rounds: int, bound: float | None, confidence: float
) -> TimedArm:
    """Time processes of base, head and base in turn, and compare the throughputs."""
    disturbed = 0

    def measure(count: int) -> list[list[float]]:
        nonlocal disturbed
        found = time_rounds(timers, pilot.arm, count)
        disturbed += found.disturbed
        return found.speeds

    speeds = measure_rounds(
        measure, pilot.spread, bound=bound, confidence=confidence, fewest=rounds, most=MOST_ROUNDS
    )
    change = compare_alternate(*speeds, confidence=confidence)
    return replace(pilot, change=change, rounds=len(speeds[0]), disturbed=disturbed)


def check_throughput(timed: TimedArm, bound: float, confidence: float) -> Check:
    """Check the throughput of an arm. The noise of this machine widens the interval on both sides."""
    change = timed.change
    low, high = (None, None) if change is None else (change.low, change.high)
    outcome, reason = decide_throughput(low, high, bound)
    need = None
    if outcome == Outcome.CANNOT_TELL and change is not None:
        needed = change.count_rounds(bound, confidence)
        need = Need(max(needed, timed.rounds + 1), as_measured=True) if needed else None
    return Check(
        requirement=Requirement.THROUGHPUT,
        arm=timed.arm,
        outcome=outcome,
        reason=reason,
        detail=describe_noise(timed),
        estimate=change.ratio.mean if change else None,
        low=low,
        high=high,
        confidence=confidence,
        bound=bound,
        count=timed.rounds,
        need=need,
    )


def describe_noise(timed: TimedArm) -> str:
    """Describe the noise of the machine in one round, and in the mean of all rounds if it is measured."""
    told = []
    if timed.change is not None:
        told.append(
            f"The noise of this machine (A/A) is {timed.change.noise - 1:.1%} in the mean of all rounds"
        )
    if timed.spread is not None:
        told.append(f"{math.expm1(timed.spread):.1%} in one round")
    sentences = [f"{' and '.join(told)}."] if told else []
    if timed.disturbed:
        sentences.append(f"Other programs disturbed {timed.disturbed} of {timed.rounds} rounds.")
    return " ".join(sentences)


def check_parameters(timed: TimedArm, bound: float) -> Check:
    """Check the number of parameters of an arm."""
    before, after = timed.parameters
    outcome, reason = decide_parameters(before, after, bound)
    return Check(
        requirement=Requirement.PARAMETERS,
        arm=timed.arm,
        outcome=outcome,
        reason=reason,
        detail=f"B has {after:,} parameters and A has {before:,}.",
        estimate=after / before,
        bound=bound,
    )


def list_missing(arms: Sequence[str], timed: Mapping[str, TimedArm], requirement: Requirement) -> list[Check]:
    """Make a check with the outcome `CANNOT_TELL` for each arm that only one commit has."""
    return [
        Check(
            requirement=requirement,
            arm=arm,
            outcome=Outcome.CANNOT_TELL,
            reason=Reason.NO_COMMON_ARM,
            detail="Only one of the commits has this arm.",
        )
        for arm in arms
        if arm not in timed
    ]
