"""How often `--commits` is wrong about throughput, in gates simulated from recorded speeds.

`pytest -m thorough -n 0 -s tests/gate/test_timing_calibration.py` prints the table that reports/README.md has.
`record_speeds.py` says where the speeds come from.
"""

import csv
import math
from collections import Counter, defaultdict
from statistics import median

import numpy as np
import pytest

from ablate.gate.commit_checks import MOST_ROUNDS, PILOT_ROUNDS
from ablate.gate.rules import Outcome, decide_throughput
from ablate.stats.alternation import compare_alternate, measure_rounds, measure_spread_of_rounds
from tests.gate.record_speeds import SPEEDS

pytestmark = pytest.mark.thorough
GATES = 200
ALPHA = 0.05
BLOCKS = 10
"""`timing.blocks` of a study by default."""
STRETCH = 4
"""Rounds that follow each other are drawn together, so that slow changes of the machine's speed remain."""
OFFSET = 0.01
"""Each process is faster or slower than the others for its whole life, by a normal random share of this size."""


def read_sessions(load: str) -> list[np.ndarray]:
    """Speeds of three processes of the same code in every round, `(3, rounds)`, for each recorded session."""
    sessions = defaultdict(list)
    with SPEEDS.open() as file:
        for row in csv.DictReader(file):
            if row["load"] == load:
                sessions[row["session"]].append([float(row[name]) for name in ("first", "second", "again")])
    return [np.array(rows).T for rows in sessions.values()]


def draw(session: np.ndarray, rounds: int, rng: np.random.Generator) -> np.ndarray:
    """Draw rounds, `(3, rounds)`. In each stretch of rounds, the three equal processes change their places."""
    stretches = []
    for _ in range(math.ceil(rounds / STRETCH)):
        start = rng.integers(0, session.shape[1] - STRETCH + 1)
        stretches.append(session[rng.permutation(3), start : start + STRETCH])
    return np.concatenate(stretches, axis=1)[:, :rounds]


def simulate(load: str, bound: float, ratio: float) -> list[tuple[Outcome, int]]:
    """List outcome and rounds of gates on two commits with a true ratio of speeds."""
    rng = np.random.default_rng(round(1000 * (bound + 10 * ratio)))
    sessions, confidence = read_sessions(load), 1 - 2 * ALPHA
    gates = []
    for _ in range(GATES):
        session = sessions[rng.integers(len(sessions))]
        pace = np.exp(rng.normal(0, OFFSET, (3, 1))) * [[1], [ratio], [1]]
        first, _, again = draw(session, PILOT_ROUNDS, rng) * pace
        speeds = measure_rounds(
            lambda wanted, session=session, pace=pace: (draw(session, wanted, rng) * pace).tolist(),
            measure_spread_of_rounds(first, again),
            bound=bound, confidence=confidence, fewest=BLOCKS, most=MOST_ROUNDS,
        )  # fmt: skip
        found = compare_alternate(*speeds, confidence=confidence)
        gates.append((decide_throughput(found.low, found.high, bound)[0], found.rounds))
    counts = Counter(outcome for outcome, _ in gates)
    cells = [counts[outcome] for outcome in (Outcome.HOLDS, Outcome.FAILS, Outcome.CANNOT_TELL)]
    print(
        f"| {load}, ratio {ratio}, bound {bound} | {median(rounds for _, rounds in gates):.0f} | {' | '.join(map(str, cells))} |"
    )
    return gates


@pytest.mark.parametrize("bound", [0.95, 1.0])
@pytest.mark.parametrize("load", ["usual", "busy"])
def test_equal_commits_are_red_in_at_most_alpha_of_gates(load: str, bound: float) -> None:
    counts = Counter(outcome for outcome, _ in simulate(load, bound, 1.0))
    assert counts[Outcome.FAILS] <= ALPHA * GATES
    if bound == 1.0:
        assert counts[Outcome.HOLDS] <= ALPHA * GATES
    else:
        assert counts[Outcome.HOLDS] >= 0.7 * GATES


@pytest.mark.parametrize("bound", [0.95, 1.0])
@pytest.mark.parametrize("load", ["usual", "busy"])
def test_a_slowdown_of_ten_percent_is_found_by_the_planned_rounds_and_is_never_green(
    load: str, bound: float
) -> None:
    gates = simulate(load, bound, 0.9)
    assert all(outcome != Outcome.HOLDS for outcome, _ in gates)
    promised = [outcome for outcome, rounds in gates if rounds < MOST_ROUNDS]
    print(f"planned within {MOST_ROUNDS} rounds: {len(promised)}, red: {promised.count(Outcome.FAILS)}")
    assert promised.count(Outcome.FAILS) >= 0.8 * len(promised)
    assert len(promised) >= 0.4 * GATES
