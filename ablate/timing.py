"""Throughput measured alone and in alternation, what an arm costs, and the environment it was measured in."""

import contextlib
import os
import platform
import random
import subprocess
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from ablate import models
from ablate.datasets import DatasetFacts
from ablate.results import TimingBlock
from ablate.runs import Arm, Run
from ablate.seeds import derived_seed

DISTURBED_SHARE = 0.10
"""A block counts as disturbed when other programs had more than this share of the processors."""

MEASURED_AGAIN = 3
"""So often a block is measured again because the machine slept meanwhile; then it counts as disturbed."""
SLEPT_SECONDS = 0.1
"""By so much the clock that sleep does not stop must lead: it may be the wall clock, which is set right."""

Steps = Callable[[int], int]
"""Makes so many training steps without synchronising; returns the examples trained on."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What an arm costs whoever runs it."""

    parameters: int
    flops_per_example: int
    peak_memory_bytes: int


def alternate(arms: Sequence[str], blocks: int) -> Iterator[tuple[int, int, str]]:
    """Block, position and arm of every measurement, in the order in which to take them.

    Each block has the baseline (the first arm) at both ends as a check for drift, the others shuffled.
    """
    baseline, *others = arms
    for block in range(blocks):
        shuffled = random.Random(derived_seed(block, "timing")).sample(others, len(others))
        for position, arm in enumerate([baseline, *shuffled, baseline]):
            yield block, position, arm


def measure_block(
    arm: str, steps: Steps, count: int, device: torch.device, *, block: int, position: int
) -> TimingBlock:
    """`count` steps between two synchronisations of the device, during which the machine did not sleep.

    A machine that has slept goes on with cold caches, at another clock rate and with programs that catch up.
    """
    for _ in range(1 + MEASURED_AGAIN):
        synchronise(device)
        asleep, load, started = seconds_asleep(), ProcessorLoad(), time.perf_counter()
        examples = steps(count)
        synchronise(device)
        seconds = time.perf_counter() - started
        slept = seconds_asleep() - asleep > SLEPT_SECONDS
        if not slept:
            break
    return TimingBlock(
        arm=arm,
        block=block,
        position=position,
        examples=examples,
        seconds=seconds,
        disturbed=slept or load.share_of_others() > DISTURBED_SHARE,
    )


def seconds_asleep() -> float:
    """By how much a clock that sleep does not stop leads one that it stops; only differences mean anything.

    Where there is no such clock the wall clock stands in: set forward, it has a block measured once more.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.time() - time.monotonic()


def steps_per_block(steps: Steps, block_seconds: float, device: torch.device) -> int:
    """How many steps make a block of so many seconds, after a warm-up whose figures are thrown away."""
    steps(3)
    synchronise(device)
    count = 4
    while True:
        started = time.perf_counter()
        steps(count)
        synchronise(device)
        seconds = time.perf_counter() - started
        if seconds > block_seconds / 4:
            return max(1, round(count * block_seconds / seconds))
        count *= 2


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def cost(
    model: nn.Module,
    image_shape: Sequence[int],
    step: Callable[[], object],
    *,
    resident: Sequence[torch.Tensor],
    device: torch.device,
) -> Cost:
    """Parameters, forward FLOPs of one example, and peak memory of the given training step.

    `resident` tensors, the data set, belong to no arm and are left out of its memory.
    """
    step()  # the first step also makes the optimiser's state
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        step()
        synchronise(device)
        peak = torch.cuda.max_memory_allocated(device) - sum(tensor.nbytes for tensor in resident)
    else:
        with _TensorBytes(model, resident) as tracker:
            step()
        peak = tracker.peak
    return Cost(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        flops_per_example=flops_per_example(model, image_shape),
        peak_memory_bytes=peak,
    )


def flops_per_example(model: nn.Module, image_shape: Sequence[int]) -> int:
    """Forward FLOPs of one example `(channels, height, width)`: convolutions and matrix products."""
    device = next(model.parameters()).device
    training = model.training
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, *image_shape, device=device))
    model.train(training)
    return int(counter.get_total_flops())


def arm_flops(arm: Arm, facts: DatasetFacts) -> int:
    """Forward FLOPs of one example of a data set through the arm's network."""
    shape = facts.shape_at(arm.recipe.input_size)
    network = models.build(
        arm.model, arm.keywords, input_shape=shape, classes=facts.classes, init="default", seed=0
    )
    return flops_per_example(network, shape)


class Work:
    """How much arithmetic runs are, by which the long are told from the short."""

    def __init__(self, facts: DatasetFacts, validation: int) -> None:
        """Of runs on a data set of which so many images are held out."""
        self._facts, self._validation = facts, validation
        self._flops: dict[str, int] = {}

    def of(self, run: Run) -> int:
        """FLOPs of the run's forward passes over its training images; an arm's network is counted once."""
        if run.arm.name not in self._flops:
            # A person's own network may do without all that is counted.
            self._flops[run.arm.name] = max(1, arm_flops(run.arm, self._facts))
        recipe = run.recipe
        images = self._facts.trained_on(recipe.train_images, self._validation)
        return self._flops[run.arm.name] * recipe.epochs * images


def environment(device: torch.device, threads: int) -> dict[str, Any]:
    """Versions, hardware and settings that a figure holds for."""
    packages = ("ablate", "torch", "optuna", "numpy", "pandas", "scipy", "statsmodels")
    described = {
        "device": device.type,
        "device_name": device_name(device),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "timing_threads": threads,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "git_commit": _git_commit(),
    }
    if device.type == "cuda":
        described["cuda"] = torch.version.cuda
        described["cudnn"] = torch.backends.cudnn.version()
    return described


def device_name(device: torch.device) -> str:
    """What the device is sold as."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()


class ProcessorLoad:
    """Which share of the machine's processors others had since this was made; our children's is ours."""

    def __init__(self) -> None:
        self._start = self._reading()

    def share_of_others(self) -> float:
        """From 0 to 1."""
        busy, total, own = (now - then for now, then in zip(self._reading(), self._start, strict=True))
        return max(0.0, (busy - own) / total) if total > 0 else 0.0

    @staticmethod
    def _reading() -> tuple[float, float, float]:
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        # Linux counts a guest's time in its host's user time as well.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        own = 0.0
        here = psutil.Process()
        for process in [here, *here.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                own += sum(process.cpu_times()[:4])  # user and system, its own and of children that ended
        return total - idle, total, own


class _TensorBytes(TorchDispatchMode):
    """Bytes of tensor storage alive at once, at most, while the mode is on; the model's own included."""

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


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """The commit of ablate's own checkout; None where it was installed from a wheel."""
    try:
        found = subprocess.run(
            ["git", "-C", Path(__file__).parent, "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
