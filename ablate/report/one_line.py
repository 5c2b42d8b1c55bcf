"""State a report's answer in one sentence: the best arm, its difference, and the arms that did not train."""

from typing import Any

from ablate.formatting import format_interval, format_list, list_rows
from ablate.report.evidence import Evidence
from ablate.report.stability import state_difference
from ablate.stats.contrasts import BOTH_ALONE
from ablate.stats.verdicts import UNTRAINED

MOST_NAMED = 4
"""At most this many arms that did not train are named."""


def state_answer(evidence: Evidence) -> str:
    """State the answer in one sentence, with the difference, its interval and the verdict.

    With several arms, the sentence is about the arm with the best difference from the baseline. It counts the
    verdicts of the other arms.
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
    if len(told) > 1:
        others = "the other arm" if len(told) == 2 else f"the other {len(told) - 1} arms"
        parts.append(f"{others}: {_count_verdicts(told[1:])}")
    if untrained := [row for row in rows if row["verdict"] in UNTRAINED]:
        names = [evidence.names.name_arm(row["arm"], row["baseline"]) for row in untrained]
        shown = format_list(names[:MOST_NAMED]) if len(names) <= MOST_NAMED else f"{len(names)} comparisons"
        parts.append(f"some runs did not train: {shown}")
    return "; ".join(parts) or "no seed has completed runs of two arms"


def _is_plain(row: dict[str, Any], evidence: Evidence) -> bool:
    """Whether a comparison is between an arm and the baseline."""
    return row["baseline"] != BOTH_ALONE and row["baseline"] == evidence.arms[0]


def _describe(row: dict[str, Any], evidence: Evidence) -> str:
    unit, confidence = evidence.metric.unit, 1 - evidence.study.decision.alpha
    interval = format_interval(row["ci_low"], row["ci_high"], confidence, unit)
    return f"{state_difference(row, evidence)} ({interval}): {row['verdict']}"


def _count_verdicts(rows: list[dict[str, Any]]) -> str:
    verdicts = [row["verdict"] for row in rows]
    if len(verdicts) == 1:
        return f"“{verdicts[0]}”"
    return ", ".join(f"{verdicts.count(verdict)} × “{verdict}”" for verdict in dict.fromkeys(verdicts))
