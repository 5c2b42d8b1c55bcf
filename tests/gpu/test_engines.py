"""What a GPU trains is what the CPU's loop trains.

These tests need a GPU, and are skipped without one. With `ABLATE_TEST_DEVICE=cpu`, a CPU takes the GPU's place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ablate.data.loading import Dataset
from ablate.design.runs import Arm, Run
from ablate.engines.augmentation import Augmentation
from ablate.engines.cohort import Cohort
from ablate.engines.cohort_runs import train_together
from ablate.engines.loop import LoopTrainer
from ablate.engines.schedules import list_rates
from ablate.engines.training import settle_process, train
from ablate.records.run_records import Phase, RunRecord
from ablate.study.recipe import Recipe
from tests.cpu import CPU

pytestmark = pytest.mark.gpu
SIZE = 8
STEPS = 40
EXAMPLES = (STEPS - 1) * SIZE + 5
"""The last of an epoch's batches is smaller."""
RELU = {"activation": "relu", "pooling": "max"}
NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "LeNet-5 of D2L": ({}, {}),
    "ReLU and max pooling by SGD with momentum": (RELU, {"momentum": 0.9, "weight_decay": 5e-4}),
    "three convolutions by Adam": ({**RELU, "conv_layers": 3}, {"optimizer": "adam"}),
    "a schedule, smoothed labels and a clipped gradient by RMSprop": (
        RELU,
        {"optimizer": "rmsprop", "schedule": "one_cycle", "label_smoothing": 0.1, "gradient_clip": 0.5},
    ),
    "cropped images by AdamW": (RELU, {"optimizer": "adamw", "augmentation": "flip_crop"}),
}
RATES = {
    "sgd": (0.02, 0.1, 0.3),
    "adam": (1e-3, 2e-3, 5e-3),
    "adamw": (1e-3, 2e-3, 5e-3),
    "rmsprop": (1e-4, 2e-4, 5e-4),
}


@pytest.fixture
def exact(digits: Dataset) -> Dataset:
    """The digits in float64, on the CPU."""
    return replace(digits, images=digits.images.double(), test_images=digits.test_images.double())


def make_runs(keywords: Mapping[str, Any], recipe: Mapping[str, Any]) -> list[Run]:
    rates = RATES[recipe.get("optimizer", "sgd")]
    recipes = [Recipe(batch_size=SIZE, epochs=2, learning_rate=rate, **recipe) for rate in rates]
    arms = [Arm(name="arm", model="lenet", keywords=keywords, recipe=each, factors={}) for each in recipes]
    return [Run(phase=Phase.CONFIRM, arm=arm, setting={}, seed=seed) for seed, arm in enumerate(arms)]


def draw_order(run: Run, dataset: Dataset) -> Tensor:
    generator = torch.Generator().manual_seed(run.seed)
    return torch.randint(0, len(dataset.images), (EXAMPLES,), generator=generator)


def flatten(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).cpu()


def train_by_loop(run: Run, dataset: Dataset) -> Tensor:
    """Make the steps of one epoch. Return all parameters, on the CPU."""
    settle_process(1)
    device = dataset.images.device
    loop = LoopTrainer(run, dataset, device)
    loop.model.double()
    start = flatten(loop.model)
    batches = draw_order(run, dataset).to(device).split(SIZE)
    for batch, rate in zip(batches, list_rates(run.recipe, 0, len(batches)), strict=True):
        loop.set_rate(rate)
        loop.step(batch)
    assert not torch.equal(flatten(loop.model), start)
    return flatten(loop.model)


def train_by_cohort(runs: Sequence[Run], dataset: Dataset, places: int = 4) -> Tensor:
    """Make the steps of one epoch of all runs. Return all parameters `(runs, n)`, on the CPU."""
    cohort = Cohort(runs[0], dataset, examples=EXAMPLES, places=places)
    for place, run in enumerate(runs):
        augmentation, order = Augmentation(run.recipe.augmentation, run.seed), draw_order(run, dataset)
        cohort.seat(place, run)
        draws = [augmentation.draw(len(batch)) for batch in order.split(SIZE)]
        cohort.load(place, order, draws, list_rates(run.recipe, 0, len(draws)))
    cohort.epoch()
    return cohort.parameters[: len(runs)].cpu()


@pytest.mark.parametrize(("keywords", "recipe"), NETWORKS.values(), ids=NETWORKS)
def test_loop_and_cohort_take_the_steps_of_the_cpus_loop_in_float64(keywords, recipe, exact, device) -> None:
    runs = make_runs(keywords, recipe)
    there = exact.to(device)
    together = train_by_cohort(runs, there)
    for place, run in enumerate(runs):
        expected = train_by_loop(run, exact)
        assert torch.allclose(together[place], expected, rtol=0, atol=1e-10)
        assert torch.allclose(train_by_loop(run, there), expected, rtol=0, atol=1e-10)


def test_a_run_is_not_changed_by_the_other_runs_of_its_cohort(exact, device) -> None:
    runs = make_runs(RELU, {})
    others = [runs[0], *(replace(run, seed=run.seed + 7) for run in runs[1:])]
    together, otherwise = (train_by_cohort(each, exact.to(device)) for each in (runs, others))
    assert torch.equal(together[0], otherwise[0])
    assert not torch.equal(together[1], otherwise[1])


def test_dropout_of_a_cohort_drops_the_same_units_on_every_device(exact, device) -> None:
    runs = make_runs({**RELU, "dropout": 0.5}, {})
    expected = train_by_cohort(runs, exact)
    assert torch.allclose(train_by_cohort(runs, exact.to(device)), expected, rtol=0, atol=1e-10)
    assert not torch.allclose(train_by_cohort(make_runs(RELU, {}), exact), expected)


def test_a_cohort_of_a_gpu_replays_graphs(exact, gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    replays = []
    replay = torch.cuda.CUDAGraph.replay

    def count(graph: torch.cuda.CUDAGraph) -> None:
        replays.append(graph)
        replay(graph)

    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", count)
    train_by_cohort(make_runs({}, {}), exact.to(gpu))
    assert 1 <= len(replays) < STEPS, "several steps share a graph"


def without_times(record: RunRecord) -> RunRecord:
    points = [replace(point, train_seconds=None, examples_per_second=None) for point in record.epochs]
    return replace(record, epochs=tuple(points))


@pytest.mark.parametrize("keywords", [{}, {**RELU, "dropout": 0.5}], ids=str)
def test_the_same_seeds_give_the_same_records_again(keywords, digits: Dataset, device) -> None:
    there = digits.to(device)
    runs = make_runs(keywords, {"augmentation": "crop", "train_images": EXAMPLES})

    def by_cohort() -> list[RunRecord]:
        finished = train_together(runs, there, validation=0, places=4)
        return [without_times(each.record) for each in finished]

    def by_loop() -> RunRecord:
        settle_process(1)
        trainer = LoopTrainer(runs[0], there, there.images.device)
        return without_times(train(runs[0], trainer, there, validation=0).record)

    first = by_cohort()
    assert first == by_cohort()
    assert len({record.train_loss for record in first}) == len(runs)
    assert by_loop() == by_loop()


def test_runs_start_alike_on_every_device(digits: Dataset, device) -> None:
    run = make_runs({}, {})[0]
    here, there = LoopTrainer(run, digits, CPU), LoopTrainer(run, digits.to(device), device)
    assert torch.equal(flatten(here.model), flatten(there.model))
