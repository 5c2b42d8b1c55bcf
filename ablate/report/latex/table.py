"""Make the table for a paper: its columns, its cells, and the notes below it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ablate.formatting import format_count, spell_keyword
from ablate.report.evidence import Evidence
from ablate.report.latex.escape import Latex, escape_latex
from ablate.report.latex.rows import (
    ArmRow,
    Difference,
    find_best_arm,
    name_arm,
    name_arm_column,
)

BEST, LEVEL = Latex(r"\textsuperscript{*}"), Latex(r"\textsuperscript{\dag}")
MISSING = Latex("{--}")
LONGEST_NAME = 34
"""If a name has more characters than this, the column of names has a fixed width and breaks lines."""
MOST_ROWS = 24
"""A table is set in small type if all its blocks together have more rows than this."""
PAGE_ROWS = 32
"""A table with more rows than this can be taller than a page."""
COST_HEADINGS = {
    "throughput": "images/s",
    "ratio": r"$\times$ base",
    "parameters": "parameters",
    "flops": "FLOP/image",
    "memory": "MB",
    "energy": "mJ/image",
}
WAITING_HEADINGS = {
    "start": "first step (ms)",
    "latency": "one image (ms)",
    "inference": "inference (images/s)",
}


@dataclass(frozen=True, kw_only=True)
class Block:
    """A LaTeX tabular: the specification of its columns, its heading, and its rows of cells."""

    columns: Latex
    heading: tuple[Latex, ...]
    rows: tuple[tuple[Latex, ...], ...]


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """The table of a study. If some comparisons are not with the baseline, they have a separate block."""

    blocks: tuple[Block, ...]
    notes: tuple[Latex, ...]

    @property
    def is_tall(self) -> bool:
        """Whether the table needs small type to fit on a page. Long names take two lines of a page each."""
        return sum(len(block.rows) for block in self.blocks) > MOST_ROWS


@dataclass(frozen=True, kw_only=True)
class _Column:
    """A column of a block. It can consist of several columns of the LaTeX tabular (`places`)."""

    specification: str
    heading: str
    cells: Sequence[str]
    places: int = 1


def make_table(
    evidence: Evidence, arms: Sequence[ArmRow], differences: Sequence[Difference], *, costs: bool
) -> PaperTable:
    """Make the table of the study's arms and comparisons. If `costs` is true, add blocks of costs.

    If a block of waiting times would make the table taller than a page, only `numbers.tex` has these times.
    Costs and waiting times have separate blocks, because a row with all columns would be wider than a page.
    """
    by_arm = {row.arm: row for row in differences if row.other == evidence.arms[0]}
    together = len(by_arm) == len(differences) <= len(arms) - 1
    first = [
        _make_names(name_arm_column(evidence), [_mark(row) for row in arms], [row.name for row in arms]),
        *_make_seeds(arms),
        _make_means(evidence, arms),
    ]
    if together:
        first += _make_differences([by_arm.get(row.arm) for row in arms])
    blocks = [_join(first)]
    if not together:
        names = [row.name for row in differences]
        blocks.append(_join([_make_names("comparison", names, names), *_make_differences(differences)]))
    shown: list[str] = []
    if costs:
        shown += COST_HEADINGS
        blocks.append(_join([first[0], *_make_costs(arms, COST_HEADINGS)]))
        waiting = _make_costs(arms, WAITING_HEADINGS)
        if waiting and sum(len(block.rows) for block in blocks) + len(arms) <= PAGE_ROWS:
            shown += WAITING_HEADINGS
            blocks.append(_join([first[0], *waiting]))
    return PaperTable(blocks=tuple(blocks), notes=tuple(_list_notes(evidence, arms, differences, shown)))


def _join(columns: Sequence[_Column]) -> Block:
    heading = [
        Latex(rf"\multicolumn{{{c.places}}}{{c}}{{{c.heading}}}" if c.places > 1 else f"{{{c.heading}}}")
        for c in columns
    ]
    return Block(
        columns=Latex("".join(f"\n  {column.specification}" for column in columns)),
        heading=tuple(heading),
        rows=tuple(tuple(map(Latex, cells)) for cells in zip(*(c.cells for c in columns), strict=True)),
    )


def _mark(row: ArmRow) -> Latex:
    """Write the arm's name with its mark: bold and a star if it is the best, a dagger if it is level."""
    name = escape_latex(row.name)
    return Latex(rf"\textbf{{{name}}}{BEST}" if row.is_best else f"{name}{LEVEL if row.is_level else ''}")


def _make_names(heading: str, cells: Sequence[str], shown: Iterable[str]) -> _Column:
    long = max(map(len, shown)) > LONGEST_NAME
    return _Column(
        specification=r">{\raggedright\arraybackslash\hangindent=1em}p{0.34\linewidth}" if long else "l",
        heading=escape_latex(heading),
        cells=[escape_latex(cell) for cell in cells],
    )


def _make_seeds(arms: Sequence[ArmRow]) -> list[_Column]:
    """Make the column of seeds. If all arms have the same number, the notes state it instead."""
    if len({row.seeds for row in arms}) == 1:
        return []
    return [_Column(specification="r", heading="$n$", cells=[str(row.seeds) for row in arms])]


def _make_means(evidence: Evidence, arms: Sequence[ArmRow]) -> _Column:
    means = [row.measured.mean if row.measured else None for row in arms]
    widths = [row.measured.half_width if row.measured else None for row in arms]
    unit = {"points": r" (\%)", "nats": " (nats)", "number": ""}[evidence.metric.unit]
    return _Column(
        specification=f"{_align(means)}@{{\\,}}>{{{{}}}}c<{{{{}}}}@{{\\,}}{_align(widths, left=True)}",
        heading=f"test {spell_keyword(evidence.study.decision.metric)}{unit}",
        cells=[
            rf"\multicolumn{{3}}{{c}}{MISSING}"
            if mean is None
            else rf"{_number(mean)} & & {{}}"
            if width is None
            else rf"{_number(mean)} & $\pm$ & {_number(width)}"
            for mean, width in zip(means, widths, strict=True)
        ],
        places=3,
    )


def _make_differences(rows: Sequence[Difference | None]) -> list[_Column]:
    measured = [row.measured if row else None for row in rows]
    means = [one.mean if one else None for one in measured]
    return [
        _Column(
            specification=_align(means),
            heading="difference",
            cells=[MISSING if mean is None else _number(mean) for mean in means],
        ),
        _Column(
            specification="r",
            heading="interval",
            cells=[
                MISSING if one is None or one.low is None else rf"$[{_number(one.low)}, {_number(one.high)}]$"
                for one in measured
            ],
        ),
        _Column(
            specification="r",
            heading=r"$p_{\mathrm{Holm}}$",
            cells=[
                MISSING
                if row is None or row.p is None
                else f"${row.p.removeprefix('p = ').removeprefix('p ')}$"
                for row in rows
            ],
        ),
    ]


def _make_costs(arms: Sequence[ArmRow], headings: Mapping[str, str]) -> list[_Column]:
    """Make a column for each cost in `headings` that was measured for some arm."""
    made = []
    for cost, heading in headings.items():
        values = [row.costs[cost] for row in arms]
        if any(value is not None for value in values):
            cells = [MISSING if value is None else escape_latex(value) for value in values]
            made.append(_Column(specification="r", heading=heading, cells=cells))
    return made


def _align(numbers: Iterable[str | None], *, left: bool = False) -> str:
    """Specify a column of siunitx that aligns the numbers at their decimal points.

    The numbers are in the middle of the column, or at its left edge if `left` is true.
    """
    known = [_number(number) for number in numbers if number is not None] or ["0.0"]
    sign = "+" if any(number[0] in "+-" for number in known) else ""
    whole = max(len(number.lstrip("+-").partition(".")[0]) for number in known)
    digits = max(len(number.partition(".")[2]) for number in known)
    place = ", table-number-alignment=left" if left else ""
    return f"S[table-format={sign}{whole}.{digits}{place}]"


def _number(text: str | None) -> str:
    """Write a number of the report for siunitx: `−1.25` with the sign of ASCII."""
    return (text or "").replace("−", "-")


def _list_notes(
    evidence: Evidence, arms: Sequence[ArmRow], differences: Sequence[Difference], costs: Sequence[str]
) -> Iterable[Latex]:
    """List the sentences below the table: what its columns and marks mean. `costs` has the costs shown."""
    alpha = evidence.study.decision.alpha
    confidence = f"{(1 - alpha) * 100:g}% interval"
    same = len({row.seeds for row in arms}) == 1
    over = format_count(arms[0].seeds, "seed") if same else "the completed seeds (n)"
    yield escape_latex(f"Mean over {over} ± half the width of its {confidence} (Student's t).")
    if differences:
        base = name_arm(evidence, evidence.arms[0])
        compared = f", to {base}" if all(row.other == evidence.arms[0] for row in differences) else ""
        corrected = (
            f" p after Holm's correction for {format_count(evidence.family, 'test')}, from paired t-tests."
            if evidence.family > 1
            else " p from a paired t-test."
        )
        yield escape_latex(
            f"Difference: {describe_unit(evidence)}{compared}, paired by seed, with its {confidence}."
            f"{corrected}"
        )
    if best := find_best_arm(evidence):
        yield Latex(rf"{BEST}\,{escape_latex('Best mean.')}")
        if best.level:
            tests = (
                f"a paired t-test shows no difference from the best arm (p ≥ {alpha:g}"
                + (f" after Holm's correction for all {best.tests} pairs of arms" if best.tests > 1 else "")
                + "). This does not show that the two are equal."
            )
            yield Latex(rf"{LEVEL}\,{escape_latex(f'Level with the best: {tests}')}")
    if any(row.measured is None for row in arms) or any(row.measured is None for row in differences):
        yield Latex("--: " + escape_latex("no mean, because some or all runs of an arm did not train."))
    if costs:
        yield escape_latex(_describe_costs(arms, costs))


def describe_unit(evidence: Evidence) -> str:
    """Name the unit of differences, for a sentence."""
    return {"points": "percentage points", "nats": "nats", "number": "no unit"}[evidence.metric.unit]


def _describe_costs(arms: Sequence[ArmRow], shown: Sequence[str]) -> str:
    told = {
        "throughput": "images/s: training images per second, alone on the machine, median over blocks",
        "ratio": "× base: throughput relative to the baseline, geometric mean over timing blocks",
        "flops": "FLOP/image: floating-point operations of the forward pass",
        "memory": "MB: largest memory of tensors in a training step",
        "energy": "mJ/image: energy for one training image, alone on the machine, median over blocks",
        "start": "first step: wall-clock time of the first training step",
        "latency": "one image: wall-clock time to classify one image, median",
        "inference": "inference: images classified per second in batches of 1,024, median",
    }
    known = [
        text
        for cost, text in told.items()
        if cost in shown and any(row.costs[cost] is not None for row in arms)
    ]
    return "; ".join(known) + "."
