"""How a run goes, whatever engine makes its steps: order, running means, evaluation, record."""

import ctypes
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from ablate.data import Dataset, split
from ablate.results import EpochPoint, RunRecord
from ablate.runs import Run, setting_name
from ablate.seeds import derived_seed

POINTS_PER_EPOCH = 5


class Trainer(Protocol):
    """A network and the engine that trains it."""

    name: str
    model: nn.Sequential

    def step(self, batch: Tensor) -> None:
        """One optimiser step on the examples of `batch`, indices `(b,)` on the device."""

    def reset(self) -> None:
        """Begin new running totals."""

    def totals(self) -> Tensor:
        """Summed loss and right guesses of the examples since the last reset, `(2,)`."""

    def evaluate(self, images: Tensor, labels: Tensor) -> float:
        """Accuracy on images `(n, channels, height, width)` and labels `(n,)`."""


def train(run: Run, trainer: Trainer, dataset: Dataset, *, validation: int) -> RunRecord:
    """Train one run to its end; its record.

    A loss that is no finite number after an epoch ends the run as diverged. The test images are read
    here, once, after the last epoch, and only in the confirm phase.
    """
    device = dataset.images.device
    recipe = run.recipe
    train_indices, validation_indices = (
        part.to(device) for part in split(dataset.labels, validation, run.seed, recipe.train_images)
    )
    held_out = dataset.images[validation_indices], dataset.labels[validation_indices]
    order_generator = torch.Generator().manual_seed(derived_seed(run.seed, "order"))
    points: list[EpochPoint] = []
    diverged = pruned = False
    with _dropout_stream(run.seed, device):
        for epoch in range(recipe.epochs):
            # Drawn on the CPU, so that the order is the same on every device.
            order = train_indices[torch.randperm(len(train_indices), generator=order_generator).to(device)]
            curve, seconds = _epoch(trainer, order, recipe.batch_size, epoch)
            diverged = not math.isfinite(curve[-1].train_loss)
            last = epoch == recipe.epochs - 1
            accuracy = None
            # Tuning looks at the last epoch alone; searches compare curves, confirmed runs are drawn.
            if validation and not diverged and (last or run.phase in ("confirm", "search")):
                accuracy = trainer.evaluate(*held_out)
            points += curve[:-1]
            points.append(
                replace(
                    curve[-1],
                    validation_accuracy=accuracy,
                    train_seconds=seconds,
                    examples_per_second=len(order) / seconds,
                )
            )
            if accuracy is not None and not last and epoch < len(run.floor):
                pruned = accuracy < run.floor[epoch]
            if diverged or pruned:
                break
    test_accuracy = None
    if run.phase == "confirm" and not (diverged or pruned):
        test_accuracy = trainer.evaluate(dataset.test_images, dataset.test_labels)
    final = points[-1]
    return RunRecord(
        phase=run.phase,
        arm=run.arm.name,
        setting=setting_name(run.setting),
        seed=run.seed,
        values={**run.arm.factors, **run.setting},
        status="diverged" if diverged else "pruned" if pruned else "complete",
        engine=trainer.name,
        train_loss=None if diverged else final.train_loss,
        train_accuracy=None if diverged else final.train_accuracy,
        validation_accuracy=final.validation_accuracy,
        test_accuracy=test_accuracy,
        epochs=tuple(point for point in points if math.isfinite(point.train_loss)),
        cause="the loss became infinite or no number" if diverged else None,
    )


def settle_process(threads: int) -> None:
    """Set this process up for training: so many threads, and memory kept instead of returned.

    By default glibc hands a step's activations back to the kernel and faults them in again at the next:
    keeping them raised LeNet's training from 7.5 to 10.9 thousand examples/s a core (measured, medians).
    """
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc; constants of its malloc.h
        trim_threshold, top_pad, mmap_threshold = -1, -2, -3
        mallopt(mmap_threshold, 1 << 30)
        mallopt(trim_threshold, (1 << 31) - 1)
        mallopt(top_pad, 256 << 20)


def _epoch(trainer: Trainer, order: Tensor, batch_size: int, epoch: int) -> tuple[list[EpochPoint], float]:
    """Train one pass; five running means as the documents draw them, and the wall seconds it took."""
    batches = order.split(batch_size)
    marks = {round((i + 1) * len(batches) / POINTS_PER_EPOCH) for i in range(POINTS_PER_EPOCH)} - {0}
    trainer.reset()
    readings: list[tuple[int, int, Tensor]] = []
    seen = 0
    started = time.perf_counter()
    for number, batch in enumerate(batches, start=1):
        trainer.step(batch)
        seen += len(batch)
        if number in marks:
            readings.append((number, seen, trainer.totals()))
    # The one synchronisation of the epoch: until here the device worked ahead of the clock.
    values = torch.stack([reading for _, _, reading in readings]).tolist()
    seconds = time.perf_counter() - started
    return [
        EpochPoint(
            epoch=epoch + number / len(batches), train_loss=loss / so_far, train_accuracy=correct / so_far
        )
        for (number, so_far, _), (loss, correct) in zip(readings, values, strict=True)
    ], seconds


class _dropout_stream:  # noqa: N801  # reads as a statement: `with _dropout_stream(...)`
    """Hand torch's global generator to dropout alone, seeded by the run, and give it back afterwards.

    nn.Dropout takes no generator. Nothing else in a run draws from the global one, so within the block
    it is the run's own dropout stream.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed = derived_seed(seed, "dropout")
        self._fork = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])

    def __enter__(self) -> None:
        self._fork.__enter__()
        torch.manual_seed(self._seed)

    def __exit__(self, *exception: object) -> None:
        self._fork.__exit__(*exception)  # type: ignore[arg-type]


def batches_forever(examples: int, batch_size: int, device: torch.device) -> Iterator[Tensor]:
    """Shuffled full batches without end, for timing: indices `(batch_size,)` on the device."""
    generator = torch.Generator().manual_seed(derived_seed(0, "timing order"))
    size = min(batch_size, examples)
    while True:
        order = torch.randperm(examples, generator=generator).to(device)
        yield from (batch for batch in order.split(size) if len(batch) == size)
