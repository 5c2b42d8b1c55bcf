"""Say whether a difference lies in its predicted interval (the key `predicted` of the study file)."""

from collections.abc import Mapping
from typing import Any

from ablate.formatting import format_difference, scale_difference
from ablate.report.evidence import Evidence


def judge_prediction(row: Mapping[str, Any], evidence: Evidence) -> str:
    """Say whether a comparison's confidence interval lies inside the predicted interval.

    `row` is a row of the comparisons table. The text is empty if nothing was predicted for this comparison.
    Predictions are differences from the baseline.
    """
    predicted = evidence.study.predicted.get(row["arm"])
    if predicted is None or row["baseline"] != evidence.arms[0]:
        return ""
    (low, high), unit = predicted, evidence.metric.unit
    registration = evidence.provenance.registration
    when = " before the first run" if registration is not None and registration.commit else ""
    ends = [scale_difference(low, unit, signed=True), format_difference(high, unit, signed=True)]
    told = f"Predicted{when}: {' to '.join(ends)}."
    if row["ci_low"] is None or row["ci_high"] is None:
        return f"{told} Whether this came true is not known, because there is no interval."
    if low <= row["ci_low"] and row["ci_high"] <= high:
        return f"{told} This came true: the whole confidence interval lies inside the predicted interval."
    if row["ci_high"] < low or high < row["ci_low"]:
        side = "below" if row["ci_high"] < low else "above"
        return f"{told} This did not come true: the confidence interval lies {side} the predicted interval."
    return f"{told} Whether this came true is open: only a part of the confidence interval is predicted."
