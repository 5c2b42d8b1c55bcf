"""A report folder in Python: its answer as text, its tables as data frames, and its figures."""

from collections.abc import Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ablate.api.notebooks import make_paragraphs, make_picture
from ablate.errors import AblateError, FolderError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ablate.figures.kind import FigureKind
    from ablate.report.evidence import Evidence

SHOWN_FIGURES = ("differences", "paired_seeds")
"""The figures that a notebook shows below the answer."""


class Report:
    """The contents of a report folder. A notebook shows the answer, the comparisons and two figures."""

    def __init__(self, path: Path, evidence: "Evidence | None" = None) -> None:
        """Open a report folder.

        `evidence` has the folder's contents, if they have been read before. Otherwise, they are read when
        they are first needed.
        """
        self.path = path
        """The report folder."""
        self._given = evidence

    @cached_property
    def _evidence(self) -> "Evidence":
        from ablate.report.evidence import gather

        return self._given or gather(self.path)

    @cached_property
    def answer(self) -> str:
        """The answer in words: for each comparison, the verdict, the difference with its interval, and costs.

        If the study is not finished, the answer says what is missing.
        """
        from ablate.report.answer import list_findings, say_what_is_missing, state_headline

        findings = list_findings(self._evidence)
        if not findings:
            return " ".join(
                filter(None, [state_headline(self._evidence), say_what_is_missing(self._evidence)])
            )
        parts = [
            "\n".join(filter(None, [f"{finding.subject}: {finding.verdict}", finding.sentence, finding.cost]))
            for finding in findings
        ]
        return "\n\n".join(parts)

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Maps the name of each table in the folder to the table.

        `reports/README.md` explains the columns.
        """
        return self._evidence.tables

    @property
    def arms(self) -> pd.DataFrame:
        """A table with one row for each arm: its accuracy with an interval, its throughput and its size."""
        return self.tables["arms"].copy()

    @property
    def comparisons(self) -> pd.DataFrame:
        """A table with one row for each comparison.

        The row has the difference with its interval, the corrected p-value, and the verdict.
        """
        return self.tables["comparisons"].copy()

    @property
    def runs(self) -> pd.DataFrame:
        """A table with one row for each run of any phase: its arm, setting, seed, status and accuracies."""
        return self.tables["runs"].copy()

    @cached_property
    def _kinds(self) -> "Mapping[str, FigureKind]":
        from ablate.figures.registry import list_drawable

        return list_drawable(self._evidence.study, self.tables, self._evidence.views)

    @property
    def figures(self) -> list[str]:
        """The names of the figures that `figure` can draw."""
        return list(self._kinds)

    def figure(self, name: str) -> "Figure":
        """Draw a figure of the report, for example `paired_seeds`, as a matplotlib Figure.

        Raises:
            AblateError: the report has no such figure. The message names the most similar ones.
        """
        from ablate.figures.registry import draw_kind

        if name not in self._kinds:
            raise AblateError(f"this report has no figure '{name}': {did_you_mean(name, self.figures)}")
        return draw_kind(self._kinds[name], self._evidence.study, self.tables)

    def _tabulate_comparisons(self) -> str:
        """Write the most important columns of the comparisons as HTML."""
        shown = ["arm", "baseline", "difference", "ci_low", "ci_high", "p_holm", "verdict"]
        table = self.comparisons[shown]
        return str(table.to_html(index=False, border=0, na_rep="–", float_format="{:.4f}".format))

    def __repr__(self) -> str:
        return f"{self.answer}\n\nreport: {self.path / 'report.html'}"

    def _repr_html_(self) -> str:
        page = escape(str(self.path / "report.html"))
        compared = "" if self._evidence.preliminary else self._tabulate_comparisons()
        pictures = [self.path / "figures" / f"{name}.png" for name in SHOWN_FIGURES]
        shown = "".join(
            make_picture(picture.stem, picture.read_bytes()) for picture in pictures if picture.exists()
        )
        told = make_paragraphs(self.answer)
        return f"<div>{told}{compared}{shown}<p>The whole report: <code>{page}</code></p></div>"


def load(path: str | Path) -> Report:
    """Open a report folder, for example `reports/lenet_pooling`. This works without torch.

    Raises:
        AblateError: the path is not a report folder, or a table is missing or damaged.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise FolderError(f"{folder}: there is no such folder: give the folder that contains report.html")
    report = Report(folder)
    _ = report.tables  # read the tables now, so that a damaged folder is an error of `load`
    return report
