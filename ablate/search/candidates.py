"""A search's rules: what a candidate is, when it is stopped, and which are confirmed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ablate.design.arms import (
    BASELINE,
    arm_of,
    assembled,
    differing,
    grid_of,
    named_by,
    settings_of,
    values_of,
)
from ablate.design.runs import Arm, Run, Setting
from ablate.errors import StudyError
from ablate.records.run_records import Phase, RunRecord, Status
from ablate.stats.pareto import on_front
from ablate.study.spec import Range, StudySpec, Value, as_written
from ablate.timing.costs import arm_flops
from ablate.tuning.trials import FIRST_TUNING_SEEDS

CURVES_FOR_A_MEDIAN = 4
WARM_UP_SHARE = 1 / 3
"""Of the epochs, in which nothing is stopped: a sigmoid network stays near chance at first."""
TRAINED = 2.0
"""Times the accuracy of guessing: the cheapest candidate is on the front by its cost alone."""
SIGNIFICANT_DIGITS = 4


class Draw(Protocol):
    """Chooses one of several values or a number in a range; Optuna's trial in a search."""

    def choice(self, name: str, labels: Sequence[str]) -> int:
        """Position of the chosen label."""

    def number(self, name: str, span: Range) -> float:
        """A number in the range."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network and recipe to try once, with what it costs."""

    arm: Arm
    setting: Setting
    flops_per_example: int
    drawn: Any = field(default=None, compare=False)
    """What the sampler wants back with the score; None for the baseline, which was not drawn."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A candidate and what came of it."""

    candidate: Candidate
    record: RunRecord
    generation: int


def baseline(study: StudySpec) -> Candidate:
    """The baseline as the recipe has it: the first of the first generation."""
    arm = arm_of(study, BASELINE, {}, BASELINE)
    setting = dict(grid_of(study, arm).own or {}) if study.tuning.active else {}
    return Candidate(arm=arm, setting=setting, flops_per_example=arm_flops(arm, study.dataset.facts))


def drawn(study: StudySpec, draw: Draw) -> Candidate | None:
    """A candidate whose every factor and nuisance is drawn, in file order; None if it cannot be built.

    A conditional value is among a factor's choices if the factors above it meet its condition.
    """
    base = assembled(study, BASELINE, {}, BASELINE)
    chosen: dict[str, Value] = {}
    for name in study.factors:
        values = values_of(study, name, {**settings_of(base), **chosen})
        chosen[name] = values[draw.choice(name, [as_written(value) for value in values])]
    changes = differing(study, chosen)
    try:
        arm = arm_of(study, named_by(changes), changes, "factors")
    except StudyError:
        return None
    grid = grid_of(study, arm)
    setting: dict[str, float] = {}
    # With nothing tuned the baseline has the recipe's own values: so must whatever is compared with it.
    for name, span in grid.ranges.items() if study.tuning.active else ():
        value = draw.number(name, span)
        setting[name] = round(value) if name in grid.whole else float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    return Candidate(arm=arm, setting=setting, flops_per_example=arm_flops(arm, study.dataset.facts))


def run_of(candidate: Candidate, finished: Sequence[Tried]) -> Run:
    """The candidate's one run, stopped where it falls below what the generations before it allow."""
    return Run(
        phase=Phase.SEARCH,
        arm=candidate.arm,
        setting=candidate.setting,
        seed=FIRST_TUNING_SEEDS[0],
        floor=_floor(candidate, finished),
    )


def finalists(study: StudySpec, tried: Sequence[Tried]) -> list[Candidate]:
    """The candidates to confirm: from end to end of the front of accuracy against FLOPs, the cheapest first.

    An arm stands for itself with the best of the settings it was tried with.
    """
    best: dict[str, Tried] = {}
    for one in tried:
        name, accuracy = one.candidate.arm.name, one.record.validation_accuracy
        if (
            one.record.status == Status.COMPLETE
            and accuracy is not None
            and accuracy > TRAINED / study.dataset.facts.classes
            and (name not in best or accuracy > (best[name].record.validation_accuracy or 0.0))
        ):
            best[name] = one
    best.pop(BASELINE, None)
    arms = list(best.values())
    points = [(t.record.validation_accuracy or 0.0, -float(t.candidate.flops_per_example)) for t in arms]
    front = [t for t, stands in zip(arms, on_front(points), strict=True) if stands]
    front.sort(key=lambda t: (t.candidate.flops_per_example, t.candidate.arm.name))
    wanted = min(study.search.finalists, len(front))
    picked = sorted({round(i) for i in np.linspace(len(front) - 1, 0, wanted)}) if wanted else []
    return [front[i].candidate for i in picked]


def named(finalists: Sequence[Candidate]) -> dict[str, Candidate]:
    """The finalists under short names, the cheapest first: their own would fill a table by themselves."""
    return {
        name: replace(candidate, arm=replace(candidate.arm, name=name))
        for number, candidate in enumerate(finalists, start=1)
        for name in (f"finalist {number}",)
    }


def _floor(candidate: Candidate, finished: Sequence[Tried]) -> tuple[float, ...]:
    """By epoch, the median validation accuracy of the finished candidates that cost no more than this one.

    Of all candidates it would stop every small network, which is never as accurate as the large ones and
    yet may be the best at its cost.
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
    return tuple(floor) if any(floor) else ()  # one that stops nothing makes no other run
