"""Explain the terms of a report in one or two sentences each, with the values of this study."""

from typing import TYPE_CHECKING

from ablate.formatting import format_margin, spell_keyword
from ablate.stats import power
from ablate.stats.verdicts import Verdict

if TYPE_CHECKING:  # a quarter of a second to import
    from ablate.report.evidence import Evidence

VERDICTS = {
    Verdict.MATTERS: "there is a difference, and its whole interval lies outside the margin",
    Verdict.SIZE_UNCLEAR: "there is a difference, but it may be smaller than the margin",
    Verdict.EQUIVALENT: "any difference is smaller than the margin",
    Verdict.INCONCLUSIVE: "these seeds show neither a difference nor equivalence",
    Verdict.DIFFERENT: "there is a difference. No margin was given, so it is not known whether it matters",
    Verdict.NO_DIFFERENCE_SHOWN: "these runs show no difference. The arms can still be different",
    Verdict.UNSTABLE: "some runs diverged or stayed at chance. So the report says how often each arm trains, "
    "and compares accuracies only in the seeds where both arms trained",
    Verdict.NOT_TRAINED: "the median run of an arm is no better than guessing",
    Verdict.CANNOT_TELL_APART: "the difference is zero in all runs, so there is nothing to test",
    Verdict.NOT_TESTED: "the difference is not zero, and the same in all runs. So a test is not possible",
    Verdict.NO_VERDICT: f"there are fewer than {power.PAIRS_FOR_A_VERDICT} pairs of runs",
}


def list_terms(evidence: "Evidence") -> list[tuple[str, str]]:
    """List each term with its explanation, in the order in which a reader meets the terms."""
    decision = evidence.study.decision
    alpha, margin = decision.alpha, format_margin(decision.margin, evidence.metric.unit)
    verdicts = dict.fromkeys(evidence.tables["comparisons"]["verdict"]) if not evidence.preliminary else {}
    return [
        ("arm", "One variant of the network or of its training. Every arm is compared with another arm."),
        ("baseline", "The arm that the others are compared with."),
        *_explain_changes(evidence),
        ("run", "One training of one arm, from its starting values to its last epoch."),
        (
            "seed",
            "The number that fixes a run's random choices: data split, order of the images, starting values. "
            "Runs of two arms with the same seed make a pair, and differences are taken within pairs.",
        ),
        ("point", "One percentage point of test accuracy: 90% and 91% differ by one point."),
        *_explain_balance(evidence),
        *_explain_metric(evidence),
        (
            "interval",
            f"The {(1 - alpha) * 100:g}% confidence interval: the range of true values that are compatible "
            "with the measurements.",
        ),
        (
            "p",
            "The probability of a difference at least as large as the measured one, if the arms were truly "
            f"equal. If p is below {alpha:g}, the difference counts as detected.",
        ),
        (
            "Holm's correction",
            "Raises the p-values of a study with several comparisons. Without this correction, a study with "
            "more comparisons would more often find a difference by mere chance.",
        ),
        ("margin", f"The smallest difference that matters, chosen in the study file: {margin}."),
        *((str(verdict), f"Verdict: {VERDICTS[verdict]}.") for verdict in verdicts),
    ]


def _explain_changes(evidence: "Evidence") -> list[tuple[str, str]]:
    """Explain the names of arms in a study that adds changes one by one and leaves each of them out once."""
    from ablate.study.spec import FULL  # not at the top, because `ablate judge` imports no pydantic

    if evidence.study.design != "leave_one_out":
        return []
    return [
        (FULL, "The arm with all changes of the study."),
        (
            f"{FULL} with …",
            f"The arm “{FULL}”, but one factor has the value of the baseline. The files in the folder "
            "tables call this arm “without …”.",
        ),
        ("up to …", "The arm with the first changes of the study, up to and including the named one."),
    ]


def _explain_metric(evidence: "Evidence") -> list[tuple[str, str]]:
    """Explain the metric that decides, if it is not the accuracy."""
    if evidence.decides_by_accuracy:
        return []
    metric = evidence.metric
    better = "Higher" if metric.higher_is_better else "Lower"
    meaning = (
        f"{metric.meaning[0].upper()}{metric.meaning[1:]}. {better} is better. "
        "The verdicts rest on this metric."
    )
    return [(spell_keyword(evidence.study.decision.metric), meaning)]


def _explain_balance(evidence: "Evidence") -> list[tuple[str, str]]:
    """Explain the balanced accuracy, if the report shows it."""
    if not evidence.unequal_classes:
        return []
    return [
        (
            "balanced accuracy",
            "The mean of the recalls of all classes. The recall of a class is the share of its test images "
            "that are classified correctly. Every class counts the same, however few images it has.",
        )
    ]
