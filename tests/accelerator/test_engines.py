"""ablate's engines train on the simulated device as on the CPU."""

import gc
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ablate.data import loading
from ablate.data.datasets import find_dataset
from ablate.data.loading import Dataset
from ablate.design.runs import Arm, Run
from ablate.engines.augmentation import Augmentation
from ablate.engines.cohort import Cohort
from ablate.engines.cohort_runs import train_together
from ablate.engines.loop import LoopTrainer
from ablate.engines.schedules import list_rates
from ablate.engines.training import train
from ablate.execution.executor import Conditions, execute_group
from ablate.records.run_records import RunRecord
from ablate.study.recipe import Recipe
from tests.accelerator.counters import count
from tests.accelerator.settings import play
from tests.accelerator.step_costs import make_lenet_run, measure_cohort, measure_loop
from tests.cpu import CPU

SIM = "sim:0"
STEPS, SIZE = 10, 8


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return loading.load(find_dataset("digits"), None, CPU)


@pytest.fixture(scope="module")
def exact(digits: Dataset) -> Dataset:
    return replace(digits, images=digits.images.double(), test_images=digits.test_images.double())


def run_of(
    model: str = "lenet", seed: int = 0, keywords: dict[str, object] | None = None, **recipe: object
) -> Run:
    arm = Arm(name="arm", model=model, keywords=keywords or {}, recipe=Recipe(**recipe), factors={})
    return Run(phase="confirm", arm=arm, setting={}, seed=seed)


def order_of(run: Run, dataset: Dataset, examples: int) -> Tensor:
    return torch.randint(
        0, len(dataset.labels), (examples,), generator=torch.Generator().manual_seed(run.seed)
    )


def train_by_loop(run: Run, dataset: Dataset, examples: int) -> Tensor:
    """The parameters after one epoch by the loop."""
    device = dataset.images.device
    trainer = LoopTrainer(run, dataset, device)
    trainer.model.to(dataset.images.dtype)
    batches = order_of(run, dataset, examples).to(device).split(SIZE)
    for batch, rate in zip(batches, list_rates(run.recipe, 0, len(batches)), strict=True):
        trainer.set_rate(rate)
        trainer.step(batch)
    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()]).cpu()


def train_by_cohort(runs: list[Run], dataset: Dataset, examples: int, places: int) -> Tensor:
    """The parameters of each run after one epoch by a cohort."""
    cohort = Cohort(runs[0], dataset, examples=examples, places=places)
    for place, run in enumerate(runs):
        order = order_of(run, dataset, examples)
        draws = [
            Augmentation(run.recipe.augmentation, run.seed).draw(len(part)) for part in order.split(SIZE)
        ]
        cohort.seat(place, run)
        cohort.load(place, order, draws, list_rates(run.recipe, 0, len(draws)))
    cohort.epoch()
    return cohort.parameters[: len(runs)].cpu()


NETWORKS = {
    "LeNet-5 of D2L": {"learning_rate": 0.5},
    "Adam": {
        "optimizer": "adam",
        "learning_rate": 1e-3,
        "keywords": {"activation": "relu", "pooling": "max"},
    },
    "momentum and decay": {"learning_rate": 0.02, "momentum": 0.9, "weight_decay": 5e-4},
    "RMSprop, a schedule, smoothed labels and a clipped gradient": {
        "optimizer": "rmsprop",
        "learning_rate": 1e-3,
        "epochs": 1,
        "schedule": "cosine",
        "warmup_epochs": 0.25,
        "label_smoothing": 0.1,
        "gradient_clip": 0.5,
    },
}


@pytest.mark.parametrize("has_graphs", [True, False])
@pytest.mark.parametrize("settings", NETWORKS.values(), ids=NETWORKS)
def test_a_cohort_on_the_device_trains_as_the_loop_on_the_cpu(settings, has_graphs, exact) -> None:
    runs = [run_of(seed=seed, batch_size=SIZE, **settings) for seed in range(2)]
    examples = STEPS * SIZE + 3  # a graph of eight steps, graphs of one step, and one of the rest
    with play(has_graphs=has_graphs):
        found = train_by_cohort(runs, exact.to(torch.device(SIM)), examples, places=3)
    wanted = torch.stack([train_by_loop(run, exact, examples) for run in runs])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-11)


def test_the_loop_on_the_device_trains_as_on_the_cpu(exact) -> None:
    run = run_of(batch_size=SIZE, learning_rate=0.02, momentum=0.9)
    found = train_by_loop(run, exact.to(torch.device(SIM)), STEPS * SIZE)
    torch.testing.assert_close(found, train_by_loop(run, exact, STEPS * SIZE), rtol=0, atol=1e-13)


def keep_numbers(record: RunRecord) -> tuple[object, ...]:
    """What a record says beside times and the engine's name."""
    return record.train_loss, record.validation_accuracy, record.test_accuracy


def test_whole_runs_on_the_device_are_those_on_the_cpu(digits) -> None:
    runs = [
        run_of(seed=seed, batch_size=128, epochs=2, optimizer="adam", learning_rate=0.003, train_images=256)
        for seed in range(2)
    ]
    here = digits.to(torch.device(SIM))
    by_loop = [
        keep_numbers(train(run, LoopTrainer(run, here, torch.device(SIM)), here, validation=60).record)
        for run in runs
    ]
    on_cpu = [
        keep_numbers(train(run, LoopTrainer(run, digits, CPU), digits, validation=60).record) for run in runs
    ]
    together = train_together(runs, here, validation=60, places=2)
    by_seed = {finished.run.seed: keep_numbers(finished.record) for finished in together}
    for run, device, cpu in zip(runs, by_loop, on_cpu, strict=True):
        assert device == pytest.approx(cpu, rel=1e-5)
        assert by_seed[run.seed] == pytest.approx(cpu, rel=1e-3)


@pytest.mark.parametrize(
    ("model", "size", "keywords"),
    [
        ("nin", 96, {"width": 0.0625, "dropout": 0.0}),
        ("vgg", 32, {"width": 0.0625, "hidden": [16, 16], "dropout": 0.0}),
        ("alexnet", 96, {"width": 0.0625, "hidden": [16, 16], "dropout": 0.0}),
    ],
)
def test_other_networks_train_in_cohorts_as_in_the_loop(model, size, keywords) -> None:
    noise = loading.make_noise(find_dataset("digits").facts, size, images=16)
    noise = replace(noise, images=noise.images.double())
    run = run_of(model, keywords=keywords, batch_size=SIZE, learning_rate=0.01, input_size=size)
    found = train_by_cohort([run], noise.to(torch.device(SIM)), 2 * SIZE, places=2)
    torch.testing.assert_close(found[0], train_by_loop(run, noise, 2 * SIZE), rtol=0, atol=1e-11)


def test_a_cohort_that_is_out_of_memory_goes_on_in_half_as_many_places(digits) -> None:
    conditions = Conditions(dataset=find_dataset("digits"), data_root=None, validation=60, device=SIM)
    conditions.load(None)
    runs = [
        replace(make_lenet_run(batch_size=32, epochs=1, train_images=64), seed=seed, phase="tune")
        for seed in range(3)
    ]
    gc.collect()
    before = torch.accelerator.memory_allocated()
    list(train_together(runs[:1], conditions.load(None), validation=60, places=2))
    torch.accelerator.reset_peak_memory_stats()
    list(train_together(runs[:1], conditions.load(None), validation=60, places=2))
    needed = torch.accelerator.max_memory_allocated() - before
    times = torch.accelerator.memory_stats()["num_ooms"]
    with play(budget_bytes=before + needed + needed // 10):
        outcomes = list(execute_group(runs, conditions))
    assert [outcome.run.seed for outcome in outcomes] == [0, 1, 2]
    assert {outcome.record.engine for outcome in outcomes} == {"cohort of 2"}
    assert torch.accelerator.memory_stats()["num_ooms"] == times + 2  # cohorts of 8 and of 4


def test_an_epoch_of_training_reads_from_the_device_once(digits) -> None:
    here = digits.to(torch.device(SIM))
    reads = {}
    for epochs in (1, 1, 2):  # the first time, the split by seed is read, and kept
        runs = [
            replace(
                run_of(
                    seed=seed,
                    batch_size=64,
                    epochs=epochs,
                    learning_rate=0.01,
                    train_images=256,
                    schedule="cosine",
                    gradient_clip=1.0,
                    label_smoothing=0.1,
                ),
                phase="tune",
            )
            for seed in range(2)
        ]
        with count() as by_cohort:
            list(train_together(runs, here, validation=60, places=2))
        with count() as by_loop:
            train(runs[0], LoopTrainer(runs[0], here, torch.device(SIM)), here, validation=60)
        reads[epochs] = by_cohort.host_reads, by_loop.host_reads
    for one, two in zip(reads[1], reads[2], strict=True):
        assert two - one == {"copy": 1}


def test_a_step_of_the_loop_and_of_a_cohort_are_measured(digits) -> None:
    here = digits.to(torch.device(SIM))
    run = make_lenet_run(batch_size=16)
    loop, one, four = measure_loop(run, here), measure_cohort(run, here, 1), measure_cohort(run, here, 4)
    assert loop.host_reads == one.host_reads == four.host_reads == 0
    assert loop.launches == loop.kernels
    assert one.launches == 1 < loop.launches  # one graph
    assert one.kernels <= four.kernels  # some copies are views where there is one place
    assert loop.bytes_per_example > 0 < four.bytes_per_example
    with play(has_graphs=False):
        eager = measure_cohort(run, here, 4)
    assert eager.launches == eager.kernels == four.kernels
    assert eager.bytes_by_kernel == four.bytes_by_kernel
