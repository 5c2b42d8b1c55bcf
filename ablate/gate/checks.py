"""Check the requirements on two report folders, arm by arm."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, field

from ablate.errors import AblateError, FolderError, did_you_mean
from ablate.formatting import Unit
from ablate.gate.measuring import MetricChange, measure_changes
from ablate.gate.needs import Need, count_needed
from ablate.gate.notes import list_notes
from ablate.gate.obstacles import Obstacle, find_obstacle, find_timing_obstacle
from ablate.gate.rules import (
    Outcome,
    Reason,
    Requirement,
    decide,
    decide_parameters,
    decide_throughput,
)
from ablate.metrics import METRICS
from ablate.report.comparison import find_shared_arms
from ablate.report.evidence import Evidence
from ablate.stats.decision_values import MissingMetricError
from ablate.stats.throughput import measure_ratio_change
from ablate.study.effort import Decision


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is required of the report folder B, compared with the report folder A."""

    require: Requirement | None = None
    """One of the requirements on the metric. None means that the metric is not checked."""
    metric: str | None = None
    """The metric of `require`. None means the metric of A's study."""
    margin: float | None = None
    """The smallest difference that matters. None means A's margin, or the default margin of `metric`."""
    arms: tuple[str, ...] = ()
    """The arms that are checked. An empty tuple means all arms of A."""
    throughput: float | None = None
    """The smallest allowed ratio of throughputs, B / A. None means that the throughput is not checked."""
    parameters: float | None = None
    """The largest allowed ratio of numbers of parameters, B / A. None means that it is not checked."""
    settings_may_differ: bool = False
    """Whether the recipe, the tuning and the networks of the two studies may differ."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """The check of one requirement on one arm (one of the compared networks)."""

    requirement: Requirement
    arm: str
    outcome: Outcome
    reason: Reason
    detail: str = ""
    """A further sentence, for example about an obstacle to the comparison. It can be empty."""
    estimate: float | None = None
    """The mean difference B − A of the metric, or the ratio B / A of the throughput or the parameters."""
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    """The confidence of the interval. Each end alone has the error probability (1 − confidence) / 2."""
    p_value: float | None = None
    """The two-sided p-value of the difference after Holm's correction for all arms that are checked."""
    bound: float | None = None
    """The margin of the metric, or the bound on the ratio."""
    count: int | None = None
    """The number of paired seeds, or of timing blocks."""
    need: Need | None = None
    """How many seeds or timing blocks would settle the requirement. None if settled or not known."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """All checks of a demand, and the outcome that they have together."""

    checks: list[Check]
    metric: str
    unit: Unit
    notes: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        """The outcome of all checks together: see `combine_outcomes`."""
        return combine_outcomes({check.outcome for check in self.checks})

    @property
    def exit_code(self) -> int:
        """0 if all requirements are shown to hold, 1 if one is shown not to hold, 3 otherwise."""
        return {Outcome.HOLDS: 0, Outcome.FAILS: 1, Outcome.CANNOT_TELL: 3}[self.outcome]


def combine_outcomes(found: Set[Outcome]) -> Outcome:
    """Combine the outcomes of checks.

    If one check fails, all together fail. If all checks hold, all together hold. Otherwise, or if there are
    no checks, the outcome is `CANNOT_TELL`.
    """
    if Outcome.FAILS in found:
        return Outcome.FAILS
    return Outcome.HOLDS if found == {Outcome.HOLDS} else Outcome.CANNOT_TELL


def check_folders(first: Evidence, second: Evidence, demand: Demand) -> Gate:
    """Check every requirement of the demand on every arm that is asked for.

    Raises:
        AblateError: the demand names an unknown arm, or contradicts itself.
        FolderError: a folder does not have the metric.
    """
    decision = _choose_decision(first, demand)
    arms = _choose_arms(first, second, demand)
    shared = _find_common_arms(first, second, arms, demand)
    obstacle = find_obstacle(first, second, settings_may_differ=demand.settings_may_differ)
    checks: list[Check] = []
    if demand.require is not None:
        checks += _check_metric(first, second, arms, shared, decision, demand.require, obstacle)
    if demand.throughput is not None:
        checks += _check_throughput(first, second, arms, shared, demand.throughput, obstacle)
    if demand.parameters is not None:
        checks += _check_parameters(first, second, arms, shared, demand.parameters)
    return Gate(
        checks=checks,
        metric=decision.metric,
        unit=METRICS[decision.metric].unit,
        notes=list_notes(first, second, shared, has_throughput=demand.throughput is not None),
    )


def _choose_decision(first: Evidence, demand: Demand) -> Decision:
    """Choose metric, margin and alpha. The first study decides what the demand leaves open."""
    own = first.study.decision
    if demand.require == Requirement.REPRODUCED and demand.settings_may_differ:
        raise AblateError(
            "--require reproduced and --settings-may-differ exclude each other: "
            "a study with other settings reproduces nothing; use --require equivalent"
        )
    metric = demand.metric or own.metric
    if metric not in METRICS:
        raise AblateError(f"--metric {metric}: {did_you_mean(metric, list(METRICS))}")
    margin = demand.margin
    if margin is None:
        margin = own.margin if metric == own.metric else METRICS[metric].margin
    if not 0 < margin < 1:
        raise AblateError(f"--margin {margin:g}: choose a number above 0 and below 1")
    return Decision(metric=metric, margin=margin, alpha=own.alpha)


def _choose_arms(first: Evidence, second: Evidence, demand: Demand) -> list[str]:
    known = list(dict.fromkeys([*first.arms, *second.arms]))
    for arm in demand.arms:
        if arm not in known:
            raise AblateError(f"--arm {arm}: {did_you_mean(arm, known)}")
    return list(dict.fromkeys(demand.arms)) or first.arms


def _find_common_arms(first: Evidence, second: Evidence, arms: Sequence[str], demand: Demand) -> list[str]:
    """Find the arms of both folders. The networks of an arm must be equal, unless the settings may differ."""
    if demand.settings_may_differ:
        return [arm for arm in arms if arm in first.arms and arm in second.arms]
    return [arm for arm in arms if arm in find_shared_arms(first, second)]


def _explain_absence(arm: str, first: Evidence, second: Evidence) -> str:
    if arm not in first.arms:
        return "Only B has this arm."
    if arm not in second.arms:
        return "Only A has this arm. To leave it out, name the other arms by --arm."
    return "The two folders have different networks under this name."


def _check_metric(
    first: Evidence,
    second: Evidence,
    arms: Sequence[str],
    shared: Sequence[str],
    decision: Decision,
    requirement: Requirement,
    obstacle: Obstacle | None,
) -> Iterator[Check]:
    """Check a requirement on the metric for each arm."""
    changes: dict[str, MetricChange] = {}
    if obstacle is None:
        try:
            changes = measure_changes(first, second, shared, decision)
        except MissingMetricError as error:
            raise FolderError(f"--metric {decision.metric}: {error}") from None
    for arm in arms:
        if arm not in shared or obstacle is not None:
            hindrance = obstacle or Obstacle(Reason.NO_COMMON_ARM, _explain_absence(arm, first, second))
            yield _give_up(requirement, arm, hindrance, decision.margin)
            continue
        change = changes[arm]
        if change.obstacle is not None:
            outcome, reason = Outcome.CANNOT_TELL, change.obstacle.reason
        else:
            outcome, reason = decide(requirement, change.measured, decision.margin)
        need = None
        if outcome == Outcome.CANNOT_TELL:
            need = count_needed(requirement, reason, change, decision)
        yield Check(
            requirement=requirement,
            arm=arm,
            outcome=outcome,
            reason=reason,
            detail=change.obstacle.sentence if change.obstacle else change.told,
            estimate=change.difference,
            low=change.low,
            high=change.high,
            confidence=change.confidence,
            p_value=change.p_value,
            bound=decision.margin,
            count=change.measured.pairs,
            need=need,
        )


def _give_up(requirement: Requirement, arm: str, obstacle: Obstacle, bound: float) -> Check:
    return Check(
        requirement=requirement,
        arm=arm,
        outcome=Outcome.CANNOT_TELL,
        reason=obstacle.reason,
        detail=obstacle.sentence,
        bound=bound,
    )


def _check_throughput(
    first: Evidence,
    second: Evidence,
    arms: Sequence[str],
    shared: Sequence[str],
    bound: float,
    obstacle: Obstacle | None,
) -> Iterator[Check]:
    """Check the throughput of each arm, divided by the throughput of the baseline.

    Each end of an interval has the error probability alpha / arms.
    """
    obstacle = obstacle or find_timing_obstacle(first, second)
    baseline = first.arms[0]
    # A machine is faster on one day than on another, so the throughput of the baseline itself is not checked.
    timed = [arm for arm in arms if arm != baseline] or list(arms)
    alpha = first.study.decision.alpha / len(timed)
    for arm in timed:
        hindrance = obstacle
        if arm not in shared:
            hindrance = Obstacle(Reason.NO_COMMON_ARM, _explain_absence(arm, first, second))
        elif arm == baseline:
            hindrance = Obstacle(
                Reason.NOT_MEASURED,
                "Two folders cannot compare the baseline's own throughput, because all other throughputs are "
                "divided by it.",
            )
        if hindrance is not None:
            yield _give_up(Requirement.THROUGHPUT, arm, hindrance, bound)
            continue
        change = measure_ratio_change(first.tables["timing"], second.tables["timing"], arm, baseline)
        interval = change.compute_interval(1 - 2 * alpha)
        low, high = (interval.low, interval.high) if interval else (None, None)
        outcome, reason = decide_throughput(low, high, bound)
        blocks = change.count_blocks(bound, alpha) if outcome == Outcome.CANNOT_TELL else None
        yield Check(
            requirement=Requirement.THROUGHPUT,
            arm=arm,
            outcome=outcome,
            reason=reason,
            estimate=interval.mean if interval else None,
            low=low,
            high=high,
            confidence=1 - 2 * alpha,
            bound=bound,
            count=change.blocks,
            need=Need(max(blocks, change.blocks + 1), as_measured=True) if blocks else None,
        )


def _check_parameters(
    first: Evidence, second: Evidence, arms: Sequence[str], shared: Sequence[str], bound: float
) -> Iterator[Check]:
    for arm in arms:
        if arm not in shared:
            absent = Obstacle(Reason.NO_COMMON_ARM, _explain_absence(arm, first, second))
            yield _give_up(Requirement.PARAMETERS, arm, absent, bound)
            continue
        before, after = (evidence.provenance.arms[arm].parameters for evidence in (first, second))
        outcome, reason = decide_parameters(before, after, bound)
        yield Check(
            requirement=Requirement.PARAMETERS,
            arm=arm,
            outcome=outcome,
            reason=reason,
            detail=f"B has {after:,} parameters and A has {before:,}." if before and after else "",
            estimate=after / before if before and after else None,
            bound=bound,
        )
