"""Code that all engines share: the state of a run across its epochs, its evaluation and its record."""

import ctypes
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor, nn

from ablate.data.loading import Dataset, split
from ablate.design.runs import Run, name_setting
from ablate.devices.device import settle_kernels
from ablate.engines.predictions import Measured, count_correct, measure
from ablate.engines.schedules import is_scheduled, list_rates
from ablate.records.predictions import Predictions
from ablate.records.run_records import EpochPoint, Phase, RunRecord, Status
from ablate.seeds import derive_seed, seeded_streams

POINTS_PER_EPOCH = 5
# Runs with the same seed have the same split, so splits are cached. Computing a split takes 20 ms. In this
# time, a cohort trains on 100,000 examples.
_split = lru_cache(maxsize=32)(split)


class NotCovered(Exception):  # noqa: N818  # not an error: the torch loop engine trains the network instead
    """An engine cannot train a network exactly as the torch loop does. The exception's text is the reason."""


class Trainer(Protocol):
    """A network and the engine that trains it."""

    name: str
    model: nn.Module

    def step(self, batch: Tensor) -> None:
        """Make one optimiser step on the examples with indices `batch`, `(b,)` on the device."""

    def set_rate(self, rate: float) -> None:
        """Use this learning rate in the following steps."""

    def reset(self) -> None:
        """Set the running totals to zero."""

    def totals(self) -> Tensor:
        """Return the summed loss and the number of correct predictions since the last reset, `(2,)`."""

    def predict(self, images: Tensor) -> Tensor:
        """Compute class scores (logits) in evaluation mode, `(n, classes)`.

        The images are `(n, channels, height, width)`. The call does not wait for the device.
        """


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The record and the predictions of a run that has ended."""

    record: RunRecord
    predictions: Predictions | None
    """The predictions for the test images. Only complete confirmation runs have them."""
    epoch_weights: tuple[dict[str, Tensor], ...] = ()
    """The parameters before training and after every epoch. Only runs with `keep_epochs=True` have them."""


class Course:
    """The state of one run across its epochs: its examples, its results, and whether it has ended.

    All engines use this class. If the mean loss of an epoch is not finite, the run ends as diverged. A search
    sets a smallest validation accuracy (floor) for some epochs. A run below its floor ends as pruned.
    """

    def __init__(self, run: Run, dataset: Dataset, *, validation: int) -> None:
        """Prepare the run for its first epoch.

        `validation` is the number of validation examples. The run's seed selects these examples, unless the
        data set fixes them.
        """
        self.run = run
        self._classes = dataset.classes
        self.train_indices, self.validation_indices = _split(
            dataset.labels, validation, run.seed, run.recipe.train_images, dataset.fixed_validation
        )
        self.epochs = 0
        self._order = torch.Generator().manual_seed(derive_seed(run.seed, "order"))
        self._points: list[EpochPoint] = []
        self._diverged = self._pruned = False
        self._validated: Measured | None = None
        self._epoch_weights: list[dict[str, Tensor]] = []

    @property
    def examples_per_epoch(self) -> int:
        """The number of training examples in an epoch. `drop_last` leaves out a smaller last batch."""
        return self.run.recipe.count_examples_per_epoch(len(self.train_indices))

    def list_rates(self, epoch: int) -> Sequence[float]:
        """List the learning rate of each step of an epoch. Epoch 0 is the first epoch.

        The list is empty if the learning rate never changes during the run.
        """
        recipe = self.run.recipe
        steps = -(-self.examples_per_epoch // recipe.batch_size)
        return list_rates(recipe, epoch, steps) if is_scheduled(recipe) else ()

    def draw_order(self) -> Tensor:
        """Draw a random order for the next epoch. Return the indices of its examples in this order."""
        # The order is drawn on the CPU. So the order is the same on every device.
        order = torch.randperm(len(self.train_indices), generator=self._order)
        return self.train_indices[order[: self.examples_per_epoch]]

    def add_epoch(self, curve: Sequence[EpochPoint], seconds: float) -> None:
        """Record one more epoch: its curve, and the wall time of its steps in seconds."""
        speed = self.examples_per_epoch / seconds
        whole = replace(curve[-1], train_seconds=seconds, examples_per_second=speed)
        self._points += [*curve[:-1], whole]
        self.epochs += 1
        self._diverged = not math.isfinite(whole.train_loss)

    @property
    def last(self) -> bool:
        """Whether all epochs of the recipe are trained."""
        return self.epochs == self.run.recipe.epochs

    @property
    def wants_validation(self) -> bool:
        """Whether to evaluate on the validation images after this epoch."""
        # Tuning needs the validation accuracy only after the last epoch. A search compares whole curves.
        # Figures show the whole curves of runs in phase confirm.
        looks = self.last or self.run.phase in (Phase.CONFIRM, Phase.SEARCH)
        return looks and len(self.validation_indices) > 0 and not self._diverged

    def add_validation(self, accuracy: float, scores: Tensor, labels: Tensor) -> None:
        """Record the validation accuracy after this epoch. After the last epoch, record all metrics, too.

        The class scores are `(validation, classes)`, and the labels are `(validation,)`.
        """
        self._points[-1] = replace(self._points[-1], validation_accuracy=accuracy)
        if self.last:
            self._validated = measure(scores, labels, self._classes)
        elif self.epochs <= len(self.run.floor):
            self._pruned = accuracy < self.run.floor[self.epochs - 1]

    def add_weights(self, read: Callable[[], Mapping[str, Tensor]]) -> None:
        """If the run's `keep_epochs` is True, keep a copy of the parameters that `read` returns."""
        if self.run.keep_epochs:
            copies = {name: tensor.detach().to("cpu", copy=True) for name, tensor in read().items()}
            self._epoch_weights.append(copies)

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.last or self._diverged or self._pruned

    @property
    def wants_test(self) -> bool:
        """Whether to evaluate on the test images. Only confirmation runs do so, after their last epoch."""
        return self.last and self.run.phase == Phase.CONFIRM and not self._diverged

    def end(self, engine: str, scores: Tensor | None, test_labels: Tensor) -> Trained:
        """Make the record and the predictions of a run that has ended.

        Args:
            engine: the name of the engine that trained the run.
            scores: the class scores of the test images, `(n, classes)`. None if `wants_test` is false.
            test_labels: the true classes of the test images, `(n,)`.
        """
        run, final, validated = self.run, self._points[-1], self._validated
        tested = None if scores is None else measure(scores, test_labels, self._classes)
        record = RunRecord(
            phase=run.phase,
            arm=run.arm.name,
            setting=name_setting(run.setting),
            seed=run.seed,
            values={**run.arm.factors, **run.setting},
            status=Status.DIVERGED if self._diverged else Status.PRUNED if self._pruned else Status.COMPLETE,
            engine=engine,
            train_loss=None if self._diverged else final.train_loss,
            train_accuracy=None if self._diverged else final.train_accuracy,
            validation_accuracy=final.validation_accuracy,
            test_accuracy=None if tested is None else tested.metrics["accuracy"],
            test_balanced_accuracy=None if tested is None else tested.metrics["balanced_accuracy"],
            validation_metrics={} if validated is None else validated.metrics,
            test_metrics={} if tested is None else tested.metrics,
            test_by_class={} if tested is None else tested.by_class,
            epochs=tuple(point for point in self._points if math.isfinite(point.train_loss)),
            cause="the loss became infinite or no number" if self._diverged else None,
        )
        return Trained(
            record=record,
            predictions=None if tested is None else tested.predictions,
            epoch_weights=tuple(self._epoch_weights),
        )


def train(run: Run, trainer: Trainer, dataset: Dataset, *, validation: int) -> Trained:
    """Train one run to its end. Return its record and its predictions for the test images."""
    device = dataset.images.device
    course = Course(run, dataset, validation=validation)
    validation_indices = course.validation_indices.to(device)
    held_out, labels = dataset.images[validation_indices], dataset.labels[validation_indices]
    course.add_weights(trainer.model.state_dict)
    with seeded_streams(run.seed, "dropout", device):
        while not course.ended:
            course.add_epoch(*_train_epoch(trainer, course, course.draw_order().to(device)))
            course.add_weights(trainer.model.state_dict)
            if course.wants_validation:
                scores = _evaluate(trainer, run.seed, held_out)
                correct = int(count_correct(scores, labels).item())
                course.add_validation(correct / len(labels), scores, labels)
    tested = _evaluate(trainer, run.seed, dataset.test_images) if course.wants_test else None
    return course.end(trainer.name, tested, dataset.test_labels)


def _evaluate(trainer: Trainer, seed: int, images: Tensor) -> Tensor:
    """Compute the class scores of the images, `(n, classes)`.

    Evaluation has its own random stream, which restarts here. So a network draws the same random numbers in
    every evaluation, and evaluations do not change the random numbers of training.
    """
    with seeded_streams(seed, "evaluation", images.device):
        return trainer.predict(images)


def settle_process(threads: int) -> None:
    """Set up this process for training: the number of threads, and an allocator that keeps freed memory.

    By default, glibc returns the memory of a step's activations to the operating system, and requests new
    memory at the next step. With an allocator that keeps this memory, the median training speed of LeNet on
    one core rises from 7.5 to 10.9 thousand examples/s (measured).
    """
    torch.set_num_threads(threads)
    settle_kernels()
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # only glibc has `mallopt`; the numbers are from its malloc.h
        trim_threshold, top_pad, mmap_threshold = -1, -2, -3
        mallopt(mmap_threshold, 1 << 30)
        mallopt(trim_threshold, (1 << 31) - 1)
        mallopt(top_pad, 256 << 20)


def list_marks(examples: int, batch_size: int) -> list[tuple[int, int]]:
    """List the points of an epoch at which the running totals are read.

    Each point is a pair: the number of batches, and the number of examples, since the start of the epoch.
    """
    batches = -(-examples // batch_size)
    numbers = {round((i + 1) * batches / POINTS_PER_EPOCH) for i in range(POINTS_PER_EPOCH)} - {0}
    return [(number, min(number * batch_size, examples)) for number in sorted(numbers)]


def make_curve(
    epoch: int, read_at: Sequence[tuple[int, int]], totals: Sequence[Sequence[float]]
) -> list[EpochPoint]:
    """Compute the mean loss and accuracy since the start of the epoch, at each point in `read_at`.

    `read_at` is the result of `list_marks`. `totals` has the summed loss and the number of correct
    predictions at each point. Dive into Deep Learning (D2L) plots the same means.
    """
    batches = read_at[-1][0]
    return [
        EpochPoint(epoch=epoch + number / batches, train_loss=loss / seen, train_accuracy=correct / seen)
        for (number, seen), (loss, correct) in zip(read_at, totals, strict=True)
    ]


def _train_epoch(trainer: Trainer, course: Course, order: Tensor) -> tuple[list[EpochPoint], float]:
    """Train one epoch on the examples in `order`. Return the epoch's curve and wall time in seconds."""
    batch_size, rates = course.run.recipe.batch_size, course.list_rates(course.epochs)
    read_at = list_marks(len(order), batch_size)
    read_after = {number for number, _ in read_at}
    trainer.reset()
    readings: list[Tensor] = []
    started = time.perf_counter()
    for number, batch in enumerate(order.split(batch_size), start=1):
        if rates:
            trainer.set_rate(rates[number - 1])
        trainer.step(batch)
        if number in read_after:
            readings.append(trainer.totals())
    # `tolist` waits for the device, once per epoch. The steps above are only started on the device.
    values = torch.stack(readings).tolist()
    seconds = time.perf_counter() - started
    return make_curve(course.epochs, read_at, values), seconds


def repeat_batches(examples: int, batch_size: int, device: torch.device) -> Iterator[Tensor]:
    """Yield shuffled batches for timing, without end: indices `(batch,)` on the device, all of one size."""
    generator = torch.Generator().manual_seed(derive_seed(0, "timing order"))
    size = min(batch_size, examples)
    while True:
        order = torch.randperm(examples, generator=generator).to(device)
        yield from (batch for batch in order.split(size) if len(batch) == size)
