"""The runs of each arm in each part of a table, with one value for each seed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ablate.formatting import format_count
from ablate.judging.cleaning import CleanRows
from ablate.judging.findings import ROWS_NAMED, Finding, FindingKind
from ablate.judging.run_columns import RunColumns


@dataclass(frozen=True, kw_only=True)
class ArmRuns:
    """The runs of one arm in one part. All arrays are sorted by seed."""

    seeds: NDArray[np.int64]
    """`(runs,)`, all different. Without seeds in the table, the numbers of the rows."""
    values: NDArray[np.float64]
    """`(runs,)`. The value is NaN for a seed of which a run diverged."""

    @property
    def results(self) -> NDArray[np.float64]:
        """The values of the runs that did not diverge."""
        return self.values[~np.isnan(self.values)]

    @property
    def diverged(self) -> int:
        """The number of runs that diverged."""
        return int(np.isnan(self.values).sum())


Cells = dict[tuple[str, str], ArmRuns]
"""The runs by part and arm. Without parts, the part is ''."""


def split_runs(columns: RunColumns, rows: CleanRows) -> tuple[Cells, list[Finding]]:
    """Split the rows by part and arm, with one value for each seed.

    If a seed has several rows in an arm, their mean is its value. So a seed counts once, however often it was
    run, and its best run counts no more than the others.
    """
    places = np.flatnonzero(rows.kept)
    arms = columns.arms.codes[places]
    groups = np.zeros(len(places), np.int32) if columns.groups is None else columns.groups.codes[places]
    seeds = places if columns.seeds is None else columns.seeds[places]
    values = np.where(rows.diverged[places], np.nan, columns.values[places])
    # Values sort last, so that the order of the rows changes no rounding error of a mean.
    order = np.lexsort((values, seeds, arms, groups))
    arms, groups, seeds, values = arms[order], groups[order], seeds[order], values[order]
    same_cell = (arms[1:] == arms[:-1]) & (groups[1:] == groups[:-1])
    begins = np.flatnonzero(np.append(True, ~(same_cell & (seeds[1:] == seeds[:-1]))))
    findings: list[Finding] = []
    cell_begins = np.append(True, ~same_cell)[begins]
    if len(begins) < len(seeds):
        findings = _find_repeats(values, begins, places[order])
        values = _average(values, begins)
        arms, groups, seeds = arms[begins], groups[begins], seeds[begins]
    edges = np.append(np.flatnonzero(cell_begins), len(seeds))
    arm_names = columns.arms.names
    group_names = [""] if columns.groups is None else columns.groups.names
    cells = {
        (group_names[groups[begin]], arm_names[arms[begin]]): ArmRuns(
            seeds=seeds[begin:end], values=values[begin:end]
        )
        for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    }
    return cells, findings


def _average(values: NDArray[np.float64], begins: NDArray[np.int64]) -> NDArray[np.float64]:
    """Average the values of each seed, `(seeds,)`, of which `begins` has the first places.

    NaN stands for a divergence. A seed of which any run diverged gets NaN, so that no divergence is lost.
    Equal values stay exactly equal.
    """
    lengths = np.diff(np.append(begins, len(values)))
    first, last = values[begins], values[begins + lengths - 1]
    return np.where(first == last, first, np.add.reduceat(values, begins) / lengths)


def _find_repeats(
    values: NDArray[np.float64], begins: NDArray[np.int64], places: NDArray[np.int64]
) -> list[Finding]:
    """Find the seeds with several rows: equal rows are repeats, different ones are several runs."""
    lengths = np.diff(np.append(begins, len(values)))
    ends = begins + lengths - 1
    equal = (values[begins] == values[ends]) | (np.isnan(values[begins]) & np.isnan(values[ends]))
    several = lengths > 1
    findings = []
    if count := int((lengths - 1)[several & equal].sum()):
        rows = sorted(int(row) + 1 for row in places[ends[several & equal]])[:ROWS_NAMED]
        findings.append(
            Finding(
                kind=FindingKind.DUPLICATES,
                sentence=f"{format_count(count, 'row')} left out: they repeat arm, seed and "
                "value of another row.",
                count=count,
                rows=tuple(rows),
            )
        )
    if cells := int((several & ~equal).sum()):
        count, most = int(lengths[several & ~equal].sum()), int(lengths[several & ~equal].max())
        rows = sorted(int(row) + 1 for row in places[begins[several & ~equal]])[:ROWS_NAMED]
        some_diverged = np.isnan(values[ends[several & ~equal]]).any()
        lost = "A pair of which a run diverged counts as diverged. " if some_diverged else ""
        findings.append(
            Finding(
                kind=FindingKind.SEVERAL_RUNS,
                sentence=f"{format_count(cells, 'pair')} of arm and seed have several runs with "
                f"different results, up to {most:,}. Each pair counts once, with the mean of its runs. "
                f"{lost}If a report shows the best of several runs as one result, this mean is what it "
                "leaves out. If another column tells these runs apart, such as a data set, name it with "
                "--by.",
                count=count,
                rows=tuple(rows),
            )
        )
    return findings
