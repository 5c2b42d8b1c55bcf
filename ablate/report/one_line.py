"""State a report's answer in one line: the differences of the arms, and the arms that did not train."""

from typing import Any

import pandas as pd

from ablate.formatting import format_difference, format_interval, format_list, list_rows
from ablate.report.evidence import Evidence
from ablate.report.stability import state_difference
from ablate.stats.contrasts import BOTH_ALONE
from ablate.stats.verdicts import UNTRAINED

MOST_NAMED = 8
"""At most this many arms are named: of those with a difference, and of those that did not train."""


def state_answer(evidence: Evidence) -> str:
    """State the answer in one line, with the differences, their intervals and the verdicts.

    A sentence states the best difference from the baseline. The other arms follow, the better ones first.
    """
    if evidence.preliminary:
        return "not finished"
    rows = [row for row in list_rows(evidence.tables["comparisons"]) if _is_plain(row, evidence)]
    told = [row for row in rows if row["difference"] is not None]
    if not rows:
        return "the search found no candidate to compare with the baseline"
    sign = 1 if evidence.metric.higher_is_better else -1
    told.sort(key=lambda row: sign * row["difference"], reverse=True)
    parts = [_describe(told[0], evidence)] if told else []
    parts += [_list_difference(row, evidence) for row in told[1:MOST_NAMED]]
    if len(told) > MOST_NAMED:
        parts.append(f"and {len(told) - MOST_NAMED} more")
    if untrained := [row for row in rows if row["verdict"] in UNTRAINED]:
        names = [evidence.names.name_arm(row["arm"], row["baseline"]) for row in untrained]
        shown = format_list(names[:MOST_NAMED]) if len(names) <= MOST_NAMED else f"{len(names)} comparisons"
        only_baseline = _is_only_the_baseline(untrained, evidence)
        told_first = (
            "some runs of the baseline did not train, so there is no difference for"
            if only_baseline
            else "some runs did not train:"
        )
        parts.append(f"{told_first} {shown}")
    return "; ".join(parts) or "no seed has completed runs of two arms"


def _is_plain(row: dict[str, Any], evidence: Evidence) -> bool:
    """Whether a comparison is between an arm and the baseline."""
    return row["baseline"] != BOTH_ALONE and row["baseline"] == evidence.arms[0]


def _describe(row: dict[str, Any], evidence: Evidence) -> str:
    told = f"{state_difference(row, evidence)} ({_state_interval(row, evidence)})"
    return f"{told}: {row['verdict']}{_state_speed(row, evidence)}"


def _list_difference(row: dict[str, Any], evidence: Evidence) -> str:
    """State a difference in brief: `kernel_size=3: −2.49 points (−3.48 to −1.50), matters, speed ×0.98`."""
    name = evidence.names.name_arm(row["arm"], row["baseline"])
    difference = format_difference(row["difference"], evidence.metric.unit, signed=True)
    _, _, interval = _state_interval(row, evidence).rpartition("% interval ")
    return f"{name}: {difference} ({interval}), {row['verdict']}{_state_speed(row, evidence)}"


def _state_interval(row: dict[str, Any], evidence: Evidence) -> str:
    confidence = 1 - evidence.study.decision.alpha
    return format_interval(row["ci_low"], row["ci_high"], confidence, evidence.metric.unit)


def _state_speed(row: dict[str, Any], evidence: Evidence) -> str:
    """State the arm's throughput relative to the baseline's: `, speed ×0.97`. Empty if it is unknown."""
    arms = evidence.tables["arms"].set_index("arm")
    ratio = arms["examples_per_second_ratio"].get(row["arm"])
    return "" if ratio is None or pd.isna(ratio) else f", speed ×{ratio:.2f}"


def _is_only_the_baseline(untrained: list[dict[str, Any]], evidence: Evidence) -> bool:
    """Whether all failed runs of these comparisons are runs of the baseline."""
    names = {row["arm"] for row in untrained}
    rows = [row for row in list_rows(evidence.tables["stability"]) if row["arm"] in names]
    return bool(rows) and all(row["arm_trained"] == row["compared_seeds"] for row in rows)
