"""On real data, every fast engine is as accurate as the plain loop over ten seeds. This takes minutes."""

from pathlib import Path

import pytest

from ablate.data import loading
from ablate.data.datasets import find_dataset
from ablate.data.loading import Dataset
from ablate.design.runs import Arm, Run
from ablate.engines.cohort_runs import train_together
from ablate.engines.lanes import LanesTrainer, reason_against
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import train
from ablate.stats.intervals import compute_mean_interval
from ablate.study.recipe import Recipe
from tests.cpu import CPU

SEEDS = range(10)
MARGIN = 0.005
ALPHA = 0.05
VALIDATION = 10_000
ARM = Arm(
    name="baseline",
    model="lenet",
    keywords={"activation": "tanh"},
    # A gentle rate: at a wild one engines part after some hundred steps, as two runs of one engine would on two
    # machines, and ten seeds could not show so small a margin.
    recipe=Recipe(
        epochs=4,
        batch_size=64,
        optimizer="sgd",
        learning_rate=0.03,
        momentum=0.9,
        init="xavier_uniform",
        train_images=15_000,
    ),
    factors={},
)
RUNS = [Run(phase="confirm", arm=ARM, setting={}, seed=seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def fashion(real_data: Path) -> Dataset:
    return loading.load(find_dataset("fashion_mnist"), real_data, CPU)


@pytest.fixture(scope="module")
def by_the_loop(fashion: Dataset) -> list[float]:
    return [accuracy(run, LoopTrainer, fashion) for run in RUNS]


def accuracy(run: Run, engine: type[LoopTrainer | LanesTrainer], dataset: Dataset) -> float:
    record = train(run, engine(run, dataset, CPU), dataset, validation=VALIDATION).record
    assert record.test_accuracy is not None
    return record.test_accuracy


def assert_equivalent(fast: list[float], loop: list[float]) -> None:
    """Two one-sided tests at ALPHA: the 1 - 2·ALPHA interval of the paired difference lies inside ±MARGIN."""
    assert min(loop) > 0.75  # the networks must be trained: at chance, all engines would be equivalent
    found = compute_mean_interval([a - b for a, b in zip(fast, loop, strict=True)], 1 - 2 * ALPHA)
    assert found is not None
    print(f"difference {found.mean:+.4f}, interval {found.low:+.4f} to {found.high:+.4f}")
    assert -MARGIN < found.low <= found.high < MARGIN, found


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_lanes_engine_is_as_accurate_as_the_loop(fashion: Dataset, by_the_loop: list[float]) -> None:
    if reason := reason_against(RUNS[0], fashion, CPU):
        pytest.skip(reason)
    assert_equivalent([accuracy(run, LanesTrainer, fashion) for run in RUNS], by_the_loop)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_cohort_is_as_accurate_as_the_loop(fashion: Dataset, by_the_loop: list[float]) -> None:
    together = train_together(RUNS, fashion, validation=VALIDATION, places=len(RUNS))
    by_seed = {finished.run.seed: finished.record.test_accuracy or 0.0 for finished in together}
    assert_equivalent([by_seed[seed] for seed in SEEDS], by_the_loop)
