"""Write the results of a study as LaTeX macros. A sentence with them has the same numbers as the table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ablate.formatting import format_margin, spell_keyword
from ablate.report.answer import describe_difference
from ablate.report.compute import state_hours
from ablate.report.evidence import Evidence
from ablate.report.latex.escape import Latex, escape_latex
from ablate.report.latex.macros import MacroNames, join_words
from ablate.report.latex.rows import ArmRow, Difference, Measured, format_seeds
from ablate.stats.contrasts import BOTH_ALONE

STUDY = "study"


@dataclass(frozen=True, kw_only=True)
class Macro:
    """A LaTeX macro without arguments."""

    name: str
    """The name without its backslash."""
    value: Latex
    meaning: str
    """What the value of the macro is, with its unit. It is written as a comment."""


def list_macros(
    evidence: Evidence, arms: Sequence[ArmRow], differences: Sequence[Difference], prefix: str = ""
) -> list[Macro]:
    """List the macros of the study, its arms and its comparisons. Every name starts with `prefix`."""
    names = MacroNames(prefix)
    return [
        Macro(name=names.name(subject, quantity), value=value, meaning=meaning)
        for subject, quantity, value, meaning in (
            *_list_study(evidence, arms),
            *(macro for row in arms for macro in _list_arm(row, evidence)),
            *(macro for row in differences for macro in _list_difference(row, evidence)),
        )
    ]


_Quantity = tuple[str, str, Latex, str]
"""A subject (such as an arm), the name of a quantity, its value, and what the value means."""


def _list_study(evidence: Evidence, arms: Sequence[ArmRow]) -> Iterator[_Quantity]:
    study, tests = evidence.study, evidence.family
    yield STUDY, "Seeds", escape_latex(format_seeds(arms)), "completed seeds of each arm"
    yield STUDY, "Arms", escape_latex(len(evidence.arms)), "arms"
    yield STUDY, "Tests", escape_latex(tests), "tests that Holm's correction covers"
    yield STUDY, "Alpha", escape_latex(f"{study.decision.alpha:g}"), "level of significance"
    confidence = f"{(1 - study.decision.alpha) * 100:g}"
    yield STUDY, "Confidence", escape_latex(confidence), "confidence of the intervals in per cent"
    margin = format_margin(study.decision.margin, evidence.metric.unit)
    yield STUDY, "Margin", escape_latex(margin), "smallest difference that matters, with its unit"
    if hours := state_hours(evidence):
        yield STUDY, "Hours", escape_latex(hours), "time of all training, with its unit"
    images = f"{evidence.provenance.data.test_images:,}"
    yield STUDY, "TestImages", escape_latex(images), "test images"


def _list_arm(row: ArmRow, evidence: Evidence) -> Iterator[_Quantity]:
    metric = _capitalise(evidence.study.decision.metric)
    unit = {"points": " in per cent", "nats": " in nats", "number": ""}[evidence.metric.unit]
    meaning = f"{row.name}: mean test {spell_keyword(evidence.study.decision.metric)}{unit}"
    yield from _list_measured(row.arm, metric, row.measured, meaning)
    yield row.arm, "Seeds", escape_latex(row.seeds), f"{row.name}: completed seeds"
    for cost, meaning in COST_MEANINGS.items():
        if (value := row.costs[cost]) is not None:
            yield row.arm, cost.capitalize(), escape_latex(value), f"{row.name}: {meaning}"


COST_MEANINGS = {
    "throughput": "training images per second",
    "ratio": "throughput divided by the baseline's",
    "parameters": "parameters",
    "flops": "floating-point operations of the forward pass per image",
    "memory": "largest memory of tensors in a training step, in megabytes",
    "energy": "energy for one training image, in millijoules",
    "start": "wall-clock time of the first training step, in milliseconds",
    "latency": "wall-clock time to classify one image, in milliseconds",
    "inference": "images classified per second, in batches of 1,024",
}


def _list_difference(row: Difference, evidence: Evidence) -> Iterator[_Quantity]:
    subject = row.arm
    if row.other not in (evidence.arms[0], BOTH_ALONE):
        subject = f"{row.arm} against {row.other}"
    elif row.other == BOTH_ALONE:
        subject = f"interaction of {row.arm}"
    meaning = f"{row.name}: difference, {describe_difference(evidence)}"
    yield from _list_measured(subject, "Difference", row.measured, meaning)
    if row.p is not None:
        yield subject, "P", Latex(rf"\ensuremath{{{row.p}}}"), f"{row.name}: p after Holm's correction"
    yield subject, "Verdict", escape_latex(row.verdict), f"{row.name}: verdict"


def _list_measured(
    subject: str, quantity: str, measured: Measured | None, meaning: str
) -> Iterator[_Quantity]:
    """List a mean and the ends of its interval. The list is empty if some runs did not train."""
    if measured is None:
        return
    parts = {
        "": (measured.mean, ""),
        "Low": (measured.low, ", lower end of its interval"),
        "High": (measured.high, ", upper end of its interval"),
        "HalfWidth": (measured.half_width, ", half the width of its interval"),
    }
    for part, (text, more) in parts.items():
        if text is not None:
            yield subject, f"{quantity}{part}", escape_latex(text), f"{meaning}{more}"


def _capitalise(metric: str) -> str:
    words = join_words(metric)
    return words[0].upper() + words[1:]
