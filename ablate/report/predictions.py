"""Write a table of the predictions of several studies, and whether they came true."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ablate.formatting import format_count, format_difference, format_list, list_rows, scale_difference
from ablate.report.evidence import Evidence
from ablate.report.expectations import (
    PredictionOutcome,
    compare_with_prediction,
    format_prediction,
    is_predicted,
)
from ablate.report.pages import escape_markdown
from ablate.stats.verdicts import UNTRAINED

HEAD = [
    "| study | context | arm | predicted | found, 95 % interval | came true |",
    "|---|---|---|---:|---:|---|",
]
FAILED = (PredictionOutcome.BELOW, PredictionOutcome.ABOVE)


def tabulate_predictions(reports: Iterable[Evidence]) -> list[str]:
    """Make the lines of a Markdown table of all predictions, with a sentence that counts them.

    Reports without a prediction are named in a sentence. There are no lines if no report has a prediction.
    """
    finished = [evidence for evidence in reports if not evidence.preliminary]
    found = [(evidence, row) for evidence in finished for row in _list_predicted(evidence)]
    if not found:
        return []
    counted = Counter(compare_with_prediction(row, evidence) for evidence, row in found)
    failed = sum(counted[outcome] for outcome in FAILED)
    count, was = len(found), "was" if len(found) == 1 else "were"
    told = (
        f"{format_count(count, 'difference')} {was} predicted before the first run. Came true: "
        f"{counted[PredictionOutcome.TRUE]}, because the whole confidence interval lies inside the predicted "
        f"interval. Did not come true: {failed}, because it lies wholly outside. Open: "
        f"{counted[PredictionOutcome.OPEN]}, because it lies partly inside. Not known: "
        f"{counted[PredictionOutcome.UNKNOWN]}, because some runs did not train."
    )
    silent = [_name_study(evidence) for evidence in finished if not any(_list_predicted(evidence))]
    if silent:
        told += f" Nothing was predicted in {escape_markdown(format_list(silent))}."
    return [told, "", *HEAD, *(_format_row(evidence, row) for evidence, row in found)]


def _list_predicted(evidence: Evidence) -> Iterator[dict[str, Any]]:
    return (row for row in list_rows(evidence.tables["comparisons"]) if is_predicted(row, evidence))


def _name_study(evidence: Evidence) -> str:
    """Name the study and its context: `lenet_pooling_recipes (modern)`."""
    context = evidence.study.context
    return f"{evidence.study.name} ({context})" if context else evidence.study.name


def _format_row(evidence: Evidence, row: dict[str, Any]) -> str:
    outcome, unit = compare_with_prediction(row, evidence), evidence.metric.unit
    measured = "some runs did not train" if row["verdict"] in UNTRAINED else row["verdict"]
    if outcome != PredictionOutcome.UNKNOWN:
        low, high = (scale_difference(row[name], unit, signed=True) for name in ("ci_low", "ci_high"))
        measured = f"{format_difference(row['difference'], unit, signed=True)} ({low} to {high})"
    cells = [
        evidence.study.name,
        evidence.study.context or "",
        evidence.names.name_arm(row["arm"]),
        format_prediction(row, evidence),
        measured,
    ]
    told = f"**{outcome}**" if outcome in FAILED else outcome
    return f"| {' | '.join(map(escape_markdown, cells))} | {told} |"
