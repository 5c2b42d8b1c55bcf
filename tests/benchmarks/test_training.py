"""How fast each engine trains, a step, an epoch, a cohort, and how long data takes to set up.

Run with `pytest tests/benchmarks -n 0 --benchmark-only`; ratios to D2L's loop are `ablate bench`'s.
"""

from pathlib import Path

import pytest

from ablate.bench.contenders import CohortBlock
from ablate.data import loading
from ablate.data.datasets import DATASETS, find_dataset
from ablate.data.loading import Dataset
from ablate.design.designs import lay_out
from ablate.design.runs import Run
from ablate.engines.lanes import LanesTrainer, reason_against
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import repeat_batches, settle_process, train
from ablate.study import study_file
from tests.conftest import STUDIES
from tests.cpu import CPU

STEPS = 4
ENGINES = {"loop": LoopTrainer, "lanes": LanesTrainer}


def trainer_of(engine: str, run: Run, dataset: Dataset) -> LoopTrainer | LanesTrainer:
    if engine == "lanes" and (reason := reason_against(run, dataset, CPU)):
        pytest.skip(reason)
    return ENGINES[engine](run, dataset, CPU)


def run_of(arm: int, *overrides: str) -> Run:
    spec = study_file.read(STUDIES / "lenet_pooling.yaml", overrides)
    return Run(phase="confirm", arm=lay_out(spec).arms[arm], setting={}, seed=0)


@pytest.mark.benchmark(group="step")
@pytest.mark.parametrize("arm", [0, 1], ids=["baseline", "pooling=max"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_training_step(benchmark, note, digits: Dataset, engine: str, arm: int) -> None:
    """One run alone on one core, batches of 256, digits resident."""
    settle_process(1)
    run = run_of(arm)
    trainer = trainer_of(engine, run, digits)
    batches = repeat_batches(len(digits.labels), run.recipe.batch_size, CPU)

    def some_steps() -> None:
        for _ in range(STEPS):
            trainer.step(next(batches))

    benchmark.pedantic(some_steps, rounds=20, warmup_rounds=1)
    note(examples=STEPS * run.recipe.batch_size, kind="one run alone")
    assert trainer.totals()[0] > 0


@pytest.mark.benchmark(group="epoch")
@pytest.mark.parametrize("engine", ENGINES)
def test_an_epoch_and_its_evaluation(benchmark, note, digits: Dataset, engine: str) -> None:
    """As a study trains a run, one core: order, steps, running means, the test images."""
    settle_process(1)
    run = run_of(0, "recipe.epochs=1")
    trainer = trainer_of(engine, run, digits)
    ended = benchmark.pedantic(
        train, args=(run, trainer, digits), kwargs={"validation": 0}, rounds=10, warmup_rounds=1
    )
    note(examples=len(digits.labels), kind="one run alone")
    assert ended.record.status == "complete"


@pytest.mark.benchmark(group="cohort")
@pytest.mark.parametrize("places", [1, pytest.param(8, marks=pytest.mark.thorough)])
def test_an_epoch_of_a_cohort(benchmark, note, digits: Dataset, places: int) -> None:
    """Many runs in one step, the digits; on a CPU, where it is no gain: a change of its arithmetic shows."""
    settle_process(1)
    together = CohortBlock(digits, places)
    trained = benchmark.pedantic(together, rounds=3)
    note(examples=places * len(digits.labels), kind="aggregate", places=places)
    assert trained == places * len(digits.labels)


@pytest.mark.benchmark(group="data")
def test_fashion_mnist_is_read_and_checked(benchmark, note, real_data: Path) -> None:
    """From compressed files to tensors, checksums included."""
    dataset = benchmark.pedantic(
        loading._load_cached.__wrapped__, args=(find_dataset("fashion_mnist"), real_data, CPU), rounds=3
    )
    note(images=len(dataset.images))
    assert dataset.images.shape == (60_000, 1, 28, 28)


@pytest.mark.benchmark(group="data")
def test_a_seed_splits_its_images(benchmark, note) -> None:
    """10,000 of 60,000 for validation, stratified, as every run does."""
    labels = loading.make_noise(DATASETS["fashion_mnist"], images=60_000).labels
    train_part, held_out = benchmark.pedantic(loading.split, args=(labels, 10_000, 0), rounds=5)
    note(images=len(labels))
    assert (len(train_part), len(held_out)) == (50_000, 10_000)
