"""Measure the training speed of all arms (variants of a network or its training) alternately, in blocks."""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence

import psutil
import torch

from ablate.cores import list_cores
from ablate.devices.device import synchronise
from ablate.records.run_records import TimingBlock
from ablate.seeds import derive_seed
from ablate.timing.energy import EnergyCounter

DISTURBED_SHARE = 0.10
"""A measurement counts as disturbed if other programs used more than this share of the processors' time."""

REPEATS_AFTER_SLEEP = 3
"""If the machine sleeps during a measurement, the measurement is repeated at most this many times.

If the machine sleeps each time, the measurement counts as disturbed.
"""
SLEPT_SECONDS = 0.1
"""The machine has slept if the result of `read_seconds_asleep` has grown by more than this many seconds.

A smaller growth can come from an adjustment of the wall clock.
"""

Steps = Callable[[int], int]
"""A function that makes a given number of training steps, and returns how many examples they trained on.

The function does not wait for the device.
"""


def make_steps(step: Callable[[torch.Tensor], object], batches: Iterator[torch.Tensor]) -> Steps:
    """Make the function that makes training steps: each step trains on the next batch, `(batch,)` indices."""

    def steps(count: int) -> int:
        examples = 0
        for _ in range(count):
            batch = next(batches)
            step(batch)
            examples += len(batch)
        return examples

    return steps


def alternate(arms: Sequence[str], blocks: int) -> Iterator[tuple[int, int, str]]:
    """Yield the block, the position in the block, and the arm of every measurement, in their order.

    Each block begins and ends with the baseline (the first arm), to show whether the machine's speed changes.
    The order of the other arms is random.
    """
    baseline, *others = arms
    for block in range(blocks):
        shuffled = random.Random(derive_seed(block, "timing")).sample(others, len(others))
        for position, arm in enumerate([baseline, *shuffled, baseline]):
            yield block, position, arm


def measure_block(
    arm: str,
    steps: Steps,
    count: int,
    device: torch.device,
    *,
    block: int,
    position: int,
    counter: EnergyCounter | None = None,
) -> TimingBlock:
    """Measure the time of `count` steps. If the machine sleeps during the steps, measure again.

    After sleep, a machine has cold caches and another clock rate, and other programs catch up on their work.
    """
    for _ in range(1 + REPEATS_AFTER_SLEEP):
        synchronise(device)
        if counter is not None:
            counter.start()
        asleep, load, started = read_seconds_asleep(), ProcessorLoad(), time.perf_counter()
        examples = steps(count)
        synchronise(device)
        seconds = time.perf_counter() - started
        joules = None if counter is None else counter.stop()
        slept = read_seconds_asleep() - asleep > SLEPT_SECONDS
        if not slept:
            break
    return TimingBlock(
        arm=arm,
        block=block,
        position=position,
        examples=examples,
        seconds=seconds,
        disturbed=slept or load.share_of_others() > DISTURBED_SHARE,
        joules=joules,
    )


def read_seconds_asleep() -> float:
    """Return the difference of two clocks in seconds. While the machine sleeps, only one clock runs.

    Between two calls, the result grows by the time that the machine slept. If the system has no clock that
    runs during sleep, the wall clock is used instead. If a user then sets the wall clock forward, this counts
    as sleep.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.time() - time.monotonic()


def count_steps_per_block(steps: Steps, block_seconds: float, device: torch.device) -> int:
    """Measure, after a warm-up, how many steps fit into a block of `block_seconds`."""
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


class ProcessorLoad:
    """Measures the share of the processors' time that other programs use after this object was created.

    This process and its children do not count as other programs.
    """

    def __init__(self) -> None:
        self._start = self._read()

    def share_of_others(self) -> float:
        """Return other programs' share of the processors' time since this object was created, from 0 to 1."""
        busy, total, own = (now - then for now, then in zip(self._read(), self._start, strict=True))
        return max(0.0, (busy - own) / total) if total > 0 else 0.0

    @staticmethod
    def _read() -> tuple[float, float, float]:
        # Only the cores that this process is allowed to use are read. Programs on other cores hardly slow
        # this process down.
        cores, every = list_cores(), psutil.cpu_times(percpu=True)
        limited = len(cores) < len(every) and cores[-1] < len(every)
        idle = total = 0.0
        for times in [every[core] for core in cores] if limited else [psutil.cpu_times()]:
            idle += times.idle + getattr(times, "iowait", 0.0)
            # Linux includes the time of virtual machines (guest) in user time, so it would count twice.
            total += sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        own = 0.0
        here = psutil.Process()
        for process in [here, *here.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                own += sum(process.cpu_times()[:4])  # user and system time, also of children that have ended
        return total - idle, total, own
