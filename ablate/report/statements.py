"""State a report's answer in brief: the differences of the arms, and the arms that did not train."""

from typing import Any

import pandas as pd

from ablate.formatting import (
    format_count,
    format_difference,
    format_interval,
    format_list,
    keep_first,
    list_rows,
)
from ablate.report.cautions import is_timing_unsteady
from ablate.report.costs import compare_size
from ablate.report.evidence import Evidence
from ablate.report.references import describe_references
from ablate.report.stability import find_trained_difference, state_difference
from ablate.report.training_length import warn_of_short_training
from ablate.stats.contrasts import BOTH_ALONE
from ablate.stats.verdicts import UNTRAINED
from ablate.study.spec import FULL

MOST_NAMED = 8
"""At most this many comparisons of each kind are told."""
FEWEST_TRAINED = 5
"""If runs did not train, a difference is told only if both arms trained in at least this many seeds."""


def list_statements(evidence: Evidence) -> list[str]:
    """List the statements of the answer, with the differences, their intervals and the verdicts.

    In a factorial design, the interactions come first. Then a sentence states the best difference from the
    baseline. The other arms follow, the better ones first. In the design `leave_one_out`, the steps to the
    arm with all changes come next, and what this arm loses without each change, the largest loss first. Last
    come the other comparisons with runs that did not train, and the published test accuracies.
    """
    if evidence.preliminary:
        return ["not finished"]
    rows = list_rows(evidence.tables["comparisons"])
    if not rows:
        return ["the search found no candidate to compare with the baseline"]
    steps = _list_steps(evidence) if evidence.study.design == "leave_one_out" else []
    if steps:  # the first step is also a comparison with the baseline
        rows = [row for row in rows if row["baseline"] != evidence.arms[0] or row["arm"] == FULL]
    sign = 1 if evidence.metric.higher_is_better else -1
    told = [row for row in rows if row["difference"] is not None]
    told.sort(key=lambda row: sign * row["difference"], reverse=True)
    interactions = [row for row in told if row["baseline"] == BOTH_ALONE]
    plain = [row for row in told if row["baseline"] == evidence.arms[0]]
    against_full = [row for row in reversed(told) if row["baseline"] == FULL]
    parts = [
        *keep_first([_describe(row, evidence) for row in interactions], MOST_NAMED),
        *[_describe(row, evidence) for row in plain[:1]],
        *keep_first([_list_difference(row, evidence) for row in plain[1:]], MOST_NAMED),
        *steps,
        *keep_first([_list_difference(row, evidence) for row in against_full], MOST_NAMED),
    ]
    untrained = [row for row in rows if row["verdict"] in UNTRAINED]
    if named := list(filter(None, (_describe_untrained(row, evidence) for row in untrained))):
        parts += ["some runs did not train:", *keep_first(named, MOST_NAMED)]
    parts += _compare_with_published(evidence)
    if any(warn_of_short_training(evidence)):
        parts.append("longer training may change this answer")
    return parts or ["no seed has completed runs of two arms"]


def state_baseline(evidence: Evidence) -> str:
    """State the baseline's mean test accuracy and how it is trained, in one line.

    For example: `79.5% on fashion_mnist; sigmoid, sgd, 10 epochs, learning rate 1.27 (tuned)`.
    """
    study, baseline = evidence.study, evidence.arms[0]
    recipe = study.recipe
    mean = evidence.tables["arms"].set_index("arm")["test_accuracy_mean"].get(baseline)
    activation = evidence.provenance.networks[baseline].get("activation")
    parts = [
        *([str(activation)] if activation else []),
        recipe.optimizer + (f" with momentum {recipe.momentum:g}" if recipe.momentum else ""),
        format_count(recipe.epochs, "epoch"),
        *([f"{recipe.train_images:,} images"] if recipe.train_images else []),
        *([f"schedule {recipe.schedule}"] if recipe.schedule != "constant" else []),
        *([f"augmentation {recipe.augmentation}"] if recipe.augmentation != "none" else []),
        _state_rate(evidence),
    ]
    where = f"on {study.dataset}; {', '.join(parts)}"
    return where if mean is None or pd.isna(mean) else f"{mean:.1%} {where}"


def _state_rate(evidence: Evidence) -> str:
    """State the baseline's learning rate, and whether tuning chose it."""
    chosen = _read_rates(evidence).get(evidence.arms[0])
    if chosen is None:
        return f"learning rate {evidence.study.recipe.learning_rate:g}"
    return f"learning rate {chosen:.3g} (tuned)"


def _state_own_rate(row: dict[str, Any], evidence: Evidence) -> str:
    """State the arm's learning rate, if tuning chose another one for the arm than for the other arm."""
    rates = _read_rates(evidence)
    own = rates.get(row["arm"])
    return "" if own in (None, rates.get(row["baseline"])) else f", learning rate {own:.3g}"


def _read_rates(evidence: Evidence) -> dict[str, float]:
    """Read the learning rate that tuning chose for each arm. Empty if it was not tuned."""
    tuning = evidence.tables["tuning"]
    rates = tuning[tuning["parameter"] == "learning_rate"].set_index("arm")["chosen"].dropna()
    return dict(rates) if evidence.study.tuning.active else {}


def _list_steps(evidence: Evidence) -> list[str]:
    """List the steps from the baseline to the arm with all changes, with the difference of each step."""
    steps = [f"from {evidence.arms[0]} to {FULL}, one change at a time:"]
    for row in list_rows(evidence.tables["path"]):
        change = f"{len(steps)}. {evidence.names.name_change(row['arm'], row['baseline'])}"
        if row["verdict"] in UNTRAINED:
            told = _tell_untrained(row, evidence, "without it")
        elif row["difference"] is None:
            told = f": {row['verdict']}"
        else:
            told = f": {_tell_difference(row, evidence)}"
        steps.append(f"{change}{told}{_state_costs(row, evidence)}")
    return steps if len(steps) > 1 else []


def _describe(row: dict[str, Any], evidence: Evidence) -> str:
    found = f"{_state_interval(row, evidence)}{_state_seeds(row, evidence)}"
    told = f"{state_difference(row, evidence)} ({found}): {row['verdict']}"
    return f"{told}{_state_costs(row, evidence)}"


def _list_difference(row: dict[str, Any], evidence: Evidence) -> str:
    """State a difference in brief: `kernel_size=3: −2.49 points (−3.48 to −1.50, 5 seeds), matters`."""
    return f"{_name(row, evidence)}: {_tell_difference(row, evidence)}{_state_costs(row, evidence)}"


def _tell_difference(row: dict[str, Any], evidence: Evidence) -> str:
    difference = format_difference(row["difference"], evidence.metric.unit, signed=True)
    found = f"{_state_bounds(row, evidence)}{_state_seeds(row, evidence)}"
    return f"{difference} ({found}), {row['verdict']}"


def _describe_untrained(row: dict[str, Any], evidence: Evidence) -> str:
    """State how often the arms trained, their difference where all of them trained, and the costs.

    Empty if there is nothing to state, and for steps from one change to the next.
    """
    if row["baseline"] not in (BOTH_ALONE, evidence.arms[0], FULL):
        return ""
    other = "the baseline" if row["baseline"] == evidence.arms[0] else row["baseline"]
    told = _tell_untrained(row, evidence, other)
    name = _name(row, evidence) if told.startswith(":") else evidence.names.name_arm(row["arm"])
    return f"{name}{told}{_state_costs(row, evidence)}" if told else ""


def _tell_untrained(row: dict[str, Any], evidence: Evidence, other: str) -> str:
    """State how often an arm and the arm `other` trained, and their difference where both did."""
    (found,) = evidence.find_rows("stability", row) or [_turn_stability(row, evidence)]
    often = gap = ""
    if (seeds := found["compared_seeds"]) is not None:
        often = (
            f" trained in {found['arm_trained']} of {format_count(seeds, 'seed')} and {other} in "
            f"{found['baseline_trained']}"
        )
    among = find_trained_difference(row, evidence)
    if among is not None and found["trained_pairs"] >= FEWEST_TRAINED:
        difference = format_difference(among["difference"], evidence.metric.unit, signed=True)
        gap = (
            f"{', ' if often else ': '}{difference} ({_state_bounds(among, evidence)}) in the "
            f"{found['trained_pairs']} seeds {among['where']}, {found['trained_verdict']}"
        )
    return f"{often}{gap}"


def _turn_stability(row: dict[str, Any], evidence: Evidence) -> dict[str, Any]:
    """Find how often two arms trained, if the study compares them in the other order, as in the last step."""
    (found,) = evidence.find_rows("stability", {"arm": row["baseline"], "baseline": row["arm"]})
    return {**found, "arm_trained": found["baseline_trained"], "baseline_trained": found["arm_trained"]}


def _compare_with_published(evidence: Evidence) -> list[str]:
    """Say which published test accuracies lie in the interval for one further run, if there are any."""
    rows = [row for row in describe_references(evidence) if row["metric"] == "test accuracy"]
    told = [f"“{row['name']}” {row['value']} ({row['place']})" for row in rows]
    confidence = f"{(1 - evidence.study.decision.alpha) * 100:g}%"
    return [
        f"one further run of {row['arm']} should have a test accuracy of {row['interval']} ({confidence} "
        f"interval). Published: {format_list(told)}"
        for row in rows[:1]
    ]


def _name(row: dict[str, Any], evidence: Evidence) -> str:
    if row["baseline"] == BOTH_ALONE:
        return evidence.names.name_contrast(row["arm"], row["baseline"])
    name = evidence.names.name_arm(row["arm"], row["baseline"])
    return f"{name} against {FULL}" if row["baseline"] == FULL else name


def _state_bounds(row: dict[str, Any], evidence: Evidence) -> str:
    """State the interval without its level of confidence: `−3.48 to −1.50`."""
    _, _, bounds = _state_interval(row, evidence).rpartition("% interval ")
    return bounds


def _state_interval(row: dict[str, Any], evidence: Evidence) -> str:
    confidence = 1 - evidence.study.decision.alpha
    return format_interval(row["ci_low"], row["ci_high"], confidence, evidence.metric.unit)


def _state_seeds(row: dict[str, Any], evidence: Evidence) -> str:
    """State on how many seeds an interval rests: `, 10 seeds`. Empty if there is no interval."""
    return "" if row["ci_low"] is None else f", {format_count(evidence.count_seeds(row), 'seed')}"


def _state_costs(row: dict[str, Any], evidence: Evidence) -> str:
    """State the arm's own learning rate and its costs: `, learning rate 0.2, speed ×0.97, FLOP ×1.32`.

    The costs are divided by the baseline's.
    Parameters and FLOPs are left out if they are nearly equal, and the speed if it is unknown or unreliable.
    """
    own_rate = _state_own_rate(row, evidence)
    if row["baseline"] != evidence.arms[0]:
        return own_rate
    arms = evidence.tables["arms"].set_index("arm")
    arm, baseline = arms.loc[row["arm"]], arms.loc[row["baseline"]]
    ratio = None if is_timing_unsteady(evidence) else arm["examples_per_second_ratio"]
    speed = "" if ratio is None or pd.isna(ratio) else f", speed ×{ratio:.2f}"
    return f"{own_rate}{speed}{compare_size(arm, baseline)}"
