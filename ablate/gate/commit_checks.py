"""Check the throughput and the parameters of two commits, arm by arm."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from ablate.errors import AblateError, did_you_mean
from ablate.gate.checks import Check
from ablate.gate.commits import Checkout, Timer, Training, time_rounds
from ablate.gate.needs import Need
from ablate.gate.rules import Outcome, Reason, Requirement, decide_parameters, decide_throughput
from ablate.stats.alternation import Alternation, compare_alternate, measure_noise


@dataclass(frozen=True, kw_only=True)
class TimedArm:
    """The throughput of one arm in two commits."""

    arm: str
    parameters: tuple[int, int]
    noise: float | None
    """The A/A noise as a ratio above 1. None for fewer than three rounds."""
    rounds: int
    disturbed: int
    """The number of rounds that other programs disturbed."""
    change: Alternation | None = None
    """The ratio of the two commits. None before it is measured."""


def time_commits(
    base: Checkout,
    head: Checkout,
    training: Training,
    *,
    arms: Sequence[str],
    rounds: int,
    alpha: float,
) -> Iterator[TimedArm]:
    """Time the arms of two commits in alternation.

    First yield each arm with the A/A noise, from two processes of the base. Then yield each arm again with
    the ratio of the commits: base, head and base take turns. Each end of an interval has alpha/arms.

    Raises:
        AblateError: a commit cannot train the study, or an arm is unknown.
    """
    with ExitStack() as stack:
        timers = []
        for checkout in (base, head, base):  # one after another, so that three imports do not share memory
            timers.append(Timer(checkout, training))
            stack.callback(timers[-1].close)
        first, second, _ = (timer.list_arms() for timer in timers)
        for arm in arms:
            if arm not in first and arm not in second:
                raise AblateError(f"--arm {arm}: {did_you_mean(arm, list(first))}")
        asked = [arm for arm in (arms or first) if arm in first and arm in second]
        confidence = 1 - 2 * alpha / max(1, len(asked))
        noises: dict[str, float | None] = {}
        for arm in asked:
            found = time_rounds([timers[0], timers[2]], arm, rounds)
            noises[arm] = measure_noise(*found.speeds, confidence=confidence)
            counts = first[arm], second[arm]
            yield TimedArm(
                arm=arm, parameters=counts, noise=noises[arm], rounds=rounds, disturbed=found.disturbed
            )
        for arm in asked:
            found = time_rounds(timers, arm, rounds)
            noise, counts = noises[arm], (first[arm], second[arm])
            change = None
            if noise is not None:
                change = compare_alternate(*found.speeds, noise=noise, confidence=confidence)
            yield TimedArm(
                arm=arm,
                parameters=counts,
                noise=noise,
                change=change,
                rounds=rounds,
                disturbed=found.disturbed,
            )


def check_throughput(timed: TimedArm, bound: float, confidence: float) -> Check:
    """Check the throughput of an arm. The interval is widened by the A/A noise on both sides."""
    change = timed.change
    low, high = (None, None) if change is None else (change.low, change.high)
    outcome, reason = decide_throughput(low, high, bound)
    noise = "" if timed.noise is None else f"The noise of this machine (A/A) is {timed.noise - 1:.1%}."
    if timed.disturbed:
        noise += f" Other programs disturbed {timed.disturbed} of {timed.rounds} rounds."
    return Check(
        requirement=Requirement.THROUGHPUT,
        arm=timed.arm,
        outcome=outcome,
        reason=reason,
        detail=noise,
        estimate=change.ratio.mean if change else None,
        low=low,
        high=high,
        confidence=confidence,
        bound=bound,
        count=timed.rounds,
        need=Need(3) if outcome == Outcome.CANNOT_TELL and reason == Reason.TOO_FEW_BLOCKS else None,
    )


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
    """List a check that cannot tell for each arm that only one of the commits has."""
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
