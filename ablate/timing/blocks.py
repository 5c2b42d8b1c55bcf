"""Measure throughput in timing blocks. Arms alternate. Each block ends when the device has finished."""

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

DISTURBED_SHARE = 0.10
"""A block counts as disturbed if other programs used more than this share of the processors."""

REPEATS_AFTER_SLEEP = 3
"""How often a block is repeated if the machine slept. If it still slept, the block counts as disturbed."""
SLEPT_SECONDS = 0.1
"""Only a longer sleep counts as a sleep. A shorter difference may be an adjustment of the wall clock."""

Steps = Callable[[int], int]
"""Makes a number of training steps without waiting for the device. Returns the number of examples."""


def alternate(arms: Sequence[str], blocks: int) -> Iterator[tuple[int, int, str]]:
    """Yield block, position and arm of every measurement, in order.

    Each block begins and ends with the baseline (the first arm), to show drift. The other arms are shuffled.
    """
    baseline, *others = arms
    for block in range(blocks):
        shuffled = random.Random(derive_seed(block, "timing")).sample(others, len(others))
        for position, arm in enumerate([baseline, *shuffled, baseline]):
            yield block, position, arm


def measure_block(
    arm: str, steps: Steps, count: int, device: torch.device, *, block: int, position: int
) -> TimingBlock:
    """Measure `count` steps between two waits for the device, if possible while the machine does not sleep.

    After sleep, a machine has cold caches and another clock rate, and other programs catch up on their work.
    """
    for _ in range(1 + REPEATS_AFTER_SLEEP):
        synchronise(device)
        asleep, load, started = read_seconds_asleep(), ProcessorLoad(), time.perf_counter()
        examples = steps(count)
        synchronise(device)
        seconds = time.perf_counter() - started
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
    )


def read_seconds_asleep() -> float:
    """Read by how many seconds a clock that runs during sleep is ahead of one that stops during sleep.

    Only the difference of two readings has a meaning. Where no clock runs during sleep, the wall clock is
    used. If someone sets the wall clock forward, a block is measured again.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.time() - time.monotonic()


def count_steps_per_block(steps: Steps, block_seconds: float, device: torch.device) -> int:
    """Measure how many steps a block of `block_seconds` has, after a warm-up."""
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
    """The share of the processors' time that other programs have used since this object was made.

    This process and its children do not count as other programs.
    """

    def __init__(self) -> None:
        self._start = self._read()

    def share_of_others(self) -> float:
        """The share, from 0 to 1."""
        busy, total, own = (now - then for now, then in zip(self._read(), self._start, strict=True))
        return max(0.0, (busy - own) / total) if total > 0 else 0.0

    @staticmethod
    def _read() -> tuple[float, float, float]:
        # On a large machine, programs that run on cores of others hardly disturb this process.
        cores, every = list_cores(), psutil.cpu_times(percpu=True)
        limited = len(cores) < len(every) and cores[-1] < len(every)
        idle = total = 0.0
        for times in [every[core] for core in cores] if limited else [psutil.cpu_times()]:
            idle += times.idle + getattr(times, "iowait", 0.0)
            # Linux also counts a guest's time in its host's user time.
            total += sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        own = 0.0
        here = psutil.Process()
        for process in [here, *here.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                own += sum(process.cpu_times()[:4])  # user and system time, with ended children
        return total - idle, total, own
