"""The gate's rules, as tables: what is measured, and what each requirement makes of it."""

import pytest

from ablate.gate.rules import (
    Measured,
    Outcome,
    Reason,
    Requirement,
    decide,
    decide_parameters,
    decide_throughput,
)

MARGIN = 0.01
HOLDS, FAILS, OPEN = Outcome.HOLDS, Outcome.FAILS, Outcome.CANNOT_TELL


def measured(low: float | None, high: float | None, **changes: object) -> Measured:
    """What eight pairs show. A difference is significant if its interval leaves out zero."""
    middle = None if low is None or high is None else (low + high) / 2
    significant = middle is not None and not low <= 0 <= high
    given = {"pairs": 8, "difference": middle, "low": low, "high": high, "significant": significant}
    return Measured(**{**given, **changes})


@pytest.mark.parametrize(
    ("low", "high", "no_worse", "better", "equivalent"),
    [
        # the interval, and what it shows with a margin of 0.01
        (-0.004, +0.004, HOLDS, FAILS, HOLDS),
        (-0.004, +0.020, HOLDS, OPEN, OPEN),
        (-0.020, +0.004, OPEN, FAILS, OPEN),
        (-0.020, +0.020, OPEN, OPEN, OPEN),
        (+0.012, +0.030, HOLDS, HOLDS, FAILS),
        (+0.004, +0.030, HOLDS, HOLDS, FAILS),
        (+0.002, +0.008, HOLDS, FAILS, HOLDS),
        (-0.030, -0.012, FAILS, FAILS, FAILS),
        (-0.030, -0.004, FAILS, FAILS, FAILS),
        (-0.008, -0.002, HOLDS, FAILS, HOLDS),
        (-0.010, +0.004, OPEN, FAILS, OPEN),  # an end on the margin is not inside
        (-0.004, +0.010, HOLDS, OPEN, OPEN),
    ],
)
def test_intervals_decide(
    low: float, high: float, no_worse: Outcome, better: Outcome, equivalent: Outcome
) -> None:
    one = measured(low, high)
    found = {requirement: decide(requirement, one, MARGIN)[0] for requirement in list(Requirement)[:4]}
    wanted = {"no-worse": no_worse, "better": better, "equivalent": equivalent, "reproduced": equivalent}
    assert found == wanted


@pytest.mark.parametrize("requirement", list(Requirement)[:4])
@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (measured(None, None, pairs=0), Reason.TOO_FEW_SEEDS),
        (measured(0.03, 0.03, pairs=2), Reason.TOO_FEW_SEEDS),
        (measured(-0.02, 0.02), Reason.UNCLEAR),
        (measured(None, None, pairs=0, broken=True), Reason.SOME_DID_NOT_TRAIN),
        (measured(-0.004, 0.004, broken=True), Reason.SOME_DID_NOT_TRAIN),
    ],
)
def test_what_is_not_shown_is_neither_green_nor_red(
    requirement: Requirement, one: Measured, reason: Reason
) -> None:
    assert decide(requirement, one, MARGIN) == (OPEN, reason)


@pytest.mark.parametrize(
    ("one", "no_worse", "better", "equivalent"),
    [
        (measured(0.0, 0.0, same=True), HOLDS, FAILS, HOLDS),
        (measured(None, None, pairs=0, same=True, broken=True), HOLDS, FAILS, HOLDS),
        (measured(-0.03, -0.02, broken=True), FAILS, FAILS, FAILS),
        (measured(-0.004, 0.004, broken=True, trains=-1), FAILS, FAILS, FAILS),
        (measured(-0.004, 0.004, broken=True, trains=1), HOLDS, HOLDS, FAILS),
        (measured(-0.030, -0.020, broken=True, trains=1), FAILS, FAILS, FAILS),
        (measured(0.02, 0.03, broken=True), OPEN, OPEN, FAILS),
    ],
)
def test_runs_that_did_not_train_and_runs_that_are_the_same(
    one: Measured, no_worse: Outcome, better: Outcome, equivalent: Outcome
) -> None:
    found = [
        decide(r, one, MARGIN)[0] for r in (Requirement.NO_WORSE, Requirement.BETTER, Requirement.EQUIVALENT)
    ]
    assert found == [no_worse, better, equivalent]


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.96, 1.1, HOLDS),
        (0.95, 1.0, HOLDS),
        (0.9, 0.949, FAILS),
        (0.9, 0.95, OPEN),
        (0.9, 1.0, OPEN),
        (None, None, OPEN),
    ],
)
def test_the_whole_interval_of_the_throughput_decides(
    low: float | None, high: float | None, outcome: Outcome
) -> None:
    assert decide_throughput(low, high, 0.95)[0] == outcome


@pytest.mark.parametrize(
    ("before", "after", "bound", "outcome"),
    [
        (100, 100, 1.0, HOLDS),
        (100, 101, 1.0, FAILS),
        (100, 101, 1.01, HOLDS),
        (None, 1, 1.0, OPEN),
        (1, None, 1.0, OPEN),
    ],
)
def test_parameters_are_counted(
    before: int | None, after: int | None, bound: float, outcome: Outcome
) -> None:
    assert decide_parameters(before, after, bound)[0] == outcome
