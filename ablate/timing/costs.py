"""Measure the cost of an arm (a variant of the network or its training): size, FLOPs, memory and times."""

import statistics
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, _FlopCounterMode

from ablate import models
from ablate.data.datasets import DatasetFacts
from ablate.design.runs import Arm, Run
from ablate.devices.device import synchronise
from ablate.devices.memory import measure_peak_bytes
from ablate.records.provenance import LARGE_BATCH, LARGE_CALLS, LATENCY_CALLS
from ablate.torch_settings import spare_compiler


@dataclass(frozen=True, kw_only=True)
class Cost:
    """The costs of an arm that do not depend on the machine's speed."""

    parameters: int
    flops_per_example: int
    peak_memory_bytes: int | None
    """None if it cannot be measured."""


def measure_call(call: Callable[[], object], device: torch.device) -> float:
    """Measure the wall-clock time of one call in seconds, until the device has finished."""
    synchronise(device)
    started = time.perf_counter()
    call()
    synchronise(device)
    return time.perf_counter() - started


def measure_inference(network: Callable[[torch.Tensor], object], images: torch.Tensor) -> tuple[float, float]:
    """Measure how fast a network classifies images.

    `network` computes the class scores of a batch of `images`, `(n, channels, height, width)`. If there are
    fewer than 1,024 images, they are repeated.

    Returns:
        The latency of one image in seconds, and the number of images per second in batches of 1,024. Both are
        medians. Before them, the same number of calls is made as a warm-up.
    """
    large = images[torch.arange(LARGE_BATCH, device=images.device) % len(images)]

    def measure(batch: torch.Tensor, calls: int) -> float:
        seconds = [measure_call(lambda: network(batch), batch.device) for _ in range(2 * calls)]
        return statistics.median(seconds[calls:])

    return measure(large[:1], LATENCY_CALLS), LARGE_BATCH / measure(large, LARGE_CALLS)


def measure_cost(
    model: nn.Module,
    image_shape: Sequence[int],
    step: Callable[[], object],
    *,
    resident: Sequence[torch.Tensor],
    device: torch.device,
    before: int | None = None,
    compiled: bool = False,
) -> Cost:
    """Measure the parameters, the forward FLOPs of one example, and the peak memory of a training step.

    `step` makes one training step. `resident` lists the tensors of the data set, and these do not count as
    memory of the arm. `before` is the number of bytes that an accelerator had in use before the network was
    built. These bytes include the data set, and can include resized images that another arm uses. If `before`
    is given, these bytes are subtracted instead of the bytes of `resident`. `compiled` says that
    `torch.compile` compiled the network. On a CPU, the memory of such a network is unknown, because torch
    does not use the compiled code while tensors are tracked.
    """
    step()  # the first step also allocates the optimiser's state
    measured = measure_peak_bytes(step, device)
    peak: int | None = None
    if measured is None and not compiled:
        with _TensorBytes(model, resident) as tracker:
            step()
        peak = tracker.peak
    elif measured is not None:
        peak = measured - (before if before is not None else sum(tensor.nbytes for tensor in resident))
    return Cost(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        flops_per_example=count_flops_per_example(model, image_shape),
        peak_memory_bytes=peak,
    )


def count_flops_per_example(model: nn.Module, image_shape: Sequence[int]) -> int:
    """Count the forward FLOPs of one example `(channels, height, width)`.

    Only convolutions and matrix products count.
    """
    device = next(model.parameters()).device
    training = model.training
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()
        model(torch.zeros(1, *image_shape, device=device))
    model.train(training)
    return int(counter.get_total_flops())


def count_arm_flops(arm: Arm, facts: DatasetFacts) -> int:
    """Count the forward FLOPs of the arm's network for one example of a data set."""
    shape = facts.compute_shape(arm.recipe.input_size)
    network = models.build(
        arm.model, arm.keywords, input_shape=shape, classes=facts.classes, init="default", seed=0
    )
    return count_flops_per_example(network, shape)


class Work:
    """Counts the FLOPs of runs, to compare how long the runs take."""

    def __init__(self, facts: DatasetFacts, validation: int) -> None:
        """Prepare for runs on a data set. `validation` is the number of training images that are held out."""
        self._facts, self._validation = facts, validation
        self._flops: dict[str, int] = {}

    def count_flops(self, run: Run) -> int:
        """Count the FLOPs of the run's forward passes over its training images in all epochs."""
        if run.arm.name not in self._flops:
            # If a user's network has no convolution and no matrix product, use 1 FLOP instead of 0.
            self._flops[run.arm.name] = max(1, count_arm_flops(run.arm, self._facts))
        recipe = run.recipe
        images = self._facts.count_training_images(recipe.train_images, self._validation)
        return self._flops[run.arm.name] * recipe.epochs * images


class _TensorBytes(TorchDispatchMode):
    """Measures peak memory: the largest number of bytes that all tensors occupy at the same time."""

    def __init__(self, model: nn.Module, uncounted: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self._alive = {tensor.untyped_storage()._cdata for tensor in uncounted}
        self._bytes = 0
        self.peak = 0
        for tensor in [*model.parameters(), *model.buffers()]:
            self._count(tensor)
            if tensor.grad is not None:
                self._count(tensor.grad)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves((args, made)):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor)
        return made

    def _count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self._alive:
            return
        self._alive.add(storage._cdata)
        self._bytes += storage.nbytes()
        self.peak = max(self.peak, self._bytes)
        weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())

    def _forget(self, address: int, size: int) -> None:
        self._alive.discard(address)
        self._bytes -= size


for mode in (_FlopCounterMode, _TensorBytes):
    spare_compiler(mode.__torch_dispatch__)
