"""Measure the contenders of `ablate bench` in rounds. Each block of a round measures all its contenders."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

from ablate.bench.contenders import Contender
from ablate.records.run_records import TimingBlock
from ablate.timing.blocks import DISTURBED_SHARE, ProcessorLoad, alternate


@dataclass(frozen=True, kw_only=True)
class Round:
    """Contenders (ways to train) that are measured alternately, and their measurements so far.

    The first contender is the reference, with which the others are compared.
    """

    contenders: list[Contender]
    order: Iterator[tuple[int, int, str]]
    measured: list[TimingBlock]


def start_round(contenders: list[Contender], blocks: int) -> Round:
    """Make a round with at most `blocks` timing blocks."""
    order = alternate([contender.name for contender in contenders], blocks)
    return Round(contenders=contenders, order=order, measured=[])


def measure(contender: Contender, block: int, position: int) -> TimingBlock:
    """Measure a contender once, and record whether other programs used the processors at the same time."""
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
