"""Write a table of exercises: for each exercise, the answers of the studies that ask it, in every context."""

import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ablate.errors import AblateError
from ablate.formatting import format_margin
from ablate.records.files import write_whole
from ablate.records.folder import list_contexts
from ablate.records.provenance import FILE
from ablate.report.contexts.answer import list_contexts_findings, state_contexts_headline
from ablate.report.contexts.evidence import ContextsEvidence, gather_contexts
from ablate.report.costs import compare_speeds, list_speeds
from ablate.report.evidence import Evidence, gather
from ablate.report.pages import escape_markdown
from ablate.report.predictions import tabulate_predictions
from ablate.report.statements import list_statements, state_baseline
from ablate.study.expectations import Text
from ablate.study.yaml_text import find_line, parse

BEGIN, END = "<!-- answers: begin -->", "<!-- answers: end -->"
"""The table is written between these two lines of a Markdown file."""


class Exercise(BaseModel):
    """An exercise, and the studies that answer it, or a text in Markdown that does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    heading: Text | None = None
    """A heading above this exercise. It begins a new table."""
    ask: Text
    note: Annotated[str, Field(min_length=1)] | None = None
    """What a reader must know about the studies to understand the answers, in plain text."""
    studies: tuple[Text, ...] = ()
    about: Literal["difference", "speed"] = "difference"
    """What the answers state: the difference in the metric and then the cost, or how fast each arm trains."""
    answer: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _check_answered(self) -> "Exercise":
        if not self.studies and self.answer is None:
            raise ValueError("name studies or write an answer")
        return self


class Exercises(BaseModel):
    """The exercises of a chapter, in order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Text
    exercises: Annotated[tuple[Exercise, ...], Field(min_length=1)]


def read_exercises(path: Path) -> Exercises:
    """Read a YAML file of exercises.

    Raises:
        StudyError: the file cannot be read or is not YAML.
        AblateError: a key is missing, unknown or of the wrong type.
    """
    raw, lines = parse(path)
    try:
        return Exercises.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise AblateError(f"{find_line(lines, key) or path}: {key}: {first['msg'].lower()}") from None


def write_answers(exercises: Exercises, reports: Path, page: Path) -> int:
    """Write the table of answers between the lines `BEGIN` and `END` of a Markdown page.

    Return the number of studies without a report.

    Raises:
        AblateError: the page lacks one of these lines.
        FolderError: a table of a report is missing or damaged.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise AblateError(f"{page}: has no lines '{BEGIN}' and '{END}': add them where the table should be")
    table, missing = tabulate_answers(exercises, reports, page.parent)
    write_whole(page, f"{before}{BEGIN}\n{table}{END}{after}".encode())
    return missing


def tabulate_answers(exercises: Exercises, reports: Path, origin: Path) -> tuple[str, int]:
    """Make a heading and the tables of answers and predictions as Markdown.

    Links are relative to the folder `origin`.

    The second value is the number of studies without a report.
    """
    names = dict.fromkeys(name for exercise in exercises.exercises for name in exercise.studies)
    found = {name: read_report(reports / name) for name in names}  # each is read once, which takes long
    lines = [f"## {exercises.title}"]
    for at, exercise in enumerate(exercises.exercises):
        if exercise.heading is not None:
            lines += ["", f"### {exercise.heading}"]
        if exercise.heading is not None or at == 0:
            lines += ["", "| exercise | study | context | baseline | answer |", "|---|---|---|---|---|"]
        asked = "<br>".join(map(escape_markdown, filter(None, (exercise.ask, exercise.note))))
        if exercise.answer is not None:
            lines.append(f"| {asked} |  |  |  | {exercise.answer} |")
            asked = ""
        for name in exercise.studies:
            rows = list(_answer_study(reports / name, found[name], exercise.about, origin))
            for cells in rows or [(f"`{name}`", "", "", "no report yet")]:
                lines.append(f"| {' | '.join((asked, *cells))} |")
                asked = ""
    if predicted := tabulate_predictions(chain.from_iterable(map(list_evidence, found.values()))):
        lines += ["", "### What was predicted", "", *predicted]
    return "\n".join([*lines, "", ""]), list(found.values()).count(None)


def read_report(folder: Path) -> Evidence | ContextsEvidence | None:
    """Read the report of a study, with or without contexts. None if the folder has no report."""
    if list_contexts(folder):
        return gather_contexts(folder)
    return gather(folder) if (folder / FILE).exists() else None


def list_evidence(report: Evidence | ContextsEvidence | None) -> Iterable[Evidence]:
    """List the evidence of all contexts of a report, or of the report itself if it has no contexts."""
    if isinstance(report, ContextsEvidence):
        return report.contexts.values()
    return () if report is None else (report,)


def _answer_study(
    folder: Path, report: Evidence | ContextsEvidence | None, about: str, origin: Path
) -> Iterator[tuple[str, str, str, str]]:
    """Yield the link, the context, the baseline and the answer of a study, one row for each context."""
    speed = about == "speed"
    if isinstance(report, ContextsEvidence):
        timed = speed and not report.waiting and not report.searched
        compared = escape_markdown(compare_speeds(report.finished)) if timed else _compare(report)
        yield _link(folder, None if speed else "contexts", origin), "all", "", compared
        for name, of_context in report.contexts.items():
            link = f"[{name}]({_locate(folder / name / 'report.md', origin)})"
            yield "", link, *_answer(of_context, speed)
    elif report is not None:
        figure = "accuracy_throughput" if speed else "differences"
        yield _link(folder, figure, origin), "", *_answer(report, speed)


def _answer(evidence: Evidence, speed: bool) -> tuple[str, str]:
    """State the baseline and the margin, and the answer with each statement in a line of its own."""
    statements = list_speeds(evidence) if speed else list_statements(evidence)
    margin = format_margin(evidence.study.decision.margin, evidence.metric.unit)
    baseline = escape_markdown(f"{state_baseline(evidence)}; margin {margin}")
    return baseline, "<br>".join(map(escape_markdown, statements))


def _compare(evidence: ContextsEvidence) -> str:
    """State whether the answer depends on the context, in bold if it does."""
    findings = list_contexts_findings(evidence)
    headline = escape_markdown(state_contexts_headline(evidence, findings))
    return (
        f"**{headline}**"
        if any(finding.depends or finding.trains_in_some for finding in findings)
        else headline
    )


def _link(folder: Path, figure: str | None, origin: Path) -> str:
    """Link to a study's report, and to its figure if there is one."""
    report = f"[{escape_markdown(folder.name)}]({_locate(folder / 'report.md', origin)})"
    picture = folder / "figures" / f"{figure}.png"  # without a figure, there is no such file
    return f"{report} ([figure]({_locate(picture, origin)}))" if picture.exists() else report


def _locate(path: Path, origin: Path) -> str:
    return Path(os.path.relpath(path.resolve(), origin.resolve())).as_posix()
