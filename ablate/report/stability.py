"""Sentences about a comparison in which some runs did not train.

They say how often each arm trains, and how the arms differ in the seeds in which all arms trained.
"""

from collections.abc import Mapping
from typing import Any

from ablate.formatting import (
    format_count,
    format_difference,
    format_interval,
    format_p,
    spell_keyword,
)
from ablate.report.evidence import Evidence
from ablate.stats.contrasts import BOTH_ALONE
from ablate.stats.power import PAIRS_FOR_A_VERDICT
from ablate.stats.verdicts import Verdict


def explain_stability(row: Mapping[str, Any], evidence: Evidence) -> str:
    """State how often each arm trains, and the difference in the seeds in which all arms trained.

    `row` is a row of the comparisons table whose verdict is `unstable` or `not trained`.
    """
    (found,) = evidence.find_rows("stability", row)
    if found["arm_trained"] == found["baseline_trained"] == 0:
        return "No run of either arm trained, so there is nothing to compare."
    often = "" if found["compared_seeds"] is None else f"{_compare_training(found, evidence)} "
    return f"{often}{_compare_trained(found, evidence)}"


def _compare_training(found: Mapping[str, Any], evidence: Evidence) -> str:
    """State how often the two arms train, and whether the seeds show a difference."""
    arm = evidence.names.name_arm(found["arm"], found["baseline"])
    baseline = evidence.names.name_arm(found["baseline"], found["arm"])
    seeds = found["compared_seeds"]
    told = (
        f"How often the arms train: {arm} in {found['arm_trained']} of {format_count(seeds, 'seed')}, "
        f"{baseline} in {found['baseline_trained']}"
    )
    unequal = found["only_arm"] + found["only_baseline"]
    if not unequal:
        return f"{told}. Both arms train in the same seeds."
    if found["p_training_holm"] is None:
        return (
            f"{told}. In {format_count(unequal, 'seed')} only one of the two arms trained. After Holm's "
            f"correction, {unequal} {'seed is' if unequal == 1 else 'seeds are'} too few to show that one "
            "arm trains more often."
        )
    p = f"{format_p(found['p_training_holm'])}, McNemar's exact test after Holm's correction"
    if found["p_training_holm"] >= evidence.study.decision.alpha:
        return f"{told}. These seeds do not show that one arm trains more often ({p})."
    more = arm if found["only_arm"] > found["only_baseline"] else baseline
    return f"{told}. So {more} trains more often ({p})."


def _compare_trained(found: Mapping[str, Any], evidence: Evidence) -> str:
    """State the difference in the seeds in which all arms of the comparison trained."""
    all_arms = "all arms" if found["baseline"] == BOTH_ALONE else "both arms"
    pairs = found["trained_pairs"]
    if pairs < PAIRS_FOR_A_VERDICT:
        there = (
            "There is no seed"
            if not pairs
            else "There is only 1 seed"
            if pairs == 1
            else f"There are only {pairs} seeds"
        )
        return f"{there} in which {all_arms} trained; a comparison needs {PAIRS_FOR_A_VERDICT} such seeds."
    among = {**found, "difference": found["trained_difference"]}
    measured = f"In the {pairs} seeds where {all_arms} trained: {state_difference(among, evidence)}"
    if found["trained_p_value"] is None:
        return f"{measured} in each of these seeds."
    interval = format_interval(
        found["trained_ci_low"],
        found["trained_ci_high"],
        1 - evidence.study.decision.alpha,
        evidence.metric.unit,
    )
    verdict = Verdict(found["trained_verdict"])
    return (
        f"{measured} ({interval}; {format_p(found['trained_p_holm'])} after Holm's correction): {verdict}. "
        "This difference is not the mean over all seeds, because it leaves out the seeds in which a run did "
        "not train."
    )


def find_trained_difference(row: Mapping[str, Any], evidence: Evidence) -> dict[str, Any] | None:
    """Find the row's difference and interval over the seeds in which all its arms trained.

    Returns:
        The row with this difference and interval, and with the key `where`: "where both trained". None if
        too few seeds are left, or if the row's verdict is not about training.
    """
    (found,) = evidence.find_rows("stability", row) or (None,)
    if found is None or found["trained_pairs"] < PAIRS_FOR_A_VERDICT:
        return None
    among = {name: found[f"trained_{name}"] for name in ("difference", "ci_low", "ci_high")}
    return {**row, **among, "where": f"where {'all' if row['baseline'] == BOTH_ALONE else 'both'} trained"}


def state_difference(row: Mapping[str, Any], evidence: Evidence) -> str:
    """State the difference of a comparison as a sentence. The sentence has no full stop."""
    metric, name = evidence.metric, evidence.study.decision.metric
    amount, rose = format_difference(abs(row["difference"]), metric.unit), row["difference"] > 0
    if row["baseline"] == BOTH_ALONE:
        one, other = row["arm"].split(" × ")
        what = (
            "test accuracy" if evidence.decides_by_accuracy else f"{spell_keyword(name)} on the test images"
        )
        return (
            f"the effect of {other} on the {what} is {amount} {'higher' if rose else 'lower'} "
            f"with {one} than without it"
        )
    arm = evidence.names.name_arm(row["arm"], row["baseline"])
    baseline = evidence.names.name_arm(row["baseline"], row["arm"])
    if amount == format_difference(0.0, metric.unit):
        alike = "as accurate as" if evidence.decides_by_accuracy else f"has the same {spell_keyword(name)} as"
        return f"{arm} {'is ' if evidence.decides_by_accuracy else ''}{alike} {baseline} on the test images"
    if evidence.decides_by_accuracy:
        how = "more" if rose else "less"
        return f"{arm} is {amount} {how} accurate than {baseline} on the test images"
    better = rose == metric.higher_is_better
    return (
        f"the {spell_keyword(name)} of {arm} is {amount} {'higher' if rose else 'lower'} "
        f"({'better' if better else 'worse'}) than that of {baseline} on the test images"
    )
