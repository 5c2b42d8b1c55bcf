"""Write sentences about one comparison: what to expect on new images, and how often both arms are right."""

from collections.abc import Mapping
from typing import Any

from ablate.formatting import format_count
from ablate.report.evidence import Evidence
from ablate.stats.verdicts import UNTRAINED


def explain_new_images(row: Mapping[str, Any], evidence: Evidence) -> str:
    """Say what to expect from a comparison on new images, and on how many test images its arms are right.

    The text is empty for an interaction, and if the folder lacks the predictions of an arm. Any other text
    begins with a space.

    `row` is a row of the comparisons table.
    """
    told = ""
    for new in evidence.find_rows("new_images", row):
        told += f" {_state_interval(new, row, evidence)}"
    for agreement in evidence.find_rows("agreement", row):
        told += f" {_state_agreement(agreement, row, evidence)}"
    return told


def _state_interval(new: Mapping[str, Any], row: Mapping[str, Any], evidence: Evidence) -> str:
    """State the interval for new images. State the verdict for new images if it is a different one."""
    confidence, verdict = 1 - evidence.study.decision.alpha, new["new_images_verdict"]
    pairs = f", from {format_count(new['agreement_seeds'], 'pair')} of runs{_say_trained(row)}"
    told = (
        f"Difference on new images of the same kind: {new['new_images_ci_low'] * 100:+.2f} to "
        f"{new['new_images_ci_high'] * 100:+.2f} points ({confidence * 100:g}% interval that allows for the "
        f"choice of test images{'' if verdict else pairs})."
    ).replace("-", "−")
    if verdict is None or verdict == row["verdict"]:
        return told
    return f"{told} For new images the verdict would be: {verdict}."


def _say_trained(row: Mapping[str, Any]) -> str:
    """Return the words ` that trained` if some runs of the comparison did not train."""
    return " that trained" if row["verdict"] in UNTRAINED else ""


def _state_agreement(found: Mapping[str, Any], row: Mapping[str, Any], evidence: Evidence) -> str:
    """State the shares of the test images on which both arms, one arm or neither arm is right."""
    arm = evidence.names.name_arm(found["arm"], found["baseline"])
    baseline = evidence.names.name_arm(found["baseline"], found["arm"])
    seeds = found["agreement_seeds"]
    trained = " in which both trained" if _say_trained(row) else ""
    over = f"one seed{trained}" if seeds == 1 else f"mean over {seeds} seeds{trained}"
    return (
        f"Both arms are right on {found['both_right']:.1%} of the test images, only {arm} on "
        f"{found['only_arm_right']:.1%}, only {baseline} on {found['only_baseline_right']:.1%}, "
        f"neither on {found['neither_right']:.1%} ({over})."
    )
