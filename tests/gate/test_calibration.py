"""How often the gate is wrong, in gates simulated from the records of a published report.

`pytest -m slow -n 0 -s tests/gate/test_calibration.py` prints the numbers that reports/README.md has.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ablate.gate.checks import combine_outcomes
from ablate.gate.measuring import measure_changes
from ablate.gate.rules import Outcome, Requirement, decide
from ablate.report.evidence import Evidence
from ablate.stats.power import compute_detectable_effect
from tests.test_readme import gather_published

GATES = 200
LOSS = 0.01
SEEDS = 10
ARMS = ("baseline", "pooling=max")
REQUIREMENTS = (Requirement.NO_WORSE, Requirement.BETTER, Requirement.EQUIVALENT)


def fold(evidence: Evidence, accuracies: np.ndarray) -> Evidence:
    """The report's evidence with other test accuracies, `(arms, seeds)`."""
    runs = evidence.confirmed
    first = runs[runs["seed"] == 0]
    rows = [
        first[first["arm"] == arm].assign(seed=seed, test_accuracy=round(float(value), 4))
        for arm, values in zip(ARMS, accuracies, strict=True)
        for seed, value in enumerate(values)
    ]
    return replace(evidence, tables={**evidence.tables, "runs": pd.concat(rows)}, missing_runs=0)


def draw(
    evidence: Evidence, seeds: int, rng: np.random.Generator, *, same_streams: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Draw A's and B's accuracies, `(arms, seeds)`, without a true difference, from the report's records.

    With the same random streams, B differs from A by the residuals of the differences between the report's
    two arms. Otherwise B has other seeds of the same arms.
    """
    wide = evidence.confirmed.pivot(index="seed", columns="arm", values="test_accuracy").astype(float)
    known = wide[list(ARMS)].to_numpy().T
    a = known[:, rng.integers(0, known.shape[1], seeds)]
    if not same_streams:
        return a, known[:, rng.integers(0, known.shape[1], seeds)]
    residuals = known[1] - known[0] - (known[1] - known[0]).mean()
    residuals = residuals * np.sqrt(len(residuals) / (len(residuals) - 1))
    return a, a + residuals[rng.integers(0, len(residuals), a.shape)]


def count(
    evidence: Evidence, *, same_streams: bool, loss: float, seeds: int = SEEDS
) -> dict[str, Counter[Outcome]]:
    """Count the outcomes of simulated gates, by requirement. The arm loses `loss` in B."""
    rng = np.random.default_rng(round(1e6 * loss) + same_streams)
    found: dict[str, Counter[Outcome]] = {requirement: Counter() for requirement in REQUIREMENTS}
    for _ in range(GATES):
        a, b = draw(evidence, seeds, rng, same_streams=same_streams)
        b = b - loss * np.array([[0], [1]])
        decision = evidence.study.decision
        changes = measure_changes(fold(evidence, a), fold(evidence, b), ARMS, decision)
        for requirement, counts in found.items():
            shown = {decide(requirement, change.measured, decision.margin)[0] for change in changes.values()}
            counts[combine_outcomes(shown)] += 1
    print(f"loss {loss}, same streams {same_streams}, {seeds} seeds: {found}")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("same_streams", [True, False])
def test_gates_without_a_difference_are_seldom_wrong(same_streams: bool) -> None:
    found = count(gather_published("lenet_pooling"), same_streams=same_streams, loss=0.0)
    assert found[Requirement.NO_WORSE][Outcome.FAILS] <= 0.05 * GATES
    assert found[Requirement.EQUIVALENT][Outcome.FAILS] <= 0.08 * GATES  # 0.05, and chance
    assert found[Requirement.BETTER][Outcome.HOLDS] <= 0.05 * GATES


@pytest.mark.slow
def test_a_loss_of_a_point_is_found_where_the_plan_promises_it() -> None:
    evidence = gather_published("lenet_pooling")
    wide = evidence.confirmed.pivot(index="seed", columns="arm", values="test_accuracy").astype(float)
    spread = float((wide[ARMS[1]] - wide[ARMS[0]]).std(ddof=1))
    seeds = next(n for n in range(3, 99) if compute_detectable_effect(n, 0.05 / 2) * spread <= LOSS)
    found = count(evidence, same_streams=True, loss=LOSS, seeds=seeds)[Requirement.NO_WORSE]
    assert found[Outcome.FAILS] >= 0.8 * GATES
    assert found[Outcome.HOLDS] <= 0.05 * GATES  # the true loss is exactly the margin


@pytest.mark.slow
def test_a_loss_of_two_points_is_never_green() -> None:
    for same_streams in (True, False):
        found = count(gather_published("lenet_pooling"), same_streams=same_streams, loss=2 * LOSS)
        assert found[Requirement.NO_WORSE][Outcome.HOLDS] == 0
