"""The plain training loop in torch: the reference for every other engine, and the thing that is timed."""

import ctypes
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate import models
from ablate.data import Dataset, split
from ablate.results import EpochPoint, RunRecord
from ablate.seeds import derived_seed
from ablate.space import Run, setting_name
from ablate.study import Recipe

NAME = "loop"
POINTS_PER_EPOCH = 5
EVALUATION_BATCH = 1_000


@dataclass(frozen=True, kw_only=True)
class Training:
    """A network about to be trained: everything a step needs, resident on one device."""

    model: nn.Sequential
    optimizer: torch.optim.Optimizer
    images: Tensor
    labels: Tensor
    loss_sum: Tensor
    """Summed loss of the examples seen since it was last zeroed, `()`."""
    correct: Tensor
    """Right guesses since it was last zeroed, `()`."""


def prepare(run: Run, dataset: Dataset, device: torch.device) -> Training:
    """The run's network as its seed makes it, with its optimiser, on the device of the data."""
    model = models.build(
        run.arm.model,
        run.keywords,
        input_shape=dataset.images.shape[1:],
        classes=len(dataset.classes),
        init=run.recipe.init,
        seed=run.seed,
    )
    model = model.to(device, memory_format=_memory_format(device)).train()  # type: ignore[call-overload]
    return Training(
        model=model,
        optimizer=_optimizer(run.recipe, model),
        images=dataset.images,
        labels=dataset.labels,
        loss_sum=torch.zeros((), device=device),
        correct=torch.zeros((), device=device),
    )


def step(training: Training, batch: Tensor) -> None:
    """One optimiser step on the examples of `batch`, indices `(b,)`; nothing is synchronised."""
    images = training.images[batch].contiguous(memory_format=_memory_format(batch.device))
    labels = training.labels[batch]
    training.optimizer.zero_grad(set_to_none=True)
    logits = training.model(images)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    training.optimizer.step()
    with torch.no_grad():
        training.loss_sum.add_(loss.detach(), alpha=len(batch))
        training.correct.add_((logits.argmax(1) == labels).sum())


def train(
    run: Run, dataset: Dataset, *, validation: int, device: torch.device
) -> tuple[RunRecord, nn.Sequential]:
    """Train one run to its end; its record, and the trained network.

    A loss that is no finite number after an epoch ends the run as diverged. The test images are read
    here, once, after the last epoch, and only in the confirm phase.
    """
    recipe = run.recipe
    training = prepare(run, dataset, device)
    train_indices, validation_indices = (
        part.to(device) for part in split(dataset.labels, validation, run.seed)
    )
    held_out = dataset.images[validation_indices], dataset.labels[validation_indices]
    order_generator = torch.Generator().manual_seed(derived_seed(run.seed, "order"))
    points: list[EpochPoint] = []
    diverged = False
    with _dropout_stream(run.seed, device):
        for epoch in range(recipe.epochs):
            # Drawn on the CPU, so that the order is the same on every device.
            order = train_indices[torch.randperm(len(train_indices), generator=order_generator).to(device)]
            curve, seconds = _epoch(training, order, recipe.batch_size, epoch)
            diverged = not math.isfinite(curve[-1].train_loss)
            last = epoch == recipe.epochs - 1
            accuracy = None
            # Tuning looks at the last epoch alone; only confirmed runs are drawn as curves.
            if validation and not diverged and (last or run.phase == "confirm"):
                accuracy = evaluate(training.model, *held_out)
            points += curve[:-1]
            points.append(
                EpochPoint(
                    epoch=curve[-1].epoch,
                    train_loss=curve[-1].train_loss,
                    train_accuracy=curve[-1].train_accuracy,
                    validation_accuracy=accuracy,
                    train_seconds=seconds,
                    examples_per_second=len(order) / seconds,
                )
            )
            if diverged:
                break
    test_accuracy = None
    if run.phase == "confirm" and not diverged:
        test_accuracy = evaluate(training.model, dataset.test_images, dataset.test_labels)
    final = points[-1]
    record = RunRecord(
        phase=run.phase,
        arm=run.arm.name,
        setting=setting_name(run.setting),
        seed=run.seed,
        values={**run.arm.factors, **run.setting},
        status="diverged" if diverged else "complete",
        engine=NAME,
        train_loss=None if diverged else final.train_loss,
        train_accuracy=None if diverged else final.train_accuracy,
        validation_accuracy=final.validation_accuracy,
        test_accuracy=test_accuracy,
        epochs=tuple(point for point in points if math.isfinite(point.train_loss)),
        cause="the loss became infinite or no number" if diverged else None,
    )
    return record, training.model


def evaluate(model: nn.Sequential, images: Tensor, labels: Tensor) -> float:
    """The share of images whose highest logit is their label's, in evaluation mode."""
    model.eval()
    correct = torch.zeros((), dtype=torch.int64, device=labels.device)
    with torch.inference_mode():
        for start in range(0, len(labels), EVALUATION_BATCH):
            chunk = slice(start, start + EVALUATION_BATCH)
            logits = model(images[chunk].contiguous(memory_format=_memory_format(images.device)))
            correct += (logits.argmax(1) == labels[chunk]).sum()
    model.train()
    return int(correct) / len(labels)


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


def _epoch(training: Training, order: Tensor, batch_size: int, epoch: int) -> tuple[list[EpochPoint], float]:
    """Train one pass; five running means as the documents draw them, and the wall seconds it took."""
    batches = order.split(batch_size)
    marks = {round((i + 1) * len(batches) / POINTS_PER_EPOCH) for i in range(POINTS_PER_EPOCH)} - {0}
    training.loss_sum.zero_()
    training.correct.zero_()
    readings: list[tuple[int, int, Tensor]] = []
    seen = 0
    started = time.perf_counter()
    for number, batch in enumerate(batches, start=1):
        step(training, batch)
        seen += len(batch)
        if number in marks:
            readings.append((number, seen, torch.stack([training.loss_sum, training.correct])))
    # The one synchronisation of the epoch: until here the device worked ahead of the clock.
    values = torch.stack([reading for _, _, reading in readings]).tolist()
    seconds = time.perf_counter() - started
    return [
        EpochPoint(
            epoch=epoch + number / len(batches), train_loss=loss / so_far, train_accuracy=correct / so_far
        )
        for (number, so_far, _), (loss, correct) in zip(readings, values, strict=True)
    ], seconds


def _optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    # Fused: one kernel a step; Adam at batch 32 went from 6.5 to 7.4 thousand examples/s a core (medians).
    parameters, rate, decay = model.parameters(), recipe.learning_rate, recipe.weight_decay
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, rate, momentum=recipe.momentum, weight_decay=decay, fused=True)
        case "adam":
            return torch.optim.Adam(parameters, rate, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, rate, weight_decay=decay, fused=True)


def _memory_format(device: torch.device) -> torch.memory_format:
    # On a CPU channels-last is the faster layout for these small maps; CUDA's fp32 kernels like the default.
    return torch.channels_last if device.type == "cpu" else torch.contiguous_format


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
