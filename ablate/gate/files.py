"""The files of a gate: JSON for programs, Markdown for a pull request, JUnit XML for a test report."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ablate import __version__
from ablate.errors import FolderError, escape_unprintable
from ablate.gate.checks import Check, Gate
from ablate.gate.interval_plot import draw_intervals
from ablate.gate.rules import Outcome
from ablate.gate.wording import explain_check, measure, name_requirement, state_gate
from ablate.records.files import write_whole
from ablate.report.pages import escape_markdown

VERSION = 1
"""The version of the format of the JSON file, which `schema.json` describes.

The version changes if a key is renamed or removed.
"""
MARKS = {Outcome.HOLDS: "✅", Outcome.FAILS: "❌", Outcome.CANNOT_TELL: "❔"}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a gate is about: the name of the study, and where A and B come from."""

    study: str
    first: str
    second: str


def make_json(gate: Gate, subject: Subject) -> dict[str, Any]:
    """Make the content of the JSON file, as `schema.json` describes it."""
    return {
        "format": "ablate gate",
        "version": VERSION,
        "ablate": __version__,
        "study": subject.study,
        "a": subject.first,
        "b": subject.second,
        "outcome": gate.outcome.value,
        "exit_code": gate.exit_code,
        "metric": gate.metric,
        "unit": gate.unit,
        "checks": [_make_row(check, gate) for check in gate.checks],
        "notes": gate.notes,
    }


def _make_row(check: Check, gate: Gate) -> dict[str, Any]:
    return {
        "requirement": check.requirement.value,
        "arm": check.arm,
        "outcome": check.outcome.value,
        "reason": check.reason.value,
        "sentence": explain_check(check, gate.unit),
        "estimate": check.estimate,
        "low": check.low,
        "high": check.high,
        "confidence": check.confidence,
        "p_value": check.p_value,
        "bound": check.bound,
        "count": check.count,
        "count_needed": check.need.number if check.need else None,
        "needed_if": check.need and ("as measured" if check.need.as_measured else "no difference"),
    }


def make_summary(gate: Gate, subject: Subject) -> str:
    """Make the Markdown for a pull request: one line for each check, and details that a reader can unfold."""
    lines = [
        f"### {MARKS[gate.outcome]} {escape_markdown(subject.study)}: {escape_markdown(state_gate(gate))}",
        "",
        f"B is {escape_markdown(subject.second)}. A is {escape_markdown(subject.first)}.",
        "",
        "| | required of B | arm | measured |",
        "|---|---|---|---|",
    ]
    for check in gate.checks:
        measured = measure(check, gate.unit).removesuffix(".") or check.reason.value
        cells = f"{MARKS[check.outcome]} {check.outcome}", name_requirement(gate, check), check.arm, measured
        lines.append(f"| {' | '.join(map(escape_markdown, cells))} |")
    lines += ["", "<details><summary>The reasons, and how many seeds would settle open checks</summary>", ""]
    lines += [
        f"- **{escape_markdown(check.arm)}**, {name_requirement(gate, check)}: {check.outcome}. "
        f"{escape_markdown(explain_check(check, gate.unit))}"
        for check in gate.checks
    ]
    lines += [f"- {escape_markdown(note)}" for note in gate.notes]
    if plot := draw_intervals(gate):
        lines += ["", "```text", *plot, "```"]
    return "\n".join([*lines, "", "</details>", "", ""])


def make_junit(gate: Gate, subject: Subject) -> bytes:
    """Make JUnit XML: one test case for each check.

    A requirement that does not hold is a failure. "Cannot tell" is an error and not a skipped test, because a
    CI service counts a skipped test as passed.
    """
    counts = {outcome: sum(check.outcome == outcome for check in gate.checks) for outcome in Outcome}
    suite = ElementTree.Element(
        "testsuite",
        name=f"ablate gate: {subject.study}",
        tests=str(len(gate.checks)),
        failures=str(counts[Outcome.FAILS]),
        errors=str(counts[Outcome.CANNOT_TELL]),
        skipped="0",
        time="0",
    )
    for check in gate.checks:
        group = f"{subject.study}.{check.requirement}"
        case = ElementTree.SubElement(
            suite, "testcase", classname=group, name=escape_unprintable(check.arm), time="0"
        )
        sentence = escape_unprintable(explain_check(check, gate.unit))
        if check.outcome == Outcome.HOLDS:
            ElementTree.SubElement(case, "system-out").text = sentence
        else:
            kind = "failure" if check.outcome == Outcome.FAILS else "error"
            wrong = ElementTree.SubElement(case, kind, type=check.reason.value, message=sentence)
            wrong.text = "\n".join([sentence, *gate.notes])
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True) + b"\n"


def write_files(
    gate: Gate,
    subject: Subject,
    *,
    json_file: Path | None = None,
    summary_file: Path | None = None,
    junit_file: Path | None = None,
) -> Sequence[Path]:
    """Write the files that are asked for, and return them. The summary is appended to its file.

    Raises:
        FolderError: a file cannot be written.
    """
    written = []
    try:
        if json_file is not None:
            text = json.dumps(make_json(gate, subject), indent=2, ensure_ascii=False)
            write_whole(json_file, f"{text}\n".encode())
            written.append(json_file)
        if junit_file is not None:
            write_whole(junit_file, make_junit(gate, subject))
            written.append(junit_file)
        if summary_file is not None:
            with summary_file.open("a", encoding="utf-8") as file:
                file.write(make_summary(gate, subject))
            written.append(summary_file)
    except OSError as error:
        raise FolderError(f"{error.filename}: cannot be written ({error.strerror})") from None
    return written
