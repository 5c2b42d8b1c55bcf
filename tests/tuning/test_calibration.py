"""Simulations: identical arms are rarely called different, and true differences are found at the computed power."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats as reference

from ablate.design.arms import make_grid
from ablate.design.designs import lay_out
from ablate.design.grid import Grid
from ablate.records.tables import make_frame
from ablate.stats import comparisons, power
from ablate.stats.contrasts import make_contrasts
from ablate.study import study_file
from ablate.study.effort import Decision
from ablate.tuning.choice import Choice
from ablate.tuning.rule import advance
from ablate.tuning.trials import Trial
from tests.conftest import STUDIES

STUDIES_SIMULATED = 1_000
ALPHA = 0.05
SEEDS = 10
SPREAD = 0.006
"""The standard deviation of accuracy over seeds. That of LeNet on Fashion-MNIST is at least as large."""

Landscape = Callable[[float], float]
LANDSCAPES: dict[str, Landscape] = {
    # Accuracy as a function of log2(learning rate / recipe's own): how much a noisy choice costs.
    "flat": lambda x: 0.85 - 0.001 * x**2,
    "gentle": lambda x: 0.85 - 0.004 * x**2,
    "rising to a cliff": lambda x: 0.84 + 0.006 * x - (0.3 if x > 1.2 else 0),
}


@pytest.fixture(scope="module")
def grid() -> Grid:
    spec = study_file.read(STUDIES / "lenet_pooling.yaml")
    return make_grid(spec, lay_out(spec).arms[0])


def tuned(grid: Grid, accuracy: Landscape, rng: np.random.Generator) -> dict[str, float]:
    """Tune two identical arms. Each score has independent noise, which is the worst case."""
    scores: dict[Trial, float] = {}
    while True:
        wanted = advance({"baseline": grid, "twin": grid}, scores)
        if isinstance(wanted, dict):
            return {arm: _at(choice) for arm, choice in wanted.items()}
        for trial in wanted:
            rate = dict(trial.setting)["learning_rate"]
            scores[trial] = accuracy(np.log2(rate / 0.9)) + rng.normal(scale=SPREAD)


def _at(choice: Choice) -> float:
    return float(np.log2(choice.chosen["learning_rate"] / 0.9))


@pytest.mark.parametrize("landscape", LANDSCAPES)
def test_identical_arms_are_called_different_at_most_alpha_of_the_time(grid: Grid, landscape: str) -> None:
    accuracy = LANDSCAPES[landscape]
    p_values, expected = np.empty(STUDIES_SIMULATED), np.empty(STUDIES_SIMULATED)
    for i in range(STUDIES_SIMULATED):
        rng = np.random.default_rng([0, i])
        at = tuned(grid, accuracy, rng)
        confirmed = {arm: accuracy(x) + rng.normal(scale=SPREAD, size=SEEDS) for arm, x in at.items()}
        expected[i] = rejected(accuracy(at["twin"]) - accuracy(at["baseline"]))
        p_values[i] = reference.ttest_rel(confirmed["twin"], confirmed["baseline"]).pvalue
        if i < 20:  # with one contrast this equals p_holm
            assert p_holm(confirmed)["twin"] == pytest.approx(p_values[i], rel=1e-3)
    simulation_error = 3 * np.sqrt(ALPHA * (1 - ALPHA) / STUDIES_SIMULATED)
    assert np.mean(p_values < ALPHA) <= ALPHA + simulation_error
    # The same without the noise of confirmation: the exact rate of rejection for the chosen settings.
    assert ALPHA <= expected.mean() <= ALPHA + 0.003


def rejected(difference: float) -> float:
    """The rate at which a paired t-test rejects for a true difference, from the noncentral t distribution."""
    critical = reference.t.ppf(1 - ALPHA / 2, SEEDS - 1)
    shift = difference / (SPREAD * np.sqrt(2)) * np.sqrt(SEEDS)
    if not shift:
        return ALPHA
    beyond = reference.nct.sf(critical, SEEDS - 1, shift) + reference.nct.cdf(-critical, SEEDS - 1, shift)
    return float(beyond)


@pytest.mark.parametrize(("pairs", "arms"), [(5, 1), (10, 1), (10, 4), (20, 2)])
def test_a_known_difference_is_found_at_the_computed_power(pairs: int, arms: int) -> None:
    rng = np.random.default_rng(pairs)
    effect = power.compute_detectable_effect(pairs, ALPHA / arms)
    found = 0
    for i in range(STUDIES_SIMULATED):
        # All differences share the baseline's noise, as in a study.
        base = 0.8 + rng.normal(scale=SPREAD, size=pairs)
        others = {f"arm{k}": base + rng.normal(scale=SPREAD, size=pairs) for k in range(arms)}
        others["arm0"] = others["arm0"] + effect * SPREAD
        differences = np.stack([values - base for values in others.values()])
        holm = stepped_down(reference.ttest_1samp(differences, 0, axis=1).pvalue)
        found += holm[0] < ALPHA
        if i < 10:
            assert list(p_holm({"baseline": base, **others}).values()) == pytest.approx(holm, rel=1e-3)
    assert found / STUDIES_SIMULATED == pytest.approx(power.POWER, abs=0.04)


def stepped_down(p: np.ndarray) -> np.ndarray:
    """Holm's correction, implemented a second time (Holm, 1979)."""
    order = np.argsort(p)
    ladder = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(ladder, 1)
    return adjusted


def p_holm(accuracies: dict[str, np.ndarray]) -> dict[str, float]:
    """The verdicts of the report, by arm."""
    runs = make_frame(
        "runs",
        [
            {
                "phase": "confirm",
                "arm": arm,
                "setting": "",
                "seed": seed,
                "status": "complete",
                "test_accuracy": value,
            }
            for arm, values in accuracies.items()
            for seed, value in enumerate(values)
        ],
    )
    baseline, *others = accuracies
    contrasts = make_contrasts((arm, baseline) for arm in others)
    compared = comparisons.compare(runs, contrasts, Decision(alpha=ALPHA), ceiling=0.11)
    return compared.set_index("arm")["p_holm"].astype(float).to_dict()
