"""Write sentences about the length of training: verdicts after half of the epochs, and late changes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from ablate.formatting import format_margin, format_points, keep_first, list_rows
from ablate.records.run_records import CRASHED, Status
from ablate.report.evidence import Evidence
from ablate.stats import epochs
from ablate.stats.chance import compute_chance_ceiling
from ablate.stats.verdicts import UNTRAINED
from ablate.study.recipe_values import list_recipe_values
from ablate.study.spec import StudySpec

MOST_NAMED = 8
"""A sentence names at most this many arms or comparisons one by one."""


def compare_verdicts_at_half(evidence: Evidence) -> Iterator[str]:
    """Say whether the verdicts on validation images would have been different after half of the epochs.

    Both verdicts rest on the validation images, so they differ only in the length of training. There is no
    sentence if the study is unfinished, has no validation images, or has fewer than four epochs.
    """
    if evidence.preliminary or "differences_by_epoch" not in evidence.tables:
        return
    drawn = evidence.tables["differences_by_epoch"][["arm", "baseline"]].drop_duplicates()
    if drawn.empty:
        return
    judged = epochs.compare_at_half(
        evidence.tables["runs"],
        evidence.validation,
        evidence.contrasts,
        evidence.study.decision,
        ceiling=compute_chance_ceiling(
            evidence.provenance.data.chance, evidence.study.validation, counts=None
        ),
    ).merge(drawn)
    for _, rows in judged.groupby(["half", "last"], sort=False):
        yield _tell_verdicts_at_half(rows, evidence)


def warn_of_short_training(evidence: Evidence) -> Iterator[str]:
    """Warn that longer training may change the answer, if the curves have not become flat.

    There is a warning for each of two signs in the last third of the epochs, on the validation images:

    - a comparison's difference changed by more than half the margin;
    - an arm's accuracy rose by more than the margin.

    Both are means over seeds, and must be significant at alpha in a paired t-test. Holm's correction covers
    all comparisons for the first sign, and all arms for the second. There is no warning for fewer than four
    epochs or three seeds.
    """
    if evidence.preliminary or "differences_by_epoch" not in evidence.tables:
        return
    validation, decision = evidence.validation, evidence.study.decision
    changes = epochs.find_late_changes(validation, evidence.tables["comparisons"], decision)
    for (start, last), rows in changes.groupby(["start", "last"], sort=False):
        span = f"Between epochs {start} and {last}"
        moves = [(_name(row, evidence), _tell_change(row["before"], row["after"])) for row in list_rows(rows)]
        if len(moves) == 1:
            ((name, move),) = moves
            of = f" of {name}" if len(evidence.contrasts) > 1 else ""
            yield (
                f"{span} the difference{of} on the validation images still {move}: longer training may "
                "change the answer."
            )
        else:
            yield (
                f"{span} differences on the validation images still changed: "
                f"{_join([f'{name} {move}' for name, move in moves])}. Longer training may change the answer."
            )
    ended = evidence.confirmed["status"].isin([Status.COMPLETE, *CRASHED])
    rising = epochs.find_rising_arms(
        validation,
        evidence.tables["comparisons"],
        decision,
        left_out=set(evidence.confirmed.loc[~ended, "arm"]),
    )
    for (start, last), rows in rising.groupby(["start", "last"], sort=False):
        rises = (rows["after"] - rows["before"]).tolist()
        told = [
            f"{evidence.names.name_arm(arm)} by {format_points(rise)}"
            for arm, rise in zip(rows["arm"], rises, strict=True)
        ]
        yield (
            f"Between epochs {start} and {last} the accuracy on the validation images still rose by more "
            f"than the margin of {format_margin(decision.margin)}: {_join(told)}. The training was too short "
            "to show how accurate these arms can become."
        )


def _tell_verdicts_at_half(judged: pd.DataFrame, evidence: Evidence) -> str:
    """Compare the verdicts after half of the training with those after the whole training.

    `judged` has one row for each comparison. All its arms were trained for the same number of epochs.
    """
    rows = list_rows(judged)
    opening = f"After half the training ({rows[0]['half']} of {rows[0]['last']} epochs)"
    changed = [row for row in rows if row["at_half"] != row["at_last"]]
    if len(rows) == 1:
        of = f" of {_name(rows[0], evidence)}" if len(evidence.contrasts) > 1 else ""
        told = (
            f"{opening} the verdict{of} on the validation images would have been "
            f"{_tell_both_verdicts(rows[0], evidence)}."
        )
    elif changed:
        listed = [
            f"{_name(row, evidence)} (“{row['at_half']}” instead of “{row['at_last']}”)" for row in changed
        ]
        told = (
            f"{opening} {len(changed)} of {len(rows)} verdicts on the validation images would have been "
            f"different: {_join(listed)}."
        )
    else:
        told = (
            f"{opening} all {len(rows)} verdicts on the validation images would have been the same as after "
            "the whole training."
        )
    if _is_scheduled(evidence.study):
        told += (
            " The learning rate follows a schedule over all epochs. A training with half as many epochs "
            "would have used other learning rates, so its verdicts could be different."
        )
    answer = evidence.tables["comparisons"].set_index(["arm", "baseline"])["verdict"]
    if all(answer[row["arm"], row["baseline"]] == row["at_last"] for row in rows):
        return told
    return (
        f"{told} The answer of this report rests on the test images, so its verdicts can differ from those "
        "on the validation images."
    )


def _tell_both_verdicts(row: Mapping[str, Any], evidence: Evidence) -> str:
    """State a comparison's verdict after half of the training and after the whole training.

    Each verdict is followed by its difference, unless some runs had not trained after half of the epochs.
    """
    early = late = ""
    if row["at_half"] not in UNTRAINED:
        means = evidence.tables["differences_by_epoch"].set_index(["arm", "baseline", "epoch"])["difference"]
        early, late = (
            f" (difference {format_points(means[row['arm'], row['baseline'], row[moment]], signed=True)})"
            for moment in ("half", "last")
        )
    return f"“{row['at_half']}”{early}. After the whole training it is “{row['at_last']}”{late}"


def _is_scheduled(study: StudySpec) -> bool:
    """Whether an arm has a schedule that depends on the number of epochs. A warm-up is no such schedule."""
    return any(value != "constant" for value in list_recipe_values(study, "schedule"))


def _name(row: Mapping[str, Any], evidence: Evidence) -> str:
    return evidence.names.name_contrast(row["arm"], row["baseline"])


def _tell_change(before: float, after: float) -> str:
    """Say how a difference changed: `grew by 0.60 points`, or `turned from +0.30 to −0.40 points`."""
    if before * after < 0:
        return f"turned from {format_points(before, signed=True)} to {format_points(after, signed=True)}"
    change = abs(after) - abs(before)
    return f"{'grew' if change > 0 else 'shrank'} by {format_points(abs(change))}"


def _join(told: Sequence[str]) -> str:
    return "; ".join(keep_first(told, MOST_NAMED))
