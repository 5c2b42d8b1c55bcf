"""Draw the candidates of a search, decide when their runs stop, and choose the finalists.

A candidate is an arm (variant of the network) with values for its tuned parameters. The finalists are the
candidates that train again on fresh seeds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ablate.design.arms import (
    BASELINE,
    assemble,
    collect_settings,
    list_values,
    make_arm,
    make_grid,
    name_arm,
    select_changes,
)
from ablate.design.runs import Arm, Run, Setting
from ablate.errors import StudyError
from ablate.records.run_records import Phase, RunRecord, Status
from ablate.stats.pareto import mark_front
from ablate.study.spec import Range, StudySpec, Value, format_value
from ablate.timing.costs import count_arm_flops
from ablate.tuning.trials import FIRST_TUNING_SEEDS

CURVES_FOR_A_MEDIAN = 4
"""A run is stopped at an epoch only if the median at this epoch comes from at least this many curves."""
WARM_UP_SHARE = 1 / 3
"""No run is stopped before this share of its epochs, because some networks stay near chance at first.

For example, this is true for networks with sigmoid activations.
"""
MIN_TIMES_CHANCE = 2.0
"""A finalist must be more than this many times as accurate as guessing.

Without this limit, the cheapest candidate would always be a finalist, even if it had learned nothing.
"""
SIGNIFICANT_DIGITS = 4


class Draw(Protocol):
    """A source of the values of one candidate. In a search, the source is an Optuna trial."""

    def choice(self, name: str, labels: Sequence[str]) -> int:
        """Choose one of the labels for the factor `name`. Return the label's position."""

    def number(self, name: str, span: Range) -> float:
        """Choose a number in the range for the tuned parameter `name`."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An arm and a setting of its tuned parameters, with the FLOPs of the arm's network.

    A search tries each candidate once.
    """

    arm: Arm
    setting: Setting
    flops_per_example: int
    proposal: Any = field(default=None, compare=False)
    """The candidate's parameters and their distributions in Optuna.

    None for the baseline, which Optuna did not propose.
    """


@dataclass(frozen=True, kw_only=True)
class TriedCandidate:
    """A candidate, the record of its run, and the number of its generation."""

    candidate: Candidate
    record: RunRecord
    generation: int


def make_baseline(study: StudySpec) -> Candidate:
    """Make the first candidate of a search: the baseline without tuning, with the values of the recipe."""
    arm = make_arm(study, BASELINE, {}, BASELINE)
    setting = dict(make_grid(study, arm).own or {}) if study.tuning.active else {}
    return Candidate(arm=arm, setting=setting, flops_per_example=count_arm_flops(arm, study.dataset.facts))


def draw_candidate(study: StudySpec, draw: Draw) -> Candidate | None:
    """Draw a candidate's factor values and tuned parameters, in the order of the study file.

    A value of a factor can have a condition on the values of earlier factors. If the values drawn so far do
    not meet the condition, the value is not among the choices.

    Returns:
        The candidate. None if the candidate's network cannot be built.
    """
    base = assemble(study, BASELINE, {}, BASELINE)
    chosen: dict[str, Value] = {}
    for name in study.factors:
        values = list_values(study, name, {**collect_settings(base), **chosen})
        chosen[name] = values[draw.choice(name, [format_value(value) for value in values])]
    changes = select_changes(study, chosen)
    try:
        arm = make_arm(study, name_arm(changes), changes, "factors")
    except StudyError:
        return None
    grid = make_grid(study, arm)
    setting: dict[str, float] = {}
    # If nothing is tuned, all candidates have the values of the recipe, like the baseline.
    for name, span in grid.ranges.items() if study.tuning.active else ():
        value = draw.number(name, span)
        setting[name] = round(value) if name in grid.whole else float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    return Candidate(arm=arm, setting=setting, flops_per_example=count_arm_flops(arm, study.dataset.facts))


def make_run(candidate: Candidate, finished: Sequence[TriedCandidate]) -> Run:
    """Make the candidate's run. The run stops after an epoch if its accuracy is below the epoch's floor.

    A floor is the median accuracy of runs in `finished` after the same epoch.
    """
    return Run(
        phase=Phase.SEARCH,
        arm=candidate.arm,
        setting=candidate.setting,
        seed=FIRST_TUNING_SEEDS[0],
        floor=_compute_floor(candidate, finished),
    )


def compute_least_accuracy(classes: int) -> float:
    """Compute the accuracy that a finalist must exceed.

    The result is the lower of two values: twice the accuracy of guessing, and the middle between guessing and
    100 %.
    """
    # With two classes, twice the accuracy of guessing is 100 %. No candidate could exceed this value.
    return min(MIN_TIMES_CHANCE / classes, (1 + 1 / classes) / 2)


def choose_finalists(study: StudySpec, tried: Sequence[TriedCandidate]) -> list[Candidate]:
    """Choose the finalists: candidates that are evenly spread over the Pareto front of accuracy and FLOPs.

    If an arm was tried with several settings, only the arm's best setting counts. The finalists are sorted by
    FLOPs. The finalist with the fewest FLOPs is the first one.
    """
    best: dict[str, TriedCandidate] = {}
    for one in tried:
        name, accuracy = one.candidate.arm.name, one.record.validation_accuracy
        if (
            one.record.status == Status.COMPLETE
            and accuracy is not None
            and accuracy > compute_least_accuracy(study.dataset.facts.classes)
            and (name not in best or accuracy > (best[name].record.validation_accuracy or 0.0))
        ):
            best[name] = one
    best.pop(BASELINE, None)
    arms = list(best.values())
    points = [(t.record.validation_accuracy or 0.0, -float(t.candidate.flops_per_example)) for t in arms]
    front = [t for t, stands in zip(arms, mark_front(points), strict=True) if stands]
    front.sort(key=lambda t: (t.candidate.flops_per_example, t.candidate.arm.name))
    wanted = min(study.search.finalists, len(front))
    picked = sorted({round(i) for i in np.linspace(len(front) - 1, 0, wanted)}) if wanted else []
    return [front[i].candidate for i in picked]


def name_finalists(finalists: Sequence[Candidate]) -> dict[str, Candidate]:
    """Give the finalists short names. The arms' own names would be too long for tables.

    Returns:
        A dict that maps `finalist 1`, `finalist 2` and so on to a candidate whose arm has this name.
    """
    return {
        name: replace(candidate, arm=replace(candidate.arm, name=name))
        for number, candidate in enumerate(finalists, start=1)
        for name in (f"finalist {number}",)
    }


def _compute_floor(candidate: Candidate, finished: Sequence[TriedCandidate]) -> tuple[float, ...]:
    """Compute each epoch's floor: the median validation accuracy of finished candidates.

    Only candidates with at most as many FLOPs as `candidate` count. With a median over all candidates, every
    small network would be stopped, because small networks are less accurate than large networks. But a small
    network can be the most accurate network for its number of FLOPs.

    Returns:
        The floor of each epoch, up to the first epoch that too few curves reach. Empty if no floor is above
        zero.
    """
    curves = [
        [point.validation_accuracy for point in t.record.epochs if point.validation_accuracy is not None]
        for t in finished
        if t.candidate.flops_per_example <= candidate.flops_per_example
    ]
    warm_up = math.ceil(candidate.arm.recipe.epochs * WARM_UP_SHARE)
    floor: list[float] = []
    for epoch in range(candidate.arm.recipe.epochs):
        reached = [curve[epoch] for curve in curves if len(curve) > epoch]
        if len(reached) < CURVES_FOR_A_MEDIAN:
            break
        floor.append(0.0 if epoch < warm_up else float(np.median(reached)))
    # The key of a run depends on the run's floor. A floor that stops no run must not change the key.
    return tuple(floor) if any(floor) else ()
