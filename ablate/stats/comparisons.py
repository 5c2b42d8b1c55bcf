"""Comparisons: each contrast's mean over seeds, its intervals, its test and its verdict, at every look."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from ablate.stats.contrasts import Contrast
from ablate.stats.family import FamilyTest, correct, select_family
from ablate.stats.looks import Look
from ablate.stats.outcomes import Outcomes, read_outcomes
from ablate.stats.pair_tests import choose_verdict, measure_pairs
from ablate.stats.stability import TrainingTest, count_trained
from ablate.stats.stopping import FUTILE, Step, compute_predictive_probability
from ablate.stats.verdicts import Verdict
from ablate.study.effort import Decision
from ablate.study.seed_looks import MAX_SEEDS

ALL_SEEDS = (Look(seeds=MAX_SEEDS, share=1.0),)
"""The only look of a study with a fixed number of seeds."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one contrast at one look."""

    contrast: Contrast
    look: Look
    broken: Verdict | None
    """The verdict if some runs did not train, else None.

    If it is not None, `values` and `row` cover only the seeds in which all arms of the contrast trained.
    """
    values: np.ndarray
    """The contrast's value for each seed, `(pairs,)`."""
    row: dict[str, Any]
    """The contrast's row of the `comparisons` table. `p_holm` is corrected for all tests of this look."""
    family: int
    """The number of tests for which the p-values of this look are corrected."""
    training: TrainingTest | None
    """How often the two arms trained. None for an interaction, and for arms without runs."""
    p_training: float | None = None
    """The corrected p-value of `training`. None if that test cannot be significant with so few seeds."""
    step: Step = Step.GO_ON

    @property
    def verdict(self) -> Verdict:
        return self.broken or self.row["verdict"]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The results of all contrasts at all looks so far."""

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
    """Judge the contrasts at each look whose runs exist. A look skips the contrasts that need no more seeds.

    The result depends only on the runs, not on the order in which they were trained.

    Args:
        runs: the `runs` table; only its confirm phase is used.
        contrasts: all contrasts that the study declares.
        decision: the margin and alpha.
        ceiling: the highest accuracy that guessing can reach.
        looks: the looks of the study.
        values: each run's value of the metric on which the verdicts rest, by `(arm, seed)`. None uses the
            test accuracies.
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
    """Test the open contrasts at one look, and correct their p-values for all tests of the study.

    `open_` has the indices of the contrasts that still need seeds. `earlier` maps the index of each contrast
    to its latest result from an earlier look.
    """
    level = decision.alpha * look.share
    counted = {i: count_trained(outcomes, contrasts[i]) for i in open_}
    training = [_make_training_test(counted.get(i), earlier[i], decision) for i in range(len(contrasts))]
    # Every declared contrast counts. A contrast's training test counts only if it can be significant.
    family = sum(select_family([*[FamilyTest(p_value=1.0)] * len(contrasts), *training], level))
    measured: dict[int, Result] = {}
    for i in open_:
        broken = outcomes.find_untrained(contrasts[i].weights)
        values = outcomes.compute_contrast(contrasts[i], only_trained=broken is not None)
        row = measure_pairs(values, decision, family, look.share)
        measured[i] = Result(
            contrast=contrasts[i],
            look=look,
            broken=broken,
            values=values,
            row=row,
            family=family,
            training=counted[i],
        )
    differences = [
        _make_difference_test(measured.get(i), earlier[i], decision) for i in range(len(contrasts))
    ]
    corrected = correct([*differences, *training], level)
    results = {}
    for i, result in measured.items():
        before, test = earlier[i], result.training
        p_holm = _correct_by_look(
            corrected[i],
            result.row["p_value"],
            before.row["p_holm"] if before else None,
            family,
            decision,
            look,
        )
        p_training = _correct_by_look(
            corrected[len(contrasts) + i],
            test.p_value if test else None,
            before.p_training if before else None,
            family,
            decision,
            look,
        )
        row = {**result.row, "p_holm": None if result.row["p_value"] is None else p_holm}
        row["verdict"] = choose_verdict(row, decision)
        results[i] = replace(result, row=row, p_training=p_training)
    return results


def _make_difference_test(now: Result | None, before: Result | None, decision: Decision) -> FamilyTest:
    """Make the entry for a contrast's difference in the family-wise correction.

    A contrast that could not be tested enters with p = 1. A difference that was significant at an earlier
    look enters with p = 0, so it does not raise the corrected p-values of other contrasts (closed testing).
    """
    if before and (p := before.row["p_holm"]) is not None and p < decision.alpha:
        return FamilyTest(p_value=0.0)
    p_value = now.row["p_value"] if now else None
    return FamilyTest(p_value=1.0 if p_value is None else p_value)


def _make_training_test(now: TrainingTest | None, before: Result | None, decision: Decision) -> FamilyTest:
    """Make the entry for how often a contrast's arms train, by the rules of `_make_difference_test`."""
    if before and before.p_training is not None and before.p_training < decision.alpha:
        return FamilyTest(p_value=0.0)
    if now is None:
        return FamilyTest(p_value=1.0, least_p_value=1.0)
    return FamilyTest(p_value=now.p_value, least_p_value=now.least_p_value)


def _correct_by_look(
    corrected: float | None,
    p_value: float | None,
    before: float | None,
    family: int,
    decision: Decision,
    look: Look,
) -> float | None:
    """Divide a look's corrected p-value by the look's share, so that it can be compared with alpha.

    A test that was significant at an earlier look stays significant: its corrected p-value is the smaller one
    of the two looks. Such a test enters the family-wise correction with p = 0. Its p-value at this look is
    therefore corrected by Bonferroni's method.
    """
    if before is not None and before < decision.alpha:
        return before if p_value is None else min(before, p_value * family / look.share)
    return None if corrected is None else min(1.0, corrected / look.share)


def _choose_step(result: Result, decision: Decision, looks: Sequence[Look]) -> Step:
    """Choose whether the contrast needs more seeds."""
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
        # Arms with equal results in every seed are taken to be the same. A difference that is the same in
        # every seed but not zero is a coincidence.
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
