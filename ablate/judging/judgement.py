"""Judge a table of runs: read, clean, audit, compare."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from ablate.judging.arm_runs import Cells, split_runs
from ablate.judging.audit import audit
from ablate.judging.cleaning import clean
from ablate.judging.comparisons import Comparison, compare_arms, sort_names, summarise, tabulate
from ablate.judging.findings import Finding
from ablate.judging.names import make_shown_names
from ablate.judging.question import Question
from ablate.judging.table import read_columns
from ablate.judging.units import MetricUnit
from ablate.records.tables import make_frame
from ablate.stats.rankings import Ranking, rank_arms


@dataclass(frozen=True)
class RunJudgement:
    """What a table of runs says about a question."""

    place: str
    """The name of the table in messages: its path, or `frame` for a data frame."""
    question: Question
    cells: Cells
    comparisons: list[Comparison]
    findings: list[Finding]
    shown: Mapping[str, str]
    """Maps the name of each arm and part to the name that pages show."""
    rows: int
    """The number of rows of the table."""
    unit: MetricUnit
    experiment: str | None = None
    """The experiment that was read, if another tool's records contain several experiments."""

    @cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables of the answer by name: comparisons, arms, findings, and if arms are ranked, ranks."""
        found = {
            "judged_comparisons": tabulate(self.comparisons, self.question),
            "judged_arms": summarise(self.cells, self.question),
            "judged_findings": make_frame(
                "judged_findings",
                (
                    {
                        "kind": str(finding.kind),
                        "sentence": finding.sentence,
                        "count": finding.count,
                        "first_rows": ", ".join(map(str, finding.rows)),
                    }
                    for finding in self.findings
                ),
            ),
        }
        if self.ranking is not None:
            ranks = self.ranking.mean_ranks
            rows = ({"arm": arm, "mean_rank": float(rank)} for arm, rank in ranks.items())
            found["judged_ranks"] = make_frame("judged_ranks", rows)
        return found

    @cached_property
    def ranking(self) -> Ranking | None:
        """The mean ranks of the arms over the parts. None if there are too few arms or parts."""
        if self.question.by is None:
            return None
        means = pd.Series(
            {
                place: self.cells[place].results.mean()
                for place in sort_names(self.cells)
                if self._has_mean(place)
            }
        )
        if means.empty:
            return None
        by_part = means.unstack()
        return rank_arms(by_part, higher_is_better=self.question.higher_is_better)

    @property
    def family(self) -> int:
        """The number of tests for which Holm's method corrects the p-values."""
        return max(one.result.family for one in self.comparisons)

    @property
    def parts(self) -> list[str]:
        """The parts that have a comparison."""
        return list(dict.fromkeys(one.part for one in self.comparisons))

    def _has_mean(self, place: tuple[str, str]) -> bool:
        return not self.cells[place].diverged and len(self.cells[place].results) > 0


def judge_runs(
    source: str | Path | pd.DataFrame, question: Question, *, experiment: str | None = None
) -> RunJudgement:
    """Judge a table of runs.

    Args:
        source: a table or another tool's records. See `read_columns`.
        question: the columns to compare, and the rule of the comparison.
        experiment: the experiment to read, if another tool's records contain several.

    Raises:
        AblateError: the table cannot be read or judged.
    """
    columns = read_columns(source, question, experiment=experiment)
    place, rows = columns.place, columns.rows
    cleaned = clean(columns, question)
    cells, repeats = split_runs(columns, cleaned)
    names = [*columns.arms.names, *(columns.groups.names if columns.groups is not None else [])]
    del columns
    shown = make_shown_names(dict.fromkeys(["", *sorted(names)]))
    comparisons = compare_arms(cells, question)
    found = audit(cells, comparisons, question, shown)
    values = (runs.results for runs in cells.values())
    in_range = all(each.min() >= 0 and each.max() <= 1 for each in values if len(each))
    return RunJudgement(
        place=place,
        question=question,
        cells=cells,
        comparisons=comparisons,
        findings=[*cleaned.findings, *repeats, *found],
        shown=shown,
        rows=rows,
        unit=MetricUnit(is_share=question.is_share and in_range),
        experiment=experiment,
    )
