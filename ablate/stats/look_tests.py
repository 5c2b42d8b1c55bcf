"""Test all contrasts at one look, and correct the p-values for the number of tests.

A contrast is a comparison of arms (variants of the network). A look is an interim analysis after some seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ablate.stats.contrasts import Contrast
from ablate.stats.family import FamilyTest, correct, select_family
from ablate.stats.looks import Look
from ablate.stats.pair_tests import choose_verdict
from ablate.stats.rule import Rule
from ablate.stats.samples import Sample
from ablate.stats.stability import TrainingTest
from ablate.stats.stopping import Step
from ablate.stats.verdicts import Verdict


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one contrast at one look."""

    contrast: Contrast
    look: Look
    broken: Verdict | None
    """The verdict if some runs did not train, else None.

    If some runs did not train, `values` and `row` cover only the seeds in which all arms of the contrast
    trained.
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
    """The corrected p-value of the test `training`. None if this test needs more seeds to be significant."""
    step: Step = Step.GO_ON

    @property
    def verdict(self) -> Verdict:
        return self.broken or self.row["verdict"]


def judge_samples(
    samples: Mapping[int, Sample], earlier: Sequence[Result | None], rule: Rule, look: Look
) -> dict[int, Result]:
    """Test the contrasts that still need seeds, and correct their p-values for all tests of the study.

    Args:
        samples: maps the index of each contrast that still needs seeds to its sample.
        earlier: the latest result of each contrast from an earlier look. None if there is no such result.
        rule: the margin, and the significance level alpha.
        look: the look (interim analysis) at which the contrasts are tested.
    """
    level, every = rule.alpha * look.share, range(len(earlier))
    training = [
        _make_training_test(samples[i].training if i in samples else None, earlier[i], rule) for i in every
    ]
    # The correction counts every declared contrast. A contrast also has a training test: how often do its
    # arms train? The correction counts this test only if the smallest p-value that it can give is low enough.
    family = sum(select_family([*[FamilyTest(p_value=1.0)] * len(earlier), *training], level))
    measured = {
        i: Result(
            contrast=sample.contrast,
            look=look,
            broken=sample.broken,
            values=sample.pair_values,
            row=sample.found.measure(rule, family, look.share),
            family=family,
            training=sample.training,
        )
        for i, sample in samples.items()
    }
    differences = [_make_difference_test(measured.get(i), earlier[i], rule) for i in every]
    corrected = correct([*differences, *training], level)
    results = {}
    for i, result in measured.items():
        before, test = earlier[i], result.training
        p_holm = _correct_by_look(
            corrected[i],
            result.row["p_value"],
            before.row["p_holm"] if before else None,
            family,
            rule,
            look,
        )
        p_training = _correct_by_look(
            corrected[len(earlier) + i],
            test.p_value if test else None,
            before.p_training if before else None,
            family,
            rule,
            look,
        )
        row = {**result.row, "p_holm": None if result.row["p_value"] is None else p_holm}
        row["verdict"] = choose_verdict(row, rule)
        results[i] = replace(result, row=row, p_training=p_training)
    return results


def _make_difference_test(now: Result | None, before: Result | None, rule: Rule) -> FamilyTest:
    """Make the entry that a contrast's difference has in the correction for several tests.

    If the contrast could not be tested, the entry has p = 1. If the difference was significant at an earlier
    look, the entry has p = 0. A contrast with p = 0 does not raise the corrected p-values of other contrasts
    (closed testing).
    """
    if before and (p := before.row["p_holm"]) is not None and p < rule.alpha:
        return FamilyTest(p_value=0.0)
    p_value = now.row["p_value"] if now else None
    return FamilyTest(p_value=1.0 if p_value is None else p_value)


def _make_training_test(now: TrainingTest | None, before: Result | None, rule: Rule) -> FamilyTest:
    """Make the entry for the test of how often a contrast's arms train. See `_make_difference_test`."""
    if before and before.p_training is not None and before.p_training < rule.alpha:
        return FamilyTest(p_value=0.0)
    if now is None:
        return FamilyTest(p_value=1.0, least_p_value=1.0)
    return FamilyTest(p_value=now.p_value, least_p_value=now.least_p_value)


def _correct_by_look(
    corrected: float | None,
    p_value: float | None,
    before: float | None,
    family: int,
    rule: Rule,
    look: Look,
) -> float | None:
    """Divide a corrected p-value by the share of alpha that its look spends, so that alpha is its limit.

    A test that was significant at an earlier look stays significant: the function returns the smaller one of
    the two looks' corrected p-values. Holm's correction uses p = 0 for such a test. The p-value that the test
    has at this look is therefore corrected by Bonferroni's method.
    """
    if before is not None and before < rule.alpha:
        return before if p_value is None else min(before, p_value * family / look.share)
    return None if corrected is None else min(1.0, corrected / look.share)
