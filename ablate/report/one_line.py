"""State a report's answer in one line: the differences of the arms, and the arms that did not train."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from ablate.formatting import format_count, format_difference, format_interval, format_list, list_rows
from ablate.report.evidence import Evidence
from ablate.report.stability import find_trained_difference, state_difference
from ablate.stats.contrasts import BOTH_ALONE
from ablate.stats.verdicts import UNTRAINED
from ablate.study.spec import FULL

MOST_NAMED = 8
"""At most this many comparisons of each kind are told."""


def state_answer(evidence: Evidence) -> str:
    """State the answer in one line, with the differences, their intervals and the verdicts.

    In a factorial design, the interactions come first. Then a sentence states the best difference from the
    baseline. The other arms follow, the better ones first. Last come the comparisons with the arm that has
    all changes, the most harmful one first, and the comparisons with runs that did not train.
    """
    if evidence.preliminary:
        return "not finished"
    rows = list_rows(evidence.tables["comparisons"])
    if not rows:
        return "the search found no candidate to compare with the baseline"
    sign = 1 if evidence.metric.higher_is_better else -1
    told = [row for row in rows if row["difference"] is not None]
    told.sort(key=lambda row: sign * row["difference"], reverse=True)
    interactions = [row for row in told if row["baseline"] == BOTH_ALONE]
    plain = [row for row in told if row["baseline"] == evidence.arms[0]]
    against_full = [row for row in reversed(told) if row["baseline"] == FULL]
    parts = [
        *_tell_most(_describe, interactions, evidence),
        *_tell_most(_describe, plain[:1], evidence),
        *_tell_most(_list_difference, plain[1:], evidence),
        *_tell_most(_list_difference, against_full, evidence),
    ]
    untrained = [row for row in rows if row["verdict"] in UNTRAINED]
    if named := list(filter(None, (_describe_untrained(row, evidence) for row in untrained))):
        shown = format_list(named) if len(named) <= MOST_NAMED else f"{len(named)} comparisons"
        parts.append(f"some runs did not train: {shown}")
    return "; ".join(parts) or "no seed has completed runs of two arms"


def _tell_most(
    tell: Callable[[dict[str, Any], Evidence], str], rows: list[dict[str, Any]], evidence: Evidence
) -> list[str]:
    """Tell the first rows, and how many more there are."""
    parts = [tell(row, evidence) for row in rows[:MOST_NAMED]]
    return [*parts, f"and {len(rows) - len(parts)} more"] if len(rows) > len(parts) else parts


def _describe(row: dict[str, Any], evidence: Evidence) -> str:
    told = f"{state_difference(row, evidence)} ({_state_interval(row, evidence)})"
    return f"{told}: {row['verdict']}{_state_speed(row, evidence)}"


def _list_difference(row: dict[str, Any], evidence: Evidence) -> str:
    """State a difference in brief: `kernel_size=3: −2.49 points (−3.48 to −1.50), matters, speed ×0.98`."""
    difference = format_difference(row["difference"], evidence.metric.unit, signed=True)
    told = f"{_name(row, evidence)}: {difference} ({_state_bounds(row, evidence)}), {row['verdict']}"
    return f"{told}{_state_speed(row, evidence)}"


def _describe_untrained(row: dict[str, Any], evidence: Evidence) -> str:
    """State how often the arms trained, and their difference in the seeds where all of them trained.

    Empty if there is nothing to state, and for steps from one change to the next.
    """
    if row["baseline"] not in (BOTH_ALONE, evidence.arms[0], FULL):
        return ""
    (found,) = evidence.find_rows("stability", row)
    parts = []
    if (seeds := found["compared_seeds"]) is not None:
        often = f"trained in {found['arm_trained']} of {format_count(seeds, 'seed')}"
        other = "the baseline" if row["baseline"] == evidence.arms[0] else row["baseline"]
        parts.append(f"{often}, {other} in {found['baseline_trained']}")
    if (among := find_trained_difference(row, evidence)) is not None:
        difference = format_difference(among["difference"], evidence.metric.unit, signed=True)
        parts.append(f"{difference}, {_state_bounds(among, evidence)}, {among['where']}")
    return f"{_name(row, evidence)} ({'; '.join(parts)})" if parts else ""


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


def _state_speed(row: dict[str, Any], evidence: Evidence) -> str:
    """State the arm's throughput relative to the baseline's: `, speed ×0.97`. Empty if it is unknown."""
    if row["baseline"] != evidence.arms[0]:
        return ""
    arms = evidence.tables["arms"].set_index("arm")
    ratio = arms["examples_per_second_ratio"].get(row["arm"])
    return "" if ratio is None or pd.isna(ratio) else f", speed ×{ratio:.2f}"
