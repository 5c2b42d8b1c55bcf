"""Compare two report folders: find the arms that changed in accuracy or throughput."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ablate.formatting import format_margin, list_rows
from ablate.report.evidence import Evidence
from ablate.stats import comparison_tables, comparisons, contrasts
from ablate.stats.comparisons import Judgement
from ablate.stats.decision_values import DEFAULT, read_decision_values
from ablate.stats.intervals import Interval
from ablate.stats.throughput import measure_ratio_change
from ablate.stats.verdicts import NO_SPREAD, UNTRAINED, Verdict
from ablate.study.effort import Decision
from ablate.study.study_file import list_changes

THROUGHPUT_MARGIN = 0.05
"""An arm counts as slower if its throughput ratio to the baseline fell by more than this share.

The whole confidence interval of the change must lie below this limit.
"""
HARDWARE = ("device", "device_name", "cores", "timing_threads")
CONDITIONS = ("design", "dataset", "model", "baseline", "recipe", "tuning", "validation", "seeds")
BEFORE = " before"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One arm in the second folder compared with the same arm in the first."""

    arm: str
    verdict: str
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    throughput_ratio: float | None
    """The arm's throughput ratio to the baseline in the second folder, divided by the ratio in the first.

    None if the two timings cannot be compared.
    """
    throughput_low: float | None
    throughput_high: float | None
    worse: bool
    slower: bool


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The changes of all arms that both folders have, with notes on how to read them."""

    changes: list[Change]
    notes: list[str]
    answer: str

    @property
    def regression(self) -> bool:
        """Whether any arm became less accurate or slower."""
        return any(change.worse or change.slower for change in self.changes)


def compare_folders(first: Evidence, second: Evidence) -> Comparison:
    """Find what changed from the first folder to the second. The first study's margin and alpha decide.

    Accuracies are paired by seed. Runs of one seed share the split of the data, the order of the examples and
    the starting values, unless the two studies define these differently. Holm's correction covers the arms
    that both folders have.
    """
    shared = find_shared_arms(first, second)
    judgement = judge_arms(first, second, shared, first.study.decision)
    compared = comparison_tables.tabulate_comparisons(judgement)
    same_hardware = all(
        getattr(first.provenance.machine, key) == getattr(second.provenance.machine, key) for key in HARDWARE
    )
    speeds = _compare_throughput(first, second) if same_hardware else {}
    changes = [
        _judge_change(row, arm, first, second, speeds)
        for row, arm in zip(list_rows(compared), shared, strict=True)
    ]
    return Comparison(
        changes=changes,
        notes=_list_notes(first, second, same_hardware=same_hardware),
        answer=_state_answer(changes, first, second),
    )


def find_shared_arms(first: Evidence, second: Evidence) -> list[str]:
    """Find the arms that have the same name and the same network in both folders."""
    return [arm for arm in second.arms if arm in first.arms and _have_same_network(first, second, arm)]


def judge_arms(first: Evidence, second: Evidence, arms: Sequence[str], decision: Decision) -> Judgement:
    """Judge how each arm changed from the first folder to the second. Runs are paired by seed.

    Raises:
        MissingMetricError: a folder does not have the metric of the decision.
    """
    before = first.confirmed.assign(arm=first.confirmed["arm"] + BEFORE)
    values = None
    if decision.metric != DEFAULT:
        was, now = (read_decision_values(e.tables, decision.metric) for e in (first, second))
        values = pd.concat([was.rename(lambda arm: arm + BEFORE, level="arm"), now])
    return comparisons.judge(
        pd.concat([before, second.confirmed]),
        contrasts.make_contrasts((arm, arm + BEFORE) for arm in arms),
        decision,
        ceiling=first.ceiling,
        values=values,
    )


def _judge_change(
    row: dict[str, Any], arm: str, first: Evidence, second: Evidence, speeds: dict[str, Interval]
) -> Change:
    margin = first.study.decision.margin
    fell = row["difference"] is not None and row["difference"] < 0
    if row["verdict"] in NO_SPREAD:  # every seed changed equally, so no test is needed
        worse = row["difference"] <= -margin
    elif row["verdict"] in (*UNTRAINED, Verdict.NO_VERDICT):
        worse = _trains_less(first, second, arm)
    else:
        worse = fell and row["verdict"] in (Verdict.MATTERS, Verdict.SIZE_UNCLEAR)
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
    """Whether an arm trains in fewer of the shared seeds, or its accuracy fell by more than the margin.

    The fall in accuracy is the median over the seeds that trained in both folders.
    """
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


def _have_same_network(first: Evidence, second: Evidence, arm: str) -> bool:
    """Whether an arm's network has the same model and the same keywords in both folders.

    Two folders can have different networks under the same arm's name. For example, the finalists of two
    searches have the same names.

    A keyword that only one folder has does not count, unless this folder sets it. The version of ablate that
    wrote the other folder did not have this keyword yet, and its default value changes nothing. In a user's
    own network it can change something, so there it counts.
    """
    one, other = first.provenance.networks[arm], second.provenance.networks[arm]
    if any(one[key] != other[key] for key in one.keys() & other.keys()):
        return False
    alone = [(first, key) for key in one.keys() - other.keys()]
    alone += [(second, key) for key in other.keys() - one.keys()]
    is_own = one["model"] in {*first.provenance.code, *second.provenance.code}
    return not (alone if is_own else any(_sets(evidence, arm, key) for evidence, key in alone))


def _sets(evidence: Evidence, arm: str, key: str) -> bool:
    """Whether the study of a folder sets a keyword of an arm's network, or tunes it."""
    study, networks = evidence.study, evidence.provenance.networks
    if key in study.baseline or key in study.tuning.ranges or key in study.arms.get(arm, {}):
        return True
    default = networks[evidence.arms[0]].get(key)
    return key in study.factors and networks[arm][key] != default


def _compare_throughput(first: Evidence, second: Evidence) -> dict[str, Interval]:
    """Compute for each arm the change of its throughput ratio to the baseline, with an interval.

    A machine's speed differs more from day to day than during one measurement. Throughputs that were measured
    at different times are therefore not compared. The ratio of two arms that were measured together does not
    depend on the machine's speed at that time.
    """
    found = {}
    for arm in second.arms[1:]:
        if arm in first.arms and first.arms[0] == second.arms[0]:
            timings = first.tables["timing"], second.tables["timing"]
            changed = measure_ratio_change(*timings, arm, first.arms[0]).compute_interval(
                1 - first.study.decision.alpha
            )
            if changed is not None:
                found[arm] = changed
    return found


def _list_notes(first: Evidence, second: Evidence, *, same_hardware: bool) -> list[str]:
    told = [
        f"conditions differ: {key} is {before!r} in the first folder and {after!r} in the second"
        for key, before, after in list_changes(first.study, second.study)
        if key.split(".")[0] in CONDITIONS
    ]
    if not same_hardware:
        one, other = (
            f"{e.provenance.machine.device_name}, {e.provenance.machine.timing_threads} threads"
            for e in (first, second)
        )
        told.append(f"throughput is not compared: the first folder was timed on {one}, the second on {other}")
    else:
        told.append(
            "throughput is compared as each arm's ratio to the baseline, because a machine's speed differs "
            "from one measurement to the next. The baseline's own throughput is not compared"
        )
    if _have_no_common_seed(first, second):
        told.append(
            "no run of the second folder has a seed of the first folder, so no runs can be paired. If the "
            "second study is a repetition on new seeds, compare the intervals in the two reports"
        )
    if first.provenance.machine.device != second.provenance.machine.device:
        told.append(
            "the runs were trained on different devices: runs of one seed share the data split and the "
            "starting values, but the devices round differently"
        )
    for evidence, where in ((first, "first"), (second, "second")):
        beside = second if evidence is first else first
        if missing := [arm for arm in evidence.arms if arm not in beside.arms]:
            told.append(f"only in the {where} folder: {', '.join(missing)}")
        elsewhere = [
            a for a in evidence.arms if a in beside.arms and not _have_same_network(first, second, a)
        ]
        if evidence is first and elsewhere:
            told.append(
                "not compared, because the two folders have different networks under one name: "
                f"{', '.join(elsewhere)}"
            )
        if evidence.preliminary:
            told.append(f"the study in the {where} folder is not finished")
    return told


def _state_answer(changes: list[Change], first: Evidence, second: Evidence) -> str:
    """Say in one line whether the second folder reproduces the first."""
    if not changes:
        return "the two folders share no arm"
    margin = f"±{format_margin(first.study.decision.margin)}"
    shared = [change.arm for change in changes]
    columns = ["arm", "seed", "status", "test_accuracy"]
    same = [
        e.confirmed[e.confirmed["arm"].isin(shared)][columns].reset_index(drop=True) for e in (first, second)
    ]
    slower = [change.arm for change in changes if change.slower]
    also = f"; slower relative to the baseline: {', '.join(slower)}" if slower else ""
    if same[0].equals(same[1]):
        return f"reproduced exactly: every confirmed run has the same test accuracy{also}"
    if worse := [change.arm for change in changes if change.worse]:
        return f"less accurate, or fewer runs train: {', '.join(worse)}{also}"
    if all(_is_within(change, first.study.decision.margin) for change in changes):
        return f"reproduced: the accuracy of every arm changed by less than {margin}{also}"
    moved = (Verdict.MATTERS, Verdict.SIZE_UNCLEAR, *NO_SPREAD)
    if better := [
        c.arm for c in changes if c.verdict in moved and not _is_within(c, first.study.decision.margin)
    ]:
        return f"changed, but not for the worse: {', '.join(better)}{also}"
    if _have_no_common_seed(first, second):
        return f"not compared: the two folders have no seed in common{also}"
    return f"inconclusive: these seeds show neither a change nor its absence; add seeds{also}"


def _have_no_common_seed(first: Evidence, second: Evidence) -> bool:
    return not set(first.confirmed["seed"]) & set(second.confirmed["seed"])


def _is_within(change: Change, margin: float) -> bool:
    """Whether the seeds show that an arm's accuracy changed by less than the margin."""
    alike = change.verdict in NO_SPREAD and abs(change.difference or 0.0) < margin
    return alike or change.verdict == Verdict.EQUIVALENT


def format_cells(change: Change) -> tuple[str, str, str, str]:
    """Format a change as the cells of a table: arm, verdict, difference in accuracy, throughput ratio."""
    accuracy = speed = "–"
    if change.difference is not None and change.ci_low is not None and change.ci_high is not None:
        ends = (change.difference, change.ci_low, change.ci_high)
        accuracy = "{:+.2f} ({:+.2f} to {:+.2f})".format(*(100 * end for end in ends)).replace("-", "−")
    if change.throughput_ratio is not None:
        speed = (
            f"× {change.throughput_ratio:.2f} ({change.throughput_low:.2f} to {change.throughput_high:.2f})"
        )
    return change.arm, change.verdict, accuracy, speed
