"""Write sentences that say after how many seeds a comparison stopped, and why."""

from collections.abc import Mapping
from typing import Any

from ablate.formatting import format_count, format_difference
from ablate.report.evidence import Evidence
from ablate.stats.looks import plan_looks
from ablate.stats.stopping import Step, estimate_bias

WORTH_SAYING = 0.05
"""The report states the bias from early stopping if it is at least this share of the margin."""
REASONS = {
    Step.DECIDED: "the verdict was definite",
    Step.FUTILE: "more seeds would hardly have led to the verdict “matters” or “practically equivalent”",
    Step.LAST_LOOK: "this was the last look",
}


def explain_stop(row: Mapping[str, Any], evidence: Evidence) -> str:
    """Say after how many seeds a comparison stopped, and why.

    The text is empty if the study fixed the number of seeds.

    `row` is a row of the comparisons table.
    """
    if "looks" not in evidence.tables:
        return ""
    taken = evidence.list_looks(row)
    last = taken[-1]
    study = evidence.study
    looks = plan_looks(study.seeds, study.decision.alpha)
    told = (
        f"This comparison stopped after {format_count(last['look_seeds'], 'seed')} of at most "
        f"{looks[-1].seeds} (look {len(taken)} of {len(looks)} at the results), because "
        f"{REASONS[Step(last['step'])]}. Its interval and p-value allow for the repeated looks."
    )
    # The effect size is None without a spread. It is 0 if the mean difference is 0, which has no bias.
    if not row["effect_size_dz"] or last["step"] == Step.LAST_LOOK:
        return told
    spread = abs(row["difference"] / row["effect_size_dz"])
    bias = estimate_bias(row["difference"], spread, looks, study.decision, evidence.family)
    if abs(bias) >= WORTH_SAYING * study.decision.margin:
        direction = "over" if bias * row["difference"] > 0 else "under"
        told += (
            f" Because the comparison stopped early, this difference is probably {direction}stated: in "
            f"simulated studies like this one, by {format_difference(abs(bias), evidence.metric.unit)} on "
            "average."
        )
    return told
