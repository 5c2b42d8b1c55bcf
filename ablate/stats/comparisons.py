"""Judge comparisons: each contrast's mean over seeds, its intervals, its test and its verdict at each look.

A contrast is a comparison of arms (variants of the network). A look is an interim analysis after some seeds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from ablate.stats.contrasts import Contrast
from ablate.stats.look_tests import Result, judge_samples
from ablate.stats.looks import Look
from ablate.stats.outcomes import Outcomes, read_outcomes
from ablate.stats.samples import PairSample, Sample
from ablate.stats.stability import count_trained
from ablate.stats.stopping import FUTILE, Step, compute_predictive_probability
from ablate.stats.verdicts import Verdict
from ablate.study.effort import Decision
from ablate.study.seed_looks import MAX_SEEDS

ALL_SEEDS = (Look(seeds=MAX_SEEDS, share=1.0),)
"""The only look of a study with a fixed number of seeds. This look comes after all seeds."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The results of all contrasts at all looks (interim analyses) so far."""

    history: list[Result] = field(default_factory=list)
    """The result of each contrast at each look, the first look first."""
    wanted_seeds: dict[str, int]
    """How many seeds each arm needs, according to the results so far."""

    @property
    def latest(self) -> list[Result]:
        """The result of each contrast at its latest look, in the study's order."""
        return list({(r.contrast.name, r.contrast.reference): r for r in self.history}.values())


def judge(
    runs: pd.DataFrame,
    contrasts: Sequence[Contrast],
    decision: Decision,
    *,
    ceiling: float,
    looks: Sequence[Look] = ALL_SEEDS,
    values: pd.Series | None = None,
) -> Judgement:
    """Judge the contrasts at each look (interim analysis) for which enough runs exist.

    A contrast that needs no more seeds is not judged at later looks. The result does not depend on the order
    in which the runs were trained.

    Args:
        runs: the `runs` table. Only runs of the phase confirm are used.
        contrasts: all contrasts that the study declares.
        decision: the margin, and the significance level alpha.
        ceiling: the highest accuracy that guessing can reach.
        looks: all looks that the study plans.
        values: each run's value of the metric that decides the verdicts, by `(arm, seed)`. If None, the test
            accuracies decide.
    """
    history: list[Result] = []
    closed: dict[int, Result] = {}
    wanted = dict.fromkeys((arm for contrast in contrasts for arm in contrast.weights), looks[0].seeds)
    for look in looks:
        outcomes = read_outcomes(runs, ceiling=ceiling, seeds=look.seeds, values=values)
        open_ = [i for i in range(len(contrasts)) if i not in closed]
        waiting = {arm for i in open_ for arm in contrasts[i].weights}
        wanted |= dict.fromkeys(waiting, look.seeds)
        is_complete = all((outcomes.runs["arm"] == arm).sum() >= look.seeds for arm in waiting)
        if look is not looks[0] and not is_complete:
            break
        earlier = {i: closed.get(i) or _find_last(history, contrasts[i]) for i in range(len(contrasts))}
        results = _judge_look(outcomes, contrasts, open_, earlier, decision, look)
        for i, result in results.items():
            if is_complete:
                result = replace(result, step=_choose_step(result, decision, looks))
            history.append(result)
            if result.step != Step.GO_ON:
                closed[i] = result
        if not is_complete or len(closed) == len(contrasts):
            break
    return Judgement(history=history, wanted_seeds=wanted)


def _judge_look(
    outcomes: Outcomes,
    contrasts: Sequence[Contrast],
    open_: Iterable[int],
    earlier: Mapping[int, Result | None],
    decision: Decision,
    look: Look,
) -> dict[int, Result]:
    """Judge the contrasts that still need seeds, at one look.

    `open_` has the indices of these contrasts. `earlier` maps the index of each contrast to its latest result
    from an earlier look.
    """
    samples = {}
    for i in open_:
        broken = outcomes.find_untrained(contrasts[i].weights)
        values = outcomes.compute_contrast(contrasts[i], only_trained=broken is not None)
        samples[i] = Sample(
            contrast=contrasts[i],
            found=PairSample(values=values),
            broken=broken,
            training=count_trained(outcomes, contrasts[i]),
        )
    return judge_samples(samples, [earlier[i] for i in range(len(contrasts))], decision, look)


def _choose_step(result: Result, decision: Decision, looks: Sequence[Look]) -> Step:
    """Decide whether the contrast needs more seeds. If it needs no more, the step says why."""
    row, last = result.row, looks[-1]
    if result.look is last:
        return Step.LAST_LOOK
    if result.broken is not None:
        test = result.training
        never = test is not None and test.arm_trained == test.baseline_trained == 0
        shown = result.p_training is not None and result.p_training < decision.alpha
        return Step.DECIDED if never or shown else Step.GO_ON
    if row["verdict"] in (Verdict.MATTERS, Verdict.EQUIVALENT):
        return Step.DECIDED
    if row["p_value"] is None:
        # If the arms have equal results in every seed, they are taken to be the same, and more seeds would
        # change nothing. If the difference is not zero but the same in every seed, this is a coincidence.
        return Step.DECIDED if row["difference"] == 0 else Step.GO_ON
    further = last.seeds - result.look.seeds
    chance = compute_predictive_probability(
        np.array(row["difference"]),
        np.array(row["spread"]),
        row["pairs"],
        row["pairs"] + further,
        decision,
        decision.alpha * last.share / result.family,
    )
    return Step.FUTILE if chance < FUTILE else Step.GO_ON


def _find_last(history: Sequence[Result], contrast: Contrast) -> Result | None:
    return next((result for result in reversed(history) if result.contrast is contrast), None)
