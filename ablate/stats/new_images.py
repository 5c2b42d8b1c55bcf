"""Compute for each comparison an interval and a verdict that hold for new test images.

The intervals and verdicts of the `comparisons` table hold only for the test images that the study used.
"""

from typing import Any

import numpy as np
import pandas as pd

from ablate.formatting import list_rows
from ablate.records.tables import make_frame
from ablate.stats.comparisons import Judgement
from ablate.stats.family import FamilyTest, correct
from ablate.stats.image_variance import NewImages
from ablate.stats.look_tests import Result
from ablate.stats.pair_tests import choose_verdict
from ablate.stats.power import PAIRS_FOR_A_VERDICT
from ablate.stats.verdicts import Verdict
from ablate.study.effort import Decision

ROUNDING = 1e-6
"""Two mean differences that differ by less than this are taken to come from the same runs."""


def tabulate_new_images(judgement: Judgement, agreement: pd.DataFrame, decision: Decision) -> pd.DataFrame:
    """Make the `new_images` table: a row for each comparison whose predictions were kept for enough seeds.

    The verdict follows the rule of the `comparisons` table, with the intervals and p-values for new images.
    A row has no verdict if its predictions come from other runs than the verdict of the comparison.
    """
    found = {(row["arm"], row["baseline"]): row for row in list_rows(agreement)}
    measured: dict[int, NewImages] = {}
    for i, result in enumerate(judgement.latest):
        row = found.get((result.contrast.name, result.contrast.reference))
        if row and row["agreement_seeds"] >= PAIRS_FOR_A_VERDICT and row["new_images_degrees"] is not None:
            new = _read(row)
            if new.seeds != result.row["pairs"] or _is_same(new, result):
                measured[i] = new
    these, new_images = (_correct(judgement.latest, new, decision) for new in ({}, measured))
    rows = []
    for i, new in measured.items():
        result = judgement.latest[i]
        reach = new.compute_reach(1 - decision.alpha * result.look.share)
        row = {
            "arm": result.contrast.name,
            "baseline": result.contrast.reference,
            "agreement_seeds": new.seeds,
            "difference": new.difference,
            "new_images_ci_low": new.difference - reach,
            "new_images_ci_high": new.difference + reach,
        }
        # If a study has several looks (interim analyses), the correction here is simpler than the study's own
        # correction. So a row gets a verdict only if both corrections give the same verdict on the study's
        # test images. If some runs did not train, the two verdicts are never the same.
        if _is_same(new, result) and _judge(result, None, these[i], decision) == result.verdict:
            row["new_images_p_holm"] = new_images[i]
            row["new_images_verdict"] = _judge(result, new, new_images[i], decision)
        rows.append(row)
    return make_frame("new_images", rows)


def _read(row: dict[str, Any]) -> NewImages:
    return NewImages(
        difference=row["difference"],
        seeds=row["agreement_seeds"],
        seeds_standard_error=row["seeds_standard_error"],
        standard_error=row["new_images_standard_error"],
        degrees=row["new_images_degrees"],
    )


def _is_same(new: NewImages, result: Result) -> bool:
    """Return whether the comparison compares accuracies, and comes from the same runs as the predictions."""
    return new.seeds == result.row["pairs"] and bool(
        np.isclose(new.difference, result.row["difference"], rtol=0, atol=ROUNDING)
    )


def _correct(results: list[Result], measured: dict[int, NewImages], decision: Decision) -> list[float | None]:
    """Correct the p-values of all differences. The correction also counts the tests of how often arms train.

    For a comparison in `measured`, the p-value for new images is used. For any other comparison, the p-value
    for the study's own images is used. Each p-value is divided by the share of alpha that its look spends.
    After this division, all p-values can be compared with alpha.
    """
    differences, training = [], []
    for i, result in enumerate(results):
        own = 1.0 if result.row["p_value"] is None else result.row["p_value"]
        p_value = measured[i].compute_p_value() if i in measured else own
        differences.append(FamilyTest(p_value=min(1.0, p_value / result.look.share)))
        test = result.training
        p_training, least = (test.p_value, test.least_p_value) if test else (1.0, 1.0)
        share = result.look.share
        training.append(
            FamilyTest(p_value=min(1.0, p_training / share), least_p_value=min(1.0, least / share))
        )
    return correct([*differences, *training], decision.alpha)[: len(results)]


def _judge(result: Result, new: NewImages | None, p_holm: float | None, decision: Decision) -> Verdict:
    """Choose the verdict by the study's rule.

    The verdict holds for new images. If `new` is None, the verdict holds for the study's own test images.
    """
    row = {**result.row, "p_holm": p_holm}
    if new is not None:
        alpha = decision.alpha * result.look.share
        for name, confidence in (
            ("family_ci", 1 - alpha / result.family),
            ("equivalence_ci", 1 - 2 * alpha / result.family),
        ):
            reach = new.compute_reach(confidence)
            row |= {f"{name}_low": new.difference - reach, f"{name}_high": new.difference + reach}
    return choose_verdict(row, decision)
