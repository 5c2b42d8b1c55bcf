"""Contenders in alternation, block by block, and whether others had the machine meanwhile."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

from ablate.bench.contenders import Contender
from ablate.records.run_records import TimingBlock
from ablate.timing.blocks import DISTURBED_SHARE, ProcessorLoad, alternate


@dataclass(frozen=True, kw_only=True)
class Round:
    """Contenders that alternate, the one the others are set beside first, and what has been measured."""

    contenders: list[Contender]
    order: Iterator[tuple[int, int, str]]
    measured: list[TimingBlock]


def begin(contenders: list[Contender], blocks: int) -> Round:
    """A round of so many blocks, none measured yet."""
    order = alternate([contender.name for contender in contenders], blocks)
    return Round(contenders=contenders, order=order, measured=[])


def measured(contender: Contender, block: int, position: int) -> TimingBlock:
    """One block of a contender, and whether others had the processors meanwhile."""
    load, started = ProcessorLoad(), perf_counter()
    examples = contender.train()
    seconds = perf_counter() - started
    return TimingBlock(
        arm=contender.name,
        block=block,
        position=position,
        examples=examples,
        seconds=seconds,
        disturbed=load.share_of_others() > DISTURBED_SHARE,
    )
