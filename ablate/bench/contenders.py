"""The contenders of `ablate bench`: ways to train. Their speeds are measured in short timing blocks."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from types import MappingProxyType
from typing import Any, Literal

import torch

from ablate import models as models_of
from ablate.cores import count_cores
from ablate.data.loading import Dataset
from ablate.design.runs import Arm, Run
from ablate.devices.device import is_accelerator, synchronise
from ablate.devices.memory import measure_reserved_bytes
from ablate.engines.cohort import Cohort
from ablate.engines.lanes import LanesTrainer, reason_against
from ablate.engines.loop import LoopTrainer, build_initial_model
from ablate.engines.predictions import count_correct
from ablate.engines.training import Course, repeat_batches, settle_process, train
from ablate.errors import AblateError
from ablate.execution.workers import Workers
from ablate.records.run_records import Phase
from ablate.study.recipe import Recipe
from ablate.study.spec import Value
from ablate.timing import blocks, costs

CPU = torch.device("cpu")
Kind = Literal["one run alone", "one run inside a cohort", "aggregate", "end to end"]
Train = Callable[[], int]
"""A function that trains for one block, waits for the device, and returns the number of examples."""
EPOCH = "an epoch and its evaluation"
STEPS = "training steps only, one core"
LENET: dict[str, Value] = {}
WIDER: dict[str, Value] = {"channels": [16, 32], "conv_layers": 3}
ONE_CORE: dict[str, tuple[dict[str, Value], dict[str, Value], float, float]] = {
    "LeNet-5": (LENET, {}, 6, 8),
    "(16, 32), 3 convs": (WIDER, {}, 3.2, 4.5),
    "channels [12, 32]": ({"channels": [12, 32]}, {}, 3.2, 4.5),
    "LeNet-5, batch norm": ({"batch_norm": True}, {}, 3, 4),
    "LeNet-5, flip_crop": (LENET, {"augmentation": "flip_crop"}, 3, 4),
}
"""Maps the name of each network that is trained on one core to four values.

The values are LeNet's keywords, changes of the recipe, and the goals `must` and `aim` for the lanes engine.
"""


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much `ablate bench` measures."""

    blocks: int
    images: int
    """The number of training images in an epoch."""
    test_images: int
    """The number of test images in an evaluation."""
    block_seconds: float
    """The time that one timing block of training steps takes on one core, in seconds."""
    runs_a_job: int
    """The number of runs that each worker process trains in one timing block."""
    epochs_around: int
    """The number of epochs of D2L's loop that are measured before an `ablate run`, and again after it."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to train.

    A contender's speed is divided by the speed of the first contender that is measured in the same round.
    This ratio must reach `must` and should reach `aim`.
    """

    name: str
    kind: Kind
    covers: str
    """A text that says what the measured time includes."""
    train: Train
    must: float | None = None
    aim: float | None = None
    at_once: int = 1
    """The number of runs that train at the same time."""
    flops_per_example: int | None = None
    """FLOPs of one forward and backward pass. If this is None, the FLOPs per second are not computed."""


def list_cpu_contenders(
    extent: Extent, dataset: Dataset, workers: Workers | None, jobs: int
) -> Iterator[Contender]:
    """Yield ablate's ways to train on a CPU. If `workers` are given, one way trains runs in parallel."""
    run = make_run(LENET)
    loop = LoopTrainer(run, dataset, CPU)
    yield Contender(
        name=f"torch loop, {jobs} threads",
        kind="one run alone",
        covers=EPOCH,
        train=make_epoch_block(loop, run, dataset, jobs),
        must=2.2,
        aim=3,
    )
    if reason_against(run, dataset, CPU) is None:
        lanes = LanesTrainer(run, dataset, CPU)
        yield Contender(
            name="lanes, one thread",
            kind="one run alone",
            covers=EPOCH,
            train=make_epoch_block(lanes, run, dataset, 1),
        )
    if workers is not None:
        # Seeds start at 1, because a worker would also send back the trained parameters of seed 0.
        runs = [make_run(LENET, 1 + i, extent.images) for i in range(extent.runs_a_job * jobs)]
        yield Contender(
            name=f"a study's runs, {jobs} at once",
            kind="aggregate",
            covers=EPOCH,
            train=make_parallel_block(workers, runs, extent.images),
            at_once=jobs,
        )


def list_one_core_contenders(network: str, extent: Extent, dataset: Dataset) -> Iterator[Contender]:
    """Yield the torch loop and the lanes engine, each on one thread. `network` is a key of `ONE_CORE`."""
    keywords, recipe, must, aim = ONE_CORE[network]
    run = make_run(keywords, recipe=recipe)
    shape = dataset.images.shape[1:]
    loop = LoopTrainer(run, dataset, CPU)
    flops = count_training_flops(loop, shape)
    alone = Contender(
        name=f"torch loop, {network}",
        kind="one run alone",
        covers=STEPS,
        train=make_step_block(loop, run, dataset, extent.block_seconds),
        flops_per_example=flops,
    )
    yield alone
    if reason_against(run, dataset, CPU) is None:
        lanes = LanesTrainer(run, dataset, CPU)
        faster = make_step_block(lanes, run, dataset, extent.block_seconds)
        yield replace(alone, name=f"lanes, {network}", train=faster, must=must, aim=aim)


def list_gpu_contenders(dataset: Dataset, places: int) -> Iterator[Contender]:
    """Yield ablate's ways to train on a GPU: the torch loop, and cohorts of one run and of `places` runs."""
    run = make_run(LENET)
    loop = LoopTrainer(run, dataset, dataset.images.device)
    yield Contender(
        name="torch loop, data resident",
        kind="one run alone",
        covers=EPOCH,
        train=make_epoch_block(loop, run, dataset, count_cores()),
    )
    yield Contender(
        name="a cohort of one",
        kind="one run alone",
        covers=EPOCH,
        train=CohortBlock(dataset, 1),
        must=10,
        aim=18,
    )
    yield Contender(
        name=f"a cohort of {places}",
        kind="aggregate",
        covers=EPOCH,
        train=CohortBlock(dataset, places),
        must=40,
        aim=80,
        at_once=places,
    )


def make_run(
    keywords: dict[str, Value],
    seed: int = 0,
    train_images: int | None = None,
    recipe: Mapping[str, Any] = MappingProxyType({}),
) -> Run:
    """Make a run that trains LeNet for one epoch, and then evaluates it on the test images.

    `keywords` are keywords of LeNet. `recipe` has only those keys that differ from D2L's recipe.
    """
    changed = Recipe(epochs=1, train_images=train_images, **recipe)
    arm = Arm(name="bench", model="lenet", keywords=keywords, recipe=changed, factors={})
    return Run(phase=Phase.CONFIRM, arm=arm, setting={}, seed=seed)


def make_epoch_block(trainer: LoopTrainer | LanesTrainer, run: Run, dataset: Dataset, threads: int) -> Train:
    """Make a function that trains for one epoch and evaluates the network, as a run of a study does."""

    def block() -> int:
        settle_process(threads)
        train(run, trainer, dataset, validation=0)
        return len(dataset.labels)

    return block


def make_step_block(trainer: LoopTrainer | LanesTrainer, run: Run, dataset: Dataset, seconds: float) -> Train:
    """Make a function that only makes training steps, on one core and for about `seconds` seconds."""
    batches = repeat_batches(len(dataset.labels), run.recipe.batch_size, CPU)
    steps = blocks.make_steps(trainer.step, batches)
    count = 0

    def block() -> int:
        nonlocal count
        settle_process(1)
        count = count or blocks.count_steps_per_block(steps, seconds, CPU)
        return steps(count)

    return block


def make_parallel_block(workers: Workers, runs: Sequence[Run], images: int) -> Train:
    """Make a function that trains whole runs on all cores, with the worker processes of a study.

    Raises:
        AblateError: a run failed or diverged. The function that is returned raises this error.
    """

    def block() -> int:
        for outcome in workers.outcomes(runs):
            if outcome.record.status != "complete":
                raise AblateError(
                    f"a run of `ablate bench` ended as {outcome.record.status}: {outcome.record.cause}"
                )
        return images * len(runs)

    return block


class CohortBlock:
    """A cohort: runs that a GPU trains together. A call trains them for one epoch and evaluates them."""

    def __init__(self, dataset: Dataset, places: int) -> None:
        reserved = measure_reserved_bytes(dataset.images.device)
        runs = [make_run(LENET, seed) for seed in range(places)]
        self._courses = [Course(run, dataset, validation=0) for run in runs]
        self._dataset = dataset
        self.cohort = Cohort(runs[0], dataset, examples=len(dataset.labels), places=places)
        for place, run in enumerate(runs):
            self.cohort.seat(place, run)
        everything = torch.arange(len(dataset.test_labels), device=dataset.test_labels.device)
        self._test = everything.expand(places, -1)
        self._orders = [course.draw_order() for course in self._courses]
        self()
        models = 3 * self.cohort.parameters.nbytes  # parameters, gradients, first moments of SGD
        self.extra_bytes = measure_reserved_bytes(dataset.images.device) - reserved - models
        """The device memory that the cohort uses in addition to data and models, in bytes."""
        shape = dataset.images.shape[1:]
        layers = models_of.list_layer_shapes(build_initial_model(runs[0], shape, len(dataset.classes)), shape)
        kept = shape.numel() + sum(prod(layer.shape) for layer in layers if layer.kind != "Flatten")
        self.least_bytes = kept * dataset.images.itemsize * runs[0].recipe.batch_size * places
        """The least memory for a training step, in bytes: each run's images and the output of each layer."""

    def __call__(self) -> int:
        for place, order in enumerate(self._orders):
            self.cohort.load(place, order, [])
        totals = self.cohort.epoch()
        self._orders = [course.draw_order() for course in self._courses]  # while the device is working
        totals.tolist()
        scores = self.cohort.predict(self._dataset.test_images, self._test)
        count_correct(scores, self._dataset.test_labels[self._test]).tolist()
        return sum(map(len, self._orders))


def measure_arithmetic_rate(device: torch.device) -> float:
    """Measure the FLOPs per second of a large fp32 matrix product. On a CPU, use one core."""
    size, tries = (8_192, 3) if is_accelerator(device) else (2_048, 3)
    settle_process(1)
    a, b = torch.rand(2, size, size, device=device)

    def seconds() -> Iterator[float]:
        for _ in range(tries):
            synchronise(device)
            started = time.perf_counter()
            torch.mm(a, b)
            synchronise(device)
            yield time.perf_counter() - started

    # The shortest time counts, because the rate is an upper limit. Cold caches make the first try slow.
    return 2 * size**3 / min(seconds())


def count_training_flops(trainer: LoopTrainer | LanesTrainer, image_shape: Sequence[int]) -> int:
    """Count the FLOPs of the forward and the backward pass for one example.

    Each layer computes three products: its output, the gradient of its weights, and the gradient of its
    input. The first layer leaves out the third product. LeNet-5 needs 3 · 833,040 − 235,200 FLOPs.
    """
    first = next(trainer.model.children())
    forward = costs.count_flops_per_example(trainer.model, image_shape)
    return 3 * forward - costs.count_flops_per_example(first, image_shape)
