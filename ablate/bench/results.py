"""Compute each contender's throughput from timing blocks, its ratio to the reference, and its goal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from string import ascii_lowercase
from typing import Literal

import numpy as np

from ablate.bench.contenders import Contender, Kind
from ablate.records.run_records import TimingBlock
from ablate.records.tables import make_frame
from ablate.stats.throughput import summarise_throughput

CONFIDENCE = 0.95
KINDS: tuple[Kind, ...] = ("one run alone", "one run inside a cohort", "aggregate", "end to end")
COLUMNS = {"": 32, "examples/s": 10, "quartiles": 15, "ratio (95% interval)": 21, "must/aim": 8, "reached": 7}
"""Maps each column's heading to the column's minimum width in characters.

All tables have the same columns and widths, so that they align.
"""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The throughput of one contender (way to train), and its ratio to the reference's throughput.

    The reference is the first contender that is measured in the same round.
    """

    kind: Kind
    name: str
    covers: str
    beside: str | None
    """The name of the reference. None if this contender is the reference."""
    blocks: int
    undisturbed: int
    """The number of blocks that no other program disturbed.

    The results are computed from only these blocks. If there are none, all blocks are used.
    """
    examples_per_second: float
    """The median throughput of the timing blocks."""
    examples_per_second_q1: float
    examples_per_second_q3: float
    ratio: float | None = None
    ratio_ci_low: float | None = None
    ratio_ci_high: float | None = None
    must: float | None = None
    aim: float | None = None
    reached: Literal["aim", "must", "no"] | None = None
    flops_per_second: float | None = None


def compute_results(contenders: Sequence[Contender], measured: Sequence[TimingBlock]) -> Iterator[Result]:
    """Yield a result for each contender of a round.

    If a contender trains several runs at once, yield a second result, for one of these runs.

    A ratio needs at least three blocks in which no other program disturbed the contender and the reference.
    One ratio is computed for each block. Their geometric mean is the result, as in a study's report. If a
    round has only one block, the contender's throughput is divided by the mean throughput of the reference.
    Such a ratio has no confidence interval.
    """
    names = [contender.name for contender in contenders]
    compared = summarise_throughput(make_frame("timing", map(vars, measured)), names, CONFIDENCE)
    once = len({block.block for block in measured}) == 1
    for contender in contenders:
        own = [block for block in measured if block.arm == contender.name]
        speeds = _speeds(own)
        q1, middle, q3 = np.quantile(speeds, [0.25, 0.5, 0.75]).tolist()
        row = Result(
            kind=contender.kind,
            name=contender.name,
            covers=contender.covers,
            beside=None,
            blocks=len(own),
            undisturbed=sum(not block.disturbed for block in own),
            examples_per_second=middle,
            examples_per_second_q1=q1,
            examples_per_second_q3=q3,
            flops_per_second=contender.flops_per_example and contender.flops_per_example * middle,
        )
        if contender.name != names[0]:
            known = compared.get(contender.name, {})
            ratio = known.get("examples_per_second_ratio")
            if once:
                first = [block for block in measured if block.arm == names[0]]
                ratio = middle / fmean(_speeds(first))
            row = replace(
                row,
                beside=names[0],
                ratio=ratio,
                ratio_ci_low=known.get("examples_per_second_ratio_ci_low"),
                ratio_ci_high=known.get("examples_per_second_ratio_ci_high"),
                must=contender.must,
                aim=contender.aim,
                reached=_grade(ratio, contender),
            )
        yield row
        if contender.at_once > 1:
            yield _divide(row, contender.at_once)


def lay_out_sections(rows: Sequence[Result]) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Yield each table's heading and rows. A table has all results with the same `kind` and `covers`."""
    first = [row.beside for row in rows if row.beside]
    letters = dict(zip(dict.fromkeys(first), ascii_lowercase, strict=False))
    for kind in KINDS:
        of_kind = [row for row in rows if row.kind == kind]
        for covers in dict.fromkeys(row.covers for row in of_kind):
            here = [_cells(row, letters) for row in of_kind if row.covers == covers]
            yield f"{kind}: {covers}", here


def _cells(row: Result, letters: dict[str, str]) -> tuple[str, ...]:
    marked = f"{letters[row.name]}: {row.name}" if row.name in letters else f"   {row.name}"
    ratio = ""
    if row.beside is not None:
        ratio = "under 3 clean pairs" if row.ratio is None else f"{row.ratio:.2f} × {letters[row.beside]}"
    if row.ratio_ci_low is not None:
        ratio += f" ({row.ratio_ci_low:.2f}–{row.ratio_ci_high:.2f})"
    return (
        marked,
        f"{row.examples_per_second:,.0f}",
        f"{row.examples_per_second_q1:,.0f}–{row.examples_per_second_q3:,.0f}",
        ratio,
        "" if row.must is None else f"{row.must:g}/{row.aim:g}",
        "" if row.reached is None else {"aim": "aim", "must": "must", "no": "neither"}[row.reached],
    )


def _speeds(blocks: Sequence[TimingBlock]) -> list[float]:
    """List the examples per second of each undisturbed block. If no block is undisturbed, use all blocks."""
    kept = [block for block in blocks if not block.disturbed] or blocks
    return [block.examples / block.seconds for block in kept]


def _grade(ratio: float | None, contender: Contender) -> Literal["aim", "must", "no"] | None:
    if ratio is None or contender.must is None or contender.aim is None:
        return None
    return "aim" if ratio >= contender.aim else "must" if ratio >= contender.must else "no"


def _divide(row: Result, at_once: int) -> Result:
    """Compute the result of one run from the result of `at_once` runs that train at the same time."""
    return replace(
        row,
        kind="one run inside a cohort",
        name=f"one of {at_once} runs at once",
        examples_per_second=row.examples_per_second / at_once,
        examples_per_second_q1=row.examples_per_second_q1 / at_once,
        examples_per_second_q3=row.examples_per_second_q3 / at_once,
        ratio=row.ratio and row.ratio / at_once,
        ratio_ci_low=row.ratio_ci_low and row.ratio_ci_low / at_once,
        ratio_ci_high=row.ratio_ci_high and row.ratio_ci_high / at_once,
        must=None,
        aim=None,
        reached=None,
    )
