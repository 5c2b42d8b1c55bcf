"""State the answer of a report: a headline, one finding for each comparison, and what is still missing."""

from dataclasses import dataclass

from ablate.formatting import format_difference, list_rows, spell_keyword
from ablate.report.costs import describe_cost
from ablate.report.evidence import Evidence
from ablate.report.expectations import judge_prediction
from ablate.report.verdicts import explain_verdict
from ablate.stats.verdicts import Verdict

VERDICT_TONE = {
    Verdict.MATTERS: "strong",
    Verdict.EQUIVALENT: "calm",
    Verdict.SIZE_UNCLEAR: "strong",
}
"""Maps a verdict to the style of its box on the page. Any other verdict has the style `open`."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The answer of one comparison: its verdict, a sentence about the difference, and the cost of the arm."""

    subject: str
    verdict: str
    tone: str
    sentence: str
    cost: str | None


def state_headline(evidence: Evidence) -> str:
    """State the answer to the study's question in one line."""
    compared = list_rows(evidence.tables["comparisons"])
    if evidence.preliminary:
        wanted = len(evidence.confirmed) + evidence.missing_runs
        return f"preliminary: {len(evidence.confirmed)} of {wanted} confirmation runs are done"
    if not compared:
        return "the search found no candidate to compare with the baseline"
    if len(compared) == 1:
        (row,) = compared
        gap = "" if row["difference"] is None else f", {_spell_gap(row['difference'], evidence)}"
        return f"{evidence.names.name_contrast(row['arm'], row['baseline'])}: {row['verdict']}{gap}"
    verdicts = [row["verdict"] for row in compared]
    told = ", ".join(f'{verdicts.count(verdict)} × "{verdict}"' for verdict in dict.fromkeys(verdicts))
    if (best := name_most_accurate_arm(evidence)) is None:
        return f"verdicts of {len(compared)} comparisons: {told}"
    return (
        f"the highest mean test accuracy belongs to {best}. Verdicts of {len(compared)} comparisons: {told}"
    )


def name_most_accurate_arm(evidence: Evidence) -> str | None:
    """Name the arm with the highest mean test accuracy: `pooling=max (81.0%)`. None if no arm has a mean."""
    means = evidence.tables["arms"].set_index("arm")["test_accuracy_mean"].dropna()
    if means.empty:
        return None
    best = str(means.astype(float).idxmax())
    return f"{evidence.names.name_arm(best)} ({means[best]:.1%})"


def _spell_gap(difference: float, evidence: Evidence) -> str:
    """Format a difference as `+1.25 points`. The metric's name follows if it is not the accuracy."""
    gap = format_difference(difference, evidence.metric.unit, signed=True)
    return (
        gap if evidence.decides_by_accuracy else f"{gap} of {spell_keyword(evidence.study.decision.metric)}"
    )


def describe_difference(evidence: Evidence) -> str:
    """Say what the differences in the report's tables measure, and in which unit."""
    if evidence.decides_by_accuracy:
        return "percentage points of test accuracy"
    unit = {"points": ", in percentage points", "nats": ", in nats", "number": ""}[evidence.metric.unit]
    return f"{spell_keyword(evidence.study.decision.metric)} on the test images{unit}"


def say_what_is_missing(evidence: Evidence) -> str:
    """Say in a sentence which runs are missing in a preliminary report. For a complete report, return ""."""
    wanted = len(evidence.confirmed) + evidence.missing_runs
    if evidence.missing_runs:
        return f"{evidence.missing_runs} of {wanted} confirmation runs are still missing."
    if evidence.missing_blocks:
        return "All confirmation runs are done; the throughput measurement is not finished."
    return ""


def list_findings(evidence: Evidence) -> list[Finding]:
    """List one finding for each comparison, in the study's order. An unfinished study has no findings."""
    if evidence.preliminary:
        return []
    by_arm = evidence.tables["arms"].set_index("arm")
    findings = []
    for row in list_rows(evidence.tables["comparisons"]):
        # Throughput is measured relative to the baseline, so a comparison with another arm states no cost.
        has_cost = row["baseline"] == evidence.arms[0]
        findings.append(
            Finding(
                subject=evidence.names.name_contrast(row["arm"], row["baseline"]),
                verdict=row["verdict"],
                tone=VERDICT_TONE.get(row["verdict"], "open"),
                sentence=" ".join(
                    filter(None, [explain_verdict(row, evidence), judge_prediction(row, evidence)])
                ),
                cost=describe_cost(by_arm.loc[row["arm"]], by_arm.loc[row["baseline"]], evidence)
                if has_cost
                else None,
            )
        )
    return findings
