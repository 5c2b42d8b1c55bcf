"""Simulations: identical arms are rarely called different, and true differences are found at the computed power."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from scipy import special
from scipy import stats as reference

from ablate.design.arms import make_grid
from ablate.design.designs import lay_out
from ablate.design.grid import Grid
from ablate.records.tables import make_frame
from ablate.stats import comparison_tables, comparisons, power
from ablate.stats.contrasts import make_contrasts
from ablate.study import study_file
from ablate.study.effort import Decision
from ablate.tuning import choice
from ablate.tuning.rule import advance
from ablate.tuning.trials import Trial
from tests.conftest import STUDIES

STUDIES_SIMULATED = 1_000
ALPHA = 0.05
SEEDS = 10
SPREAD = 0.006
"""The standard deviation of accuracy over seeds. That of LeNet on Fashion-MNIST is at least as large."""
GUESSING = 0.1

Landscape = Callable[[float], float]
LANDSCAPES: dict[str, Landscape] = {
    # Accuracy as a function of log2(learning rate / recipe's own): how much a noisy choice costs.
    "flat": lambda x: 0.85 - 0.001 * x**2,
    "gentle": lambda x: 0.85 - 0.004 * x**2,
    "rising to a cliff": lambda x: 0.84 + 0.006 * x - (0.3 if x > 1.2 else 0),
}


@dataclass(frozen=True, kw_only=True)
class World:
    """What the simulated networks do: their accuracy by learning rate, and how often a run stays at chance."""

    accuracy: Landscape
    collapses: float = 0.0

    def run(self, x: float, rng: np.random.Generator, size: int | None = None) -> np.ndarray:
        """Train runs. Each score has independent noise, which is the worst case for equal arms."""
        noise = rng.normal(scale=SPREAD, size=size)
        return np.where(rng.random(size) < self.collapses, GUESSING, self.accuracy(x) + noise)


@pytest.fixture(scope="module")
def grids() -> dict[int, Grid]:
    specs = {n: study_file.read(STUDIES / "lenet_pooling.yaml", [f"tuning.trials={n}"]) for n in (3, 5)}
    return {n: make_grid(spec, lay_out(spec).arms[0]) for n, spec in specs.items()}


def tune(grid: Grid, world: World, rng: np.random.Generator, arms: int) -> list[float]:
    """Tune identical arms. Return the place on the landscape of each arm's setting."""
    scores: dict[Trial, float] = {}
    by_arm = {f"arm{i}": grid for i in range(arms)}
    while True:
        wanted = advance(by_arm, scores, guessing=GUESSING)
        if isinstance(wanted, dict):
            return [_place(choice.chosen["learning_rate"]) for choice in wanted.values()]
        for trial in wanted:
            scores[trial] = float(world.run(_place(dict(trial.setting)["learning_rate"]), rng))


def _place(learning_rate: float) -> float:
    return float(np.log2(learning_rate / 0.9))


def find_claims(accuracies: np.ndarray) -> tuple[bool, bool]:
    """Whether any arm is claimed to differ from the first in accuracy, and in how often it trains.

    A second implementation of the tests and of their correction. `accuracies` is `(arms, seeds)`.
    """
    trained = accuracies > 0.11
    p, least = [], []
    for arm, ok in zip(accuracies[1:], trained[1:], strict=True):
        gaps = (arm - accuracies[0])[ok & trained[0]]
        p.append(float(compute_p(gaps)) if len(gaps) > 2 else 1.0)
        least.append(0.0)
    for ok in trained[1:]:
        only = [int((ok & ~trained[0]).sum()), int((trained[0] & ~ok).sum())]
        p.append(min(1.0, 2 * float(special.bdtr(min(only), sum(only), 0.5))) if any(only) else 1.0)
        least.append(min(1.0, 2.0 ** (1 - sum(only))))
    size = next(k for k in range(1, len(p) + 1) if sum(value <= ALPHA / k for value in least) <= k)
    counted = np.array(least) <= ALPHA / size
    claimed = np.zeros(len(p), dtype=bool)
    claimed[counted] = stepped_down(np.array(p)[counted]) < ALPHA
    return bool(claimed[: len(p) // 2].any()), bool(claimed[len(p) // 2 :].any())


def compute_p(gaps: np.ndarray) -> np.ndarray:
    """The two-sided p-value of the t-test that the mean of the last axis is 0, without scipy's many checks."""
    t = gaps.mean(axis=-1) / (gaps.std(axis=-1, ddof=1) / np.sqrt(gaps.shape[-1]))
    p: np.ndarray = 2 * special.stdtr(gaps.shape[-1] - 1, -np.abs(t))
    return p


def ask_report(accuracies: np.ndarray) -> tuple[bool, bool]:
    """Read the same two claims from the tables of a report."""
    runs = make_runs({f"arm{i}": values for i, values in enumerate(accuracies)})
    contrasts = make_contrasts((f"arm{i}", "arm0") for i in range(1, len(accuracies)))
    judgement = comparisons.judge(runs, contrasts, Decision(alpha=ALPHA), ceiling=0.11)
    compared = comparison_tables.tabulate_comparisons(judgement)["p_holm"]
    stability = comparison_tables.tabulate_stability(judgement)
    differ = [*compared.dropna(), *stability["trained_p_holm"].dropna()]
    return any(p < ALPHA for p in differ), any(p < ALPHA for p in stability["p_training_holm"].dropna())


Cell = tuple[float, int, int]
"""The share of runs that stay at chance, the number of arms, and the number of tuning trials."""


def count_claims(
    grids: dict[int, Grid], cells: Iterable[Cell], studies: int, landscape: str = "gentle"
) -> dict[tuple[float, int, int, int], float]:
    """Simulate studies of identical arms. Return the share with a false claim, by cell and number of seeds."""
    shares = {}
    for collapses, arms, trials in cells:
        world = World(accuracy=LANDSCAPES[landscape], collapses=collapses)
        false: dict[int, list[bool]] = {5: [], 10: [], 20: []}
        for i in range(studies):
            rng = np.random.default_rng([1, i, round(collapses * 100), arms, trials])
            at = tune(grids[trials], world, rng, arms) if trials else [0.0] * arms
            for seeds, claims in false.items():
                accuracies = np.stack([world.run(x, rng, seeds) for x in at])
                found = find_claims(accuracies)
                claims.append(any(found))
                if i < 2:
                    assert found == ask_report(accuracies)
        shares |= {(collapses, arms, trials, n): float(np.mean(claims)) for n, claims in false.items()}
    return shares


def assert_calibrated(shares: dict[tuple[float, int, int, int], float], studies: int) -> None:
    """Each share is at most alpha plus three standard errors of a share, and so is their mean."""
    error = np.sqrt(ALPHA * (1 - ALPHA) / studies)
    assert {cell: share for cell, share in shares.items() if share > ALPHA + 3 * error} == {}
    # Each cell has random numbers of its own, so their mean is far more exact. Its three numbers of seeds
    # share a tuning.
    assert np.mean(list(shares.values())) <= ALPHA + 3 * error / np.sqrt(len(shares) / 3)


REDUCED: Sequence[Cell] = [(0.05, 8, 3), (0.2, 4, 5)]


def test_identical_arms_whose_runs_fail_now_and_then_are_seldom_called_different(grids) -> None:
    assert_calibrated(count_claims(grids, REDUCED, studies=100), studies=100)


def test_means_that_include_failed_runs_call_identical_arms_different(
    grids, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the separation of failed runs the test above fails. So the test can see the fault."""
    monkeypatch.setattr(
        choice._Pool, "_mark_failures", staticmethod(lambda scores, limit: np.zeros(len(scores), bool))
    )
    with pytest.raises(AssertionError, match=r"0\.05, 8, 3"):
        assert_calibrated(count_claims(grids, REDUCED[:1], studies=100), studies=100)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("landscape", ["gentle", "rising to a cliff"])
def test_the_whole_grid_is_calibrated(grids, landscape: str) -> None:
    cells = list(product((0, 0.05, 0.2, 0.5), (2, 4, 8), (0, 3, 5)))
    shares = count_claims(grids, cells, STUDIES_SIMULATED, landscape)
    print({cell: round(share, 4) for cell, share in shares.items()})
    assert_calibrated(shares, STUDIES_SIMULATED)


@pytest.mark.parametrize(
    "landscape",
    ["gentle", *(pytest.param(name, marks=pytest.mark.thorough) for name in LANDSCAPES if name != "gentle")],
)
def test_identical_arms_are_called_different_at_most_alpha_of_the_time(grids, landscape: str) -> None:
    world = World(accuracy=LANDSCAPES[landscape])
    gaps, differences = np.empty((STUDIES_SIMULATED, SEEDS)), np.empty(STUDIES_SIMULATED)
    for i in range(STUDIES_SIMULATED):
        rng = np.random.default_rng([0, i])
        at = tune(grids[5], world, rng, arms=2)
        confirmed = [world.run(x, rng, SEEDS) for x in at]
        differences[i] = world.accuracy(at[1]) - world.accuracy(at[0])
        gaps[i] = confirmed[1] - confirmed[0]
        if i < 5:  # with one contrast this equals p_holm
            shown = find_p_holm({"baseline": confirmed[0], "twin": confirmed[1]})
            assert shown["twin"] == pytest.approx(compute_p(gaps[i]), rel=1e-3)
    p_values, expected = compute_p(gaps), compute_rejection_rates(differences)
    simulation_error = 3 * np.sqrt(ALPHA * (1 - ALPHA) / STUDIES_SIMULATED)
    assert np.mean(p_values < ALPHA) <= ALPHA + simulation_error
    # The same without the noise of confirmation: the exact rate of rejection for the chosen settings.
    assert ALPHA <= expected.mean() <= ALPHA + 0.003


def compute_rejection_rates(differences: np.ndarray) -> np.ndarray:
    """The rates at which a paired t-test rejects for true differences, from the noncentral t distribution."""
    critical = reference.t.ppf(1 - ALPHA / 2, SEEDS - 1)
    shifts, places = np.unique(differences / (SPREAD * np.sqrt(2)) * np.sqrt(SEEDS), return_inverse=True)
    beyond = reference.nct.sf(critical, SEEDS - 1, shifts) + reference.nct.cdf(-critical, SEEDS - 1, shifts)
    rates: np.ndarray = np.where(shifts == 0, ALPHA, beyond)[places]
    return rates


@pytest.mark.parametrize(("pairs", "arms"), [(5, 1), (10, 1), (10, 4), (20, 2)])
def test_a_known_difference_is_found_at_the_computed_power(pairs: int, arms: int) -> None:
    rng = np.random.default_rng(pairs)
    effect = power.compute_detectable_effect(pairs, ALPHA / arms)
    # All differences share the baseline's noise, as in a study.
    noise = rng.normal(scale=SPREAD, size=(STUDIES_SIMULATED, 1 + arms, pairs))
    bases, differences = 0.8 + noise[:, 0], noise[:, 1:]
    differences[:, 0] += effect * SPREAD
    p_values = compute_p(differences)
    holm = np.array([stepped_down(p) for p in p_values])
    for base, gaps, corrected in zip(bases[:3], differences, holm, strict=False):
        shown = find_p_holm({"base": base} | {f"arm{k}": base + gap for k, gap in enumerate(gaps)})
        assert list(shown.values()) == pytest.approx(list(corrected), rel=1e-3)
    assert np.mean(holm[:, 0] < ALPHA) == pytest.approx(power.POWER, abs=0.04)


def stepped_down(p: np.ndarray) -> np.ndarray:
    """Holm's correction, implemented a second time (Holm, 1979)."""
    order = np.argsort(p)
    ladder = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(ladder, 1)
    return adjusted


def make_runs(accuracies: dict[str, np.ndarray]):
    return make_frame(
        "runs",
        [
            {"phase": "confirm", "arm": arm, "setting": "", "seed": seed, "status": "complete", "test_accuracy": value}
            for arm, values in accuracies.items()
            for seed, value in enumerate(values)
        ],
    )  # fmt: skip


def find_p_holm(accuracies: dict[str, np.ndarray]) -> dict[str, float]:
    """The corrected p-values of the report, by arm."""
    baseline, *others = accuracies
    contrasts = make_contrasts((arm, baseline) for arm in others)
    judgement = comparisons.judge(make_runs(accuracies), contrasts, Decision(alpha=ALPHA), ceiling=0.11)
    compared = comparison_tables.tabulate_comparisons(judgement)
    return compared.set_index("arm")["p_holm"].astype(float).to_dict()
