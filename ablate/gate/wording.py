"""Sentences of the gate: what a requirement means, what was measured, and how many seeds would help."""

from ablate.formatting import (
    Unit,
    format_count,
    format_difference,
    format_interval,
    format_list,
    format_margin,
    format_p,
    spell_keyword,
)
from ablate.gate.checks import Check, Gate
from ablate.gate.rules import OF_THE_METRIC, Outcome, Reason, Requirement

NOTHING_REQUIRED = (
    "Nothing was required, so this output only describes the difference. To check a requirement, add "
    "--require no-worse, better, equivalent or reproduced."
)

_SHOWN = {
    Reason.SAME: "A and B have the same result in every seed.",
    Reason.WITHIN_MARGIN: "Any difference is smaller than the margin of {margin}.",
    Reason.NO_LOSS_BEYOND_MARGIN: "Any loss is smaller than the margin of {margin}.",
    Reason.NO_GAIN_BEYOND_MARGIN: "Any gain is smaller than the margin of {margin}.",
    Reason.WORSE: "B is worse, and its loss may be larger than the margin of {margin}.",
    Reason.BETTER: "B is better, and its gain may be larger than the margin of {margin}.",
    Reason.TRAINS_LESS_OFTEN: "B trains less often than A.",
    Reason.TRAINS_MORE_OFTEN: "B trains more often than A.",
    Reason.SOME_DID_NOT_TRAIN: "Some runs did not train. A mean over the other runs does not settle this.",
    Reason.TOO_FEW_SEEDS: "A verdict needs three seeds that A and B have in common.",
}
_BEYOND = {
    Reason.WORSE: "B is worse by more than the margin of {margin}.",
    Reason.BETTER: "B is better by more than the margin of {margin}.",
}
"""Sentences for an interval that lies outside the margin."""
_UNCLEAR = (
    "These seeds do not show a {change}. These seeds also do not show that any {change} is smaller than "
    "the margin of {margin}."
)


def explain_check(check: Check, unit: Unit) -> str:
    """Explain the outcome of one check: what was measured, what it shows, and how many seeds would help."""
    if check.requirement == Requirement.PARAMETERS:
        told = _explain_parameters(check)
    elif check.requirement == Requirement.THROUGHPUT:
        told = _explain_throughput(check)
    else:
        told = _explain_metric(check, unit)
    return " ".join(part for part in (told, _explain_need(check)) if part)


def _explain_metric(check: Check, unit: Unit) -> str:
    change = {Requirement.NO_WORSE: "loss", Requirement.BETTER: "gain"}.get(check.requirement, "difference")
    text = _UNCLEAR if check.reason == Reason.UNCLEAR else _SHOWN.get(check.reason, "")
    if check.reason in _BEYOND and check.low is not None and check.high is not None:
        nearest = min(abs(check.low), abs(check.high))
        if check.low * check.high > 0 and nearest > (check.bound or 0.0):
            text = _BEYOND[check.reason]
    shown = text.format(change=change, margin=format_margin(check.bound or 0.0, unit))
    parts = [check.detail, "" if check.reason == Reason.SAME else measure(check, unit), shown]
    return " ".join(part for part in parts if part)


def measure(check: Check, unit: Unit) -> str:
    """Write what was measured: the difference with its interval and p-value, or the ratio.

    The text is empty if nothing was measured.
    """
    if check.estimate is None:
        return ""
    if check.requirement == Requirement.PARAMETERS:
        return f"× {check.estimate:.4g}"
    if check.requirement == Requirement.THROUGHPUT:
        interval = f"{100 * (check.confidence or 0):.4g}% interval {check.low:.3f} to {check.high:.3f}"
        return f"× {check.estimate:.3f} ({interval}; {format_count(check.count or 0, 'timing block')})"
    seeds = format_count(check.count or 0, "paired seed")
    inside = [seeds]
    if check.low is not None and check.confidence is not None:
        inside = [format_interval(check.low, check.high, round(check.confidence, 4), unit), *inside]
    if check.p_value is not None:
        inside.insert(-1, format_p(check.p_value))
    return f"{format_difference(check.estimate, unit, signed=True)} ({'; '.join(inside)})."


def _explain_throughput(check: Check) -> str:
    if check.reason == Reason.TOO_FEW_BLOCKS:
        blocks = format_count(check.count or 0, "timing block")
        return (
            f"Other programs left only {blocks} undisturbed. The rule needs three such blocks of each folder."
        )
    if check.estimate is None:
        return check.detail
    shown = {
        Outcome.HOLDS: f"B is at least {check.bound:g} times as fast as A",
        Outcome.FAILS: f"B is less than {check.bound:g} times as fast as A",
        Outcome.CANNOT_TELL: f"The interval contains {check.bound:g}",
    }[check.outcome]
    return " ".join(part for part in (f"{measure(check, 'number')}. {shown}.", check.detail) if part)


def _explain_parameters(check: Check) -> str:
    if check.estimate is None:
        return check.detail or "The number of parameters was not measured."
    return f"{check.detail} The ratio is × {check.estimate:.6g}, and the bound is × {check.bound:g}."


def _explain_need(check: Check) -> str:
    if check.need is None:
        return ""
    noun = "timing block" if check.requirement == Requirement.THROUGHPUT else "seed"
    if check.count is None or check.estimate is None:
        return f"At least {format_count(check.need.number, noun)} would be needed."
    assumed = "the true difference is the measured one"
    if not check.need.as_measured:
        assumed = "there is no true difference"
    return f"About {format_count(check.need.number, noun)} would settle the requirement if {assumed}."


def name_requirement(gate: Gate, check: Check) -> str:
    """Name what was required, with its bound: `no worse in accuracy (margin 1 point)`."""
    if check.requirement == Requirement.THROUGHPUT:
        return f"throughput at least × {check.bound:g}"
    if check.requirement == Requirement.PARAMETERS:
        return f"parameters at most × {check.bound:g}"
    words = {
        Requirement.NO_WORSE: "no worse",
        Requirement.BETTER: "better",
        Requirement.EQUIVALENT: "equivalent",
        Requirement.REPRODUCED: "reproduced",
    }[check.requirement]
    return f"{words} in {spell_keyword(gate.metric)} (margin {format_margin(check.bound or 0.0, gate.unit)})"


def state_gate(gate: Gate) -> str:
    """State the outcome of all checks in one line: `does not hold: no-worse: pooling=max`."""
    deciding = [check for check in gate.checks if check.outcome == gate.outcome]
    by_requirement: dict[str, list[str]] = {}
    for check in deciding:
        by_requirement.setdefault(check.requirement, []).append(check.arm)
    told = "; ".join(f"{name}: {format_list(arms)}" for name, arms in by_requirement.items())
    return f"{gate.outcome}: {told}" if told else f"{gate.outcome}: there is no arm to check"


def count_seeds_to_train(gate: Gate) -> int | None:
    """Count the seeds that would settle every requirement on the metric. Return None if no count is known."""
    counts = [c.need.number for c in gate.checks if c.need is not None and c.requirement in OF_THE_METRIC]
    return max(counts, default=None)
