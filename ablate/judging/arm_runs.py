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
    """The runs of one arm in one part of the table. All arrays are sorted by seed.

    An arm is one of the things that are compared, such as a method. A part is a group of rows, such as those
    of one data set.
    """

    seeds: NDArray[np.int64]
    """The seed of each run, `(runs,)`. No seed occurs twice.

    If the table has no column of seeds, these are the numbers of the rows.
    """
    values: NDArray[np.float64]
    """The metric of each run, `(runs,)`. The metric is NaN for a seed with a run that diverged."""

    @property
    def results(self) -> NDArray[np.float64]:
        """The values of the runs that did not diverge."""
        return self.values[~np.isnan(self.values)]

    @property
    def diverged(self) -> int:
        """The number of runs that diverged."""
        return int(np.isnan(self.values).sum())


Cells = dict[tuple[str, str], ArmRuns]
"""Maps a part and an arm to the arm's runs in this part. If the table has no parts, the part is ''."""


def split_runs(columns: RunColumns, rows: CleanRows) -> tuple[Cells, list[Finding]]:
    """Group the rows by part and arm, and compute one value for each seed.

    If an arm has several rows with the same seed, the value of this seed is their mean. So a seed counts
    once, even if it was run several times. The best run of a seed counts as much as each other run of this
    seed.
    """
    places = np.flatnonzero(rows.kept)
    arms = columns.arms.codes[places]
    groups = np.zeros(len(places), np.int32) if columns.groups is None else columns.groups.codes[places]
    seeds = places if columns.seeds is None else columns.seeds[places]
    values = np.where(rows.diverged[places], np.nan, columns.values[places])
    # The rows of one seed are sorted by value. So the order of the rows in the table cannot change the
    # rounding error of their mean.
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
    """Compute the mean of each seed's values, `(seeds,)`.

    `begins` has the position of the first value of each seed. A value is NaN if its run diverged. If any run
    of a seed diverged, the mean is NaN, so that no divergence is lost. The mean of equal values is exactly
    this value.
    """
    lengths = np.diff(np.append(begins, len(values)))
    first, last = values[begins], values[begins + lengths - 1]
    return np.where(first == last, first, np.add.reduceat(values, begins) / lengths)


def _find_repeats(
    values: NDArray[np.float64], begins: NDArray[np.int64], places: NDArray[np.int64]
) -> list[Finding]:
    """Find the seeds with several rows. Equal rows are copies of one run. Different rows are several runs."""
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
                sentence=f"{format_count(count, 'row')} left out: they have the same arm, "
                "seed and value as another row.",
                count=count,
                rows=tuple(rows),
            )
        )
    if cells := int((several & ~equal).sum()):
        count, most = int(lengths[several & ~equal].sum()), int(lengths[several & ~equal].max())
        rows = sorted(int(row) + 1 for row in places[begins[several & ~equal]])[:ROWS_NAMED]
        some_diverged = np.isnan(values[ends[several & ~equal]]).any()
        lost = "A pair counts as diverged if one of its runs diverged. " if some_diverged else ""
        findings.append(
            Finding(
                kind=FindingKind.SEVERAL_RUNS,
                sentence=f"{format_count(cells, 'pair')} of arm and seed have several runs with "
                f"different results, up to {most:,} runs. Each pair counts once, with the mean of its runs. "
                f"{lost}A report that shows only the best of these runs hides this mean. If the runs belong "
                "to different groups, such as data sets, name the column of the groups with --by.",
                count=count,
                rows=tuple(rows),
            )
        )
    return findings
