"""Say whether a difference lies in its predicted interval (the key `predicted` of the study file)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from ablate.formatting import format_difference, list_rows, scale_difference
from ablate.report.evidence import Evidence


class PredictionOutcome(StrEnum):
    """Whether a prediction came true, with a short form for tables."""

    TRUE = "yes"
    BELOW = "no, it is lower"
    ABOVE = "no, it is higher"
    OPEN = "open"
    UNKNOWN = "not known"


FAILED = "This did not come true: the confidence interval lies"
EXPLANATIONS = {
    PredictionOutcome.TRUE: "This came true: the whole confidence interval lies inside the predicted "
    "interval.",
    PredictionOutcome.BELOW: f"{FAILED} below the predicted interval.",
    PredictionOutcome.ABOVE: f"{FAILED} above the predicted interval.",
    PredictionOutcome.OPEN: "Whether this came true is open: the confidence interval lies only partly inside "
    "the predicted interval.",
    PredictionOutcome.UNKNOWN: "Whether this came true is not known, because there is no interval.",
}


def judge_prediction(row: Mapping[str, Any], evidence: Evidence) -> str:
    """Say whether a comparison's confidence interval lies inside the predicted interval.

    `row` is a row of the comparisons table. The text is empty if nothing was predicted for this comparison.
    """
    if not is_predicted(row, evidence):
        return ""
    registration = evidence.provenance.registration
    when = " before the first run" if registration is not None and registration.commit else ""
    told = f"Predicted{when}: {format_prediction(row, evidence)}."
    return f"{told} {EXPLANATIONS[compare_with_prediction(row, evidence)]}"


def is_predicted(row: Mapping[str, Any], evidence: Evidence) -> bool:
    """Whether the study file predicts the difference of this comparison.

    A prediction names an arm. It is about the first comparison of this arm. Usually, this is the comparison
    with the baseline.
    """
    if row["arm"] not in evidence.study.predicted:
        return False
    of_arm = (one for one in list_rows(evidence.tables["comparisons"]) if one["arm"] == row["arm"])
    return bool(row["baseline"] == next(of_arm)["baseline"])


def format_prediction(row: Mapping[str, Any], evidence: Evidence) -> str:
    """Format the predicted interval, such as `+0.50 to +2.00 points`."""
    low, high = evidence.study.predicted[row["arm"]]
    unit = evidence.metric.unit
    return f"{scale_difference(low, unit, signed=True)} to {format_difference(high, unit, signed=True)}"


def compare_with_prediction(row: Mapping[str, Any], evidence: Evidence) -> PredictionOutcome:
    """Find out whether the comparison's confidence interval lies inside the predicted interval."""
    low, high = evidence.study.predicted[row["arm"]]
    if row["ci_low"] is None or row["ci_high"] is None:
        return PredictionOutcome.UNKNOWN
    if low <= row["ci_low"] and row["ci_high"] <= high:
        return PredictionOutcome.TRUE
    if row["ci_high"] < low:
        return PredictionOutcome.BELOW
    return PredictionOutcome.ABOVE if high < row["ci_low"] else PredictionOutcome.OPEN
