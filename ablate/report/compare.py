"""Two report folders side by side: which arms changed in accuracy or throughput, by the same statistics."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from ablate.formatting import points, rows
from ablate.report.evidence import Evidence
from ablate.stats import comparisons, contrasts
from ablate.stats.intervals import Interval
from ablate.stats.throughput import ratio_change
from ablate.study.study_file import differences

THROUGHPUT_MARGIN = 0.05
"""An arm counts as slower if its ratio to the baseline fell by more than this, with confidence."""
HARDWARE = ("device", "device_name", "cores", "timing_threads")
CONDITIONS = ("design", "dataset", "model", "baseline", "recipe", "tuning", "validation", "seeds")
BEFORE = " before"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One arm in the second folder against the same arm in the first."""

    arm: str
    verdict: str
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    throughput_ratio: float | None
    """The second's ratio to its baseline over the first's; None where timings are not comparable."""
    throughput_low: float | None
    throughput_high: float | None
    worse: bool
    slower: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All arms that both folders have, and what must be known to read them."""

    changes: list[Change]
    notes: list[str]
    answer: str

    @property
    def regression(self) -> bool:
        """Whether any arm became less accurate or slower."""
        return any(change.worse or change.slower for change in self.changes)


def compare(first: Evidence, second: Evidence) -> Comparison:
    """What changed from the first folder to the second, by the first's margin and alpha.

    Accuracies are paired by seed: equal seeds mean equal split, order and starting values wherever the two
    studies share them. Holm's correction is over the arms that both have.
    """
    shared = [
        arm for arm in second.arms if arm in first.arms and _network(first, arm) == _network(second, arm)
    ]
    decision = first.study.decision
    before = first.confirmed.assign(arm=first.confirmed["arm"] + BEFORE)
    compared = comparisons.compare(
        pd.concat([before, second.confirmed]),
        contrasts.differences((arm, arm + BEFORE) for arm in shared),
        decision,
        ceiling=first.ceiling,
    )
    same_hardware = all(
        getattr(first.provenance.machine, key) == getattr(second.provenance.machine, key) for key in HARDWARE
    )
    speeds = _speeds(first, second) if same_hardware else {}
    changes = [
        _change(row, arm, first, second, speeds) for row, arm in zip(rows(compared), shared, strict=True)
    ]
    return Comparison(
        changes=changes,
        notes=_notes(first, second, same_hardware=same_hardware),
        answer=_answer(changes, first, second),
    )


def _change(
    row: dict[str, Any], arm: str, first: Evidence, second: Evidence, speeds: dict[str, Interval]
) -> Change:
    margin = first.study.decision.margin
    fell = row["difference"] is not None and row["difference"] < 0
    if row["verdict"] == comparisons.CANNOT_TELL_APART:  # every seed moved alike: no test, and none needed
        worse = row["difference"] <= -margin
    elif row["verdict"] in (comparisons.UNSTABLE, comparisons.NOT_TRAINED, comparisons.NO_VERDICT):
        worse = _trains_less(first, second, arm)
    else:
        worse = fell and row["verdict"] in (comparisons.MATTERS, comparisons.SIZE_UNCLEAR)
    speed = speeds.get(arm)
    return Change(
        arm=arm,
        verdict=row["verdict"],
        difference=row["difference"],
        ci_low=row["ci_low"],
        ci_high=row["ci_high"],
        throughput_ratio=speed.mean if speed else None,
        throughput_low=speed.low if speed else None,
        throughput_high=speed.high if speed else None,
        worse=worse,
        slower=speed is not None and speed.high < 1 - THROUGHPUT_MARGIN,
    )


def _trains_less(first: Evidence, second: Evidence, arm: str) -> bool:
    """Whether fewer of the shared seeds trained in the second, or those that did fell by the margin."""
    was, now = (
        evidence.confirmed[evidence.confirmed["arm"] == arm].set_index("seed") for evidence in (first, second)
    )
    seeds = was.index.intersection(now.index)
    accuracies = [
        runs.loc[seeds, "test_accuracy"]
        .astype(float)
        .where(runs.loc[seeds, "test_accuracy"] > evidence.ceiling)
        for runs, evidence in ((was, first), (now, second))
    ]
    trained = [int(accuracy.notna().sum()) for accuracy in accuracies]
    gap = (accuracies[1] - accuracies[0]).median()
    return trained[1] < trained[0] or bool(gap < -first.study.decision.margin)


def _network(evidence: Evidence, arm: str) -> Any:
    """What the arm is, whatever it is called: a search's finalists, above all, share names alone."""
    return evidence.provenance.networks[arm]


def _speeds(first: Evidence, second: Evidence) -> dict[str, Interval]:
    """By arm, how its ratio to the baseline changed.

    The ratio, not the speed: the machine's own pace differs between two sessions by more than the blocks
    of one session show, and a ratio taken within each session does not feel it.
    """
    found = {}
    for arm in second.arms[1:]:
        if arm in first.arms and first.arms[0] == second.arms[0]:
            changed = ratio_change(
                first.tables["timing"],
                second.tables["timing"],
                arm,
                first.arms[0],
                1 - first.study.decision.alpha,
            )
            if changed is not None:
                found[arm] = changed
    return found


def _notes(first: Evidence, second: Evidence, *, same_hardware: bool) -> list[str]:
    told = [
        f"conditions differ: {key} {before!r} there, {after!r} here"
        for key, before, after in differences(first.study, second.study)
        if key.split(".")[0] in CONDITIONS
    ]
    if not same_hardware:
        one, other = (
            f"{e.provenance.machine.device_name}, {e.provenance.machine.timing_threads} threads"
            for e in (first, second)
        )
        told.append(f"throughput is not compared: measured on {one} there, on {other} here")
    else:
        told.append(
            "throughput is compared as each arm's ratio to the baseline, for two sessions differ in pace; "
            "the baseline's own speed is not tested"
        )
    if first.provenance.machine.device != second.provenance.machine.device:
        told.append(
            "the runs were made on different devices: equal seeds then share split and start, not rounding"
        )
    for evidence, where in ((first, "there"), (second, "here")):
        beside = second if evidence is first else first
        if missing := [arm for arm in evidence.arms if arm not in beside.arms]:
            told.append(f"only {where}: {', '.join(missing)}")
        elsewhere = [
            a for a in evidence.arms if a in beside.arms and _network(first, a) != _network(second, a)
        ]
        if evidence is first and elsewhere:
            told.append(f"another network of the same name, not compared: {', '.join(elsewhere)}")
        if evidence.preliminary:
            told.append(f"the study {where} is not finished")
    return told


def _answer(changes: list[Change], first: Evidence, second: Evidence) -> str:
    """Whether the second reproduces the first, in one line."""
    if not changes:
        return "the two folders share no arm"
    margin = f"±{points(first.study.decision.margin)}"
    shared = [change.arm for change in changes]
    columns = ["arm", "seed", "status", "test_accuracy"]
    same = [
        e.confirmed[e.confirmed["arm"].isin(shared)][columns].reset_index(drop=True) for e in (first, second)
    ]
    slower = [change.arm for change in changes if change.slower]
    also = f"; slower beside the baseline: {', '.join(slower)}" if slower else ""
    if same[0].equals(same[1]):
        return f"reproduced exactly: every confirmed run has the same test accuracy{also}"
    if worse := [change.arm for change in changes if change.worse]:
        return f"less accurate than before, or training less often: {', '.join(worse)}{also}"
    if all(_within(change, first.study.decision.margin) for change in changes):
        return f"reproduced: every arm's accuracy lies within {margin}{also}"
    moved = (comparisons.MATTERS, comparisons.SIZE_UNCLEAR, comparisons.CANNOT_TELL_APART)
    if better := [
        c.arm for c in changes if c.verdict in moved and not _within(c, first.study.decision.margin)
    ]:
        return f"changed, not for the worse: {', '.join(better)}{also}"
    return f"neither shown to be reproduced nor to differ: more seeds would tell{also}"


def _within(change: Change, margin: float) -> bool:
    """Whether an arm's accuracy is shown to have moved by less than the margin."""
    alike = change.verdict == comparisons.CANNOT_TELL_APART and abs(change.difference or 0.0) < margin
    return alike or change.verdict == comparisons.EQUIVALENT


def cells(change: Change) -> tuple[str, str, str, str]:
    """Arm, verdict, accuracy and throughput of a change, as a table has them."""
    accuracy = speed = "–"
    if change.difference is not None and change.ci_low is not None and change.ci_high is not None:
        ends = (change.difference, change.ci_low, change.ci_high)
        accuracy = "{:+.2f} ({:+.2f} to {:+.2f})".format(*(100 * end for end in ends)).replace("-", "−")
    if change.throughput_ratio is not None:
        speed = (
            f"× {change.throughput_ratio:.2f} ({change.throughput_low:.2f} to {change.throughput_high:.2f})"
        )
    return change.arm, change.verdict, accuracy, speed


def _hardware(evidence: Evidence) -> list[object]:
    """What must be equal for throughput to be comparable."""
    return [getattr(evidence.provenance.machine, name) for name in HARDWARE]
