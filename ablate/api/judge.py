"""Judge runs that others trained, from Python."""

from collections.abc import Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ablate.api.notebooks import make_paragraphs, make_picture
from ablate.errors import AblateError, did_you_mean
from ablate.judging.judgement import judge_runs
from ablate.judging.question import Question

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ablate.figures.judged_data import JudgedData
    from ablate.judging.findings import Finding
    from ablate.judging.judgement import RunJudgement

SHOWN_FIGURES = ("differences", "differences_by_part", "runs")
"""The figures that a notebook shows below the answer. A figure without data is left out."""


class JudgedRuns:
    """The judgement of a table of runs. A notebook shows the answer, the comparisons and some figures."""

    def __init__(self, judgement: "RunJudgement") -> None:
        self._judgement = judgement

    @cached_property
    def answer(self) -> str:
        """The answer in words: for each comparison its verdict, and the difference with its interval."""
        from ablate.judging.sentences import describe_ranking, list_answers

        parts = [f"{one.subject}: {one.verdict}\n{one.sentence}" for one in list_answers(self._judgement)]
        return "\n\n".join([*describe_ranking(self._judgement), *parts])

    @property
    def comparisons(self) -> pd.DataFrame:
        """A table with one row for each comparison.

        The row has the difference with its interval, the corrected p-value, and the verdict.
        """
        return self._judgement.tables["judged_comparisons"].copy()

    @property
    def arms(self) -> pd.DataFrame:
        """A table with one row for each arm in each part: the number of runs, and the mean with its interval.

        The parts are the groups of runs that the argument `by` of `judge` makes.
        """
        return self._judgement.tables["judged_arms"].copy()

    @property
    def findings(self) -> "list[Finding]":
        """The findings of the audit: runs that were left out, and reasons to trust the answer less."""
        return list(self._judgement.findings)

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Maps the name of each table that `save` writes to the table."""
        return {name.removeprefix("judged_"): table for name, table in self._judgement.tables.items()}

    @cached_property
    def _data(self) -> "JudgedData":
        from ablate.judging.page import collect_data

        return collect_data(self._judgement)

    @property
    def figures(self) -> list[str]:
        """The names of the figures that `figure` can draw."""
        from ablate.figures.judged_figures import list_kinds

        return list(list_kinds(self._data))

    def figure(self, name: str) -> "Figure":
        """Draw a figure, for example `differences`, as a matplotlib Figure.

        Raises:
            AblateError: there is no such figure. The message names the most similar ones.
        """
        from ablate.figures.judged_figures import draw_one, list_kinds

        kinds = list_kinds(self._data)
        if name not in kinds:
            raise AblateError(f"these runs have no figure '{name}': {did_you_mean(name, list(kinds))}")
        return draw_one(kinds[name], self._data)

    def save(self, folder: str | Path) -> Path:
        """Write report.html, report.md, tables and figures to a folder. Return the path of report.html.

        Raises:
            AblateError: the folder is the report of a study, contains files that are not from a report of
                judged runs, or cannot be written.
        """
        from ablate.judging.page import write

        write(self._judgement, Path(folder))
        return Path(folder) / "report.html"

    def __repr__(self) -> str:
        told = [finding.sentence for finding in self.findings]
        return "\n\n".join(
            [self.answer, *(["\n".join(f"- {sentence}" for sentence in told)] if told else [])]
        )

    def _repr_html_(self) -> str:
        from ablate.figures.canvas import encode_png

        found = "".join(f"<li>{escape(finding.sentence)}</li>" for finding in self.findings)
        shown = ["part", "arm", "baseline", "difference", "ci_low", "ci_high", "p_holm", "verdict"]
        names = self._judgement.shown
        table = self.comparisons[shown].replace(dict.fromkeys(("part", "arm", "baseline"), names))
        compared = table.to_html(index=False, border=0, na_rep="–", float_format="{:.5g}".format)
        names_drawn = [name for name in SHOWN_FIGURES if name in self.figures]
        pictures = "".join(make_picture(name, encode_png(self.figure(name))) for name in names_drawn)
        return f"<div>{make_paragraphs(self.answer)}<ul>{found}</ul>{compared}{pictures}</div>"


def judge(
    runs: pd.DataFrame | str | Path,
    *,
    arm: str,
    metric: str,
    baseline: str,
    seed: str | None = None,
    by: str | None = None,
    margin: float | None = None,
    lower_is_better: bool = False,
    alpha: float = 0.05,
    experiment: str | None = None,
) -> JudgedRuns:
    """Judge finished runs that were trained by any program. This works without torch and writes no files.

    Args:
        runs: a data frame with one row for each run, or the path of a file with such a table (CSV, JSON lines
            or Parquet), or the path or URL of another tool's records. The possible records are listed in
            `ablate/judging/sources/README.md`.
        arm: the name of the column whose values are compared, such as a method.
        metric: the name of the column with the number by which runs are judged.
        baseline: the value of the column `arm` with which all other arms are compared.
        seed: the name of the column of seeds. Runs of two arms with the same seed are paired. If it is None,
            runs are not paired, and Welch's test compares the arms.
        by: the name of a column that splits the table, such as a data set. Each part has its own comparisons.
        margin: the smallest difference that matters, in the unit of the metric. If it is None, the verdicts
            say only whether a difference was shown.
        lower_is_better: whether a lower value of the metric is better.
        alpha: the probability that any of the comparisons with the baseline shows a difference although there
            is none. Friedman's test and Nemenyi's test each have this level on their own.
        experiment: the experiment to read, if another tool's records contain several.

    Raises:
        AblateError: the table cannot be read or judged. The message is one line and ends with the remedy.
    """
    question = Question(
        arm=arm,
        metric=metric,
        baseline=str(baseline),
        seed=seed,
        by=by,
        margin=margin,
        lower_is_better=lower_is_better,
        alpha=alpha,
    )
    return JudgedRuns(judge_runs(runs, question, experiment=experiment))
