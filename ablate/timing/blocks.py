"""Timing blocks: each arm's steps in alternation, between two synchronisations of the device."""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence

import psutil
import torch

from ablate.records.run_records import TimingBlock
from ablate.seeds import derived_seed
from ablate.timing.machine import synchronise

DISTURBED_SHARE = 0.10
"""A block counts as disturbed when other programs had more than this share of the processors."""

MEASURED_AGAIN = 3
"""So often a block is measured again because the machine slept meanwhile; then it counts as disturbed."""
SLEPT_SECONDS = 0.1
"""By so much the clock that sleep does not stop must lead: it may be the wall clock, which is set right."""

Steps = Callable[[int], int]
"""Makes so many training steps without synchronising; returns the examples trained on."""


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
