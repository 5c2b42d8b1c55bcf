"""Leave out the rows of a table that have no result, and write a finding for each reason."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ablate.errors import AblateError, did_you_mean
from ablate.formatting import format_count, format_list
from ablate.judging.findings import Finding, FindingKind, choose_rows, name_rows
from ablate.judging.names import make_shown_names
from ablate.judging.number_formats import name_format
from ablate.judging.question import Question
from ablate.judging.run_columns import Names, RunColumns
from ablate.records.run_records import Phase

DONE = frozenset(
    [
        *("complete", "completed", "finished", "success", "succeeded", "successful", "ok", "done", "passed"),
        "terminated",  # Ray Tune's word for a finished run
    ]
)
DIVERGED = frozenset(["diverged"])
NOT_DONE = frozenset(
    [
        *("failed", "fail", "failure", "crashed", "error", "errored", "running", "pruned", "oom", "killed"),
        *("cancelled", "canceled", "timeout", "timed out", "preempted", "waiting", "pending", "scheduled"),
        *("queued", "stopped", "interrupted", "aborted", "skipped", "no result"),
    ]
)
"""Words in a column `status`, in lower case, for runs that did not finish.

A run with a word that is in none of these three lists counts as finished.
"""
LARGEST, SMALLEST = 1e100, 1e-100
"""The square of a value above or below these limits does not fit into a floating-point number."""
PHASES = frozenset(map(str, Phase))
WORDS_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class CleanRows:
    """Which rows of a table are judged, and what was found about the other rows."""

    kept: NDArray[np.bool_]
    """Whether each row is judged, `(rows,)`. Such a row has a result, or its run diverged."""
    diverged: NDArray[np.bool_]
    """Whether a column `status` says that the row's run diverged, `(rows,)`."""
    findings: list[Finding]


def clean(columns: RunColumns, question: Question) -> CleanRows:
    """Choose the rows that are judged.

    Raises:
        AblateError: no row has a number, or the baseline is not among the arms.
    """
    findings: list[Finding] = []
    kept = np.ones(columns.rows, bool)

    def leave_out(mask: NDArray[np.bool_], kind: FindingKind, reason: str) -> None:
        gone = kept & mask
        count, rows = choose_rows(gone)
        if count:
            sentence = f"{name_rows(rows, count)[0].upper()}{name_rows(rows, count)[1:]} left out: {reason}."
            findings.append(Finding(kind=kind, sentence=sentence, count=count, rows=rows))
            kept[gone] = False

    _choose_phase(columns, kept, findings)
    diverged = np.zeros(columns.rows, bool)
    if columns.statuses is not None:
        diverged = _choose_by_status(columns.statuses, kept, findings)
    leave_out(columns.arms.codes < 0, FindingKind.MISSING_ARM, f"no arm in the column '{question.arm}'")
    if columns.groups is not None:
        reason = f"nothing in the column '{question.by}'"
        leave_out(columns.groups.codes < 0, FindingKind.MISSING_GROUP, reason)
    if columns.has_seed is not None:
        leave_out(~columns.has_seed, FindingKind.MISSING_SEED, f"no seed in the column '{question.seed}'")
    is_text = np.zeros(columns.rows, bool)
    is_text[columns.text_rows] = True
    told = format_list([repr(_shorten(text)) for text in list(columns.texts.values())[:WORDS_SHOWN]])
    if not (np.isfinite(columns.values) & kept).any() and (is_text & kept).any():
        raise AblateError(
            f"{columns.place}: metric: the column '{question.metric}' has text such as {told}, and no "
            "number: write plain numbers such as 0.95"
        )
    _refuse_formatted(columns, question, kept & ~diverged)
    leave_out(is_text & ~diverged, FindingKind.TEXT_METRIC, f"text instead of a number, such as {told}")
    missing = np.isnan(columns.values) & ~diverged
    leave_out(
        missing,
        FindingKind.MISSING_METRIC,
        f"no value of {question.metric}. If these runs diverged, their arms are worse than their means say",
    )
    leave_out(np.isinf(columns.values) & ~diverged, FindingKind.INFINITE_METRIC, "the value is infinite")
    _check_rest(columns, question, kept & ~diverged)
    return CleanRows(kept=kept, diverged=diverged & kept, findings=findings)


def _refuse_formatted(columns: RunColumns, question: Question, judged: NDArray[np.bool_]) -> None:
    """Refuse numbers that are written as text beside plain numbers.

    These numbers are not left out. Often only large numbers are written with a separator of thousands.
    Without these numbers, an arm with large values would seem to have small values.
    """
    for row, text in columns.formatted.items():
        if judged[row]:
            raise AblateError(
                f"{columns.place}: metric: row {row + 1:,} of the column '{question.metric}' has "
                f"{_shorten(text)!r}, {name_format(text)}, and other rows have plain numbers: write all of "
                "them as plain numbers such as 1016.9"
            )


def _check_rest(columns: RunColumns, question: Question, results: NDArray[np.bool_]) -> None:
    """Check that the results can be judged.

    Some results are left, their values are in range, and the baseline and another arm have results.
    """
    if not results.any():
        raise AblateError(
            f"{columns.place}: metric: no finished run has a number in the column '{question.metric}': "
            "check the column"
        )
    largest = float(np.abs(columns.values[results]).max())
    if largest > LARGEST or 0 < largest < SMALLEST:
        raise AblateError(
            f"{columns.place}: metric: the largest value is {largest:g}: write the metric in another unit"
        )
    names = columns.arms.names
    left = sorted(names[code] for code in np.unique(columns.arms.codes[results]))
    if question.baseline not in left:
        known = list(make_shown_names(left[:20]).values())
        why = "has no finished run" if question.baseline in names else "is not in the column"
        raise AblateError(
            f"{columns.place}: baseline: '{question.baseline}' {why} '{question.arm}': "
            f"{did_you_mean(question.baseline, known)}"
            if why.startswith("is")
            else f"{columns.place}: baseline: '{question.baseline}' {why}: name another arm"
        )
    if len(left) < 2:
        raise AblateError(
            f"{columns.place}: arm: the column '{question.arm}' has only the arm '{question.baseline}': "
            "a comparison needs two arms"
        )


def _choose_phase(columns: RunColumns, kept: NDArray[np.bool_], findings: list[Finding]) -> None:
    """In a table that ablate wrote, keep only the runs of the phase `confirm`.

    The runs of the other phases only served to choose settings. In other tables with several phases, write a
    finding that the phases are judged together.
    """
    if columns.phases is None:
        return
    names = columns.phases.names
    lower = [name.strip().lower() for name in names]
    if {*lower} <= PHASES and Phase.CONFIRM in lower:
        others = np.isin(columns.phases.codes, [i for i, name in enumerate(lower) if name != Phase.CONFIRM])
        count, rows = choose_rows(others)
        if not count:
            return
        findings.append(
            Finding(
                kind=FindingKind.OTHER_PHASE,
                sentence=f"{count:,} rows left out: their phase is not “confirm”. Such runs only serve to "
                "choose settings.",
                count=count,
                rows=rows,
            )
        )
        kept[others] = False
        _find_tuning_seeds(columns, others, findings)
    elif len(names) > 1:
        told = format_list(list(make_shown_names(names[:WORDS_SHOWN]).values()))
        findings.append(
            Finding(
                kind=FindingKind.OTHER_PHASE,
                sentence=f"The column “phase” has several values ({told}). Runs of all phases are judged "
                "together. If settings were chosen by the runs of one phase, leave the rows of this phase "
                "out.",
            )
        )


def _find_tuning_seeds(columns: RunColumns, others: NDArray[np.bool_], findings: list[Finding]) -> None:
    if columns.seeds is None:
        return
    used = np.isin(columns.seeds, np.unique(columns.seeds[others])) & ~others
    count, rows = choose_rows(used)
    if count:
        findings.append(
            Finding(
                kind=FindingKind.TUNING_SEEDS,
                sentence=f"{count:,} rows have seeds that were also used to choose settings. Their "
                "results can be too good: repeat the comparison with new seeds.",
                count=count,
                rows=rows,
            )
        )


def _choose_by_status(statuses: Names, kept: NDArray[np.bool_], findings: list[Finding]) -> NDArray[np.bool_]:
    """Leave out unfinished runs. Return for each row whether its run diverged, `(rows,)`."""
    lower = [name.strip().lower().removeprefix("trialstate.") for name in statuses.names]
    if unknown := sorted({*lower} - DONE - DIVERGED - NOT_DONE):
        told = format_list(list(make_shown_names(unknown[:WORDS_SHOWN]).values()))
        findings.append(
            Finding(
                kind=FindingKind.IGNORED_COLUMN,
                sentence=f"The column “status” has words that ablate does not know ({told}). Runs with such "
                "a word, and runs without a word, count as finished. Leave out the rows of unfinished runs.",
            )
        )
    not_done = kept & np.isin(statuses.codes, [i for i, name in enumerate(lower) if name in NOT_DONE])
    count, rows = choose_rows(not_done)
    if count:
        words = format_list(sorted({lower[code] for code in np.unique(statuses.codes[not_done])}))
        findings.append(
            Finding(
                kind=FindingKind.UNFINISHED,
                sentence=f"{format_count(count, 'row')} left out: the run did not finish ({words}).",
                count=count,
                rows=rows,
            )
        )
        kept[not_done] = False
    diverged = kept & np.isin(statuses.codes, [i for i, name in enumerate(lower) if name in DIVERGED])
    count, rows = choose_rows(diverged)
    if count:
        findings.append(
            Finding(
                kind=FindingKind.DIVERGED,
                sentence=f"{format_count(count, 'run')} diverged. Divergence is a result: an arm "
                "has no mean if any of its runs diverged.",
                count=count,
                rows=rows,
            )
        )
    return diverged


def _shorten(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:30]}…"
