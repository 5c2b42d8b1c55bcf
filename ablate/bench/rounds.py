"""Contenders in alternation, block by block, and whether others had the machine meanwhile."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import psutil

from ablate import timing
from ablate.bench.contenders import Contender
from ablate.results import TimingBlock


@dataclass(frozen=True, kw_only=True)
class Round:
    """Contenders that alternate, the one the others are set beside first, and what has been measured."""

    contenders: list[Contender]
    order: Iterator[tuple[int, int, str]]
    measured: list[TimingBlock]


def begin(contenders: list[Contender], blocks: int) -> Round:
    """A round of so many blocks, none measured yet."""
    order = timing.alternate([contender.name for contender in contenders], blocks)
    return Round(contenders=contenders, order=order, measured=[])


def measured(contender: Contender, block: int, position: int) -> TimingBlock:
    """One block of a contender, and whether others had the processors meanwhile."""
    before, started = _processor_seconds(), perf_counter()
    examples = contender.train()
    seconds = perf_counter() - started
    busy, total, own = (now - then for now, then in zip(_processor_seconds(), before, strict=True))
    return TimingBlock(
        arm=contender.name,
        block=block,
        position=position,
        examples=examples,
        seconds=seconds,
        disturbed=total > 0 and (busy - own) / total > timing.DISTURBED_SHARE,
    )


def _processor_seconds() -> tuple[float, float, float]:
    """Seconds so far that the machine's processors were busy, that they had, and that our processes took.

    Unlike the timing phase's, those of our children count as ours: the tutorial's loop and the runs side by
    side are such.
    """
    times = psutil.cpu_times()
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    own = 0.0
    here = psutil.Process()
    for process in [here, *here.children(recursive=True)]:
        try:
            own += sum(process.cpu_times()[:4])  # user and system, its own and of children that have ended
        except psutil.NoSuchProcess:
            continue
    return total - times.idle - getattr(times, "iowait", 0.0), total, own
