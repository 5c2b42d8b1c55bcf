"""The verdict for new images follows the study's own rule: the same corrections and the same intervals."""

import numpy as np
import pandas as pd
import pytest

from ablate.formatting import list_rows
from ablate.records.tables import make_frame
from ablate.stats.agreement import tabulate_agreement
from ablate.stats.comparisons import ALL_SEEDS, Judgement, judge
from ablate.stats.contrasts import make_contrasts
from ablate.stats.image_variance import NewImages
from ablate.stats.looks import Look
from ablate.stats.new_images import tabulate_new_images
from ablate.study.effort import Decision

IMAGES, DECISION = 400, Decision()
CONTRASTS = make_contrasts([("a", "baseline"), ("b", "baseline")])


def measure(seeds: int, looks: tuple[Look, ...] = ALL_SEEDS) -> tuple[Judgement, pd.DataFrame]:
    """The judgement and the agreement of two arms that are right on about 18 and 9 more images of 400."""
    right: dict[str, dict[int, np.ndarray]] = {"baseline": {}, "a": {}, "b": {}}
    for arm, more in (("baseline", 0), ("a", 18), ("b", 9)):
        for seed in range(seeds):
            right[arm][seed] = np.arange(IMAGES) < 300 + more + (more > 0) * (1, 0, 2, 3, 1)[seed % 5]
    runs = make_frame(
        "runs",
        (
            {"phase": "confirm", "arm": arm, "setting": "recipe", "seed": seed, "status": "complete", "test_accuracy": found.mean()}
            for arm, by_seed in right.items()
            for seed, found in by_seed.items()
        ),
    )  # fmt: skip
    judgement = judge(runs, CONTRASTS, DECISION, ceiling=0.2, looks=looks)
    return judgement, tabulate_agreement(right, CONTRASTS)


def summarise(row: dict) -> NewImages:
    return NewImages(
        difference=row["difference"],
        seeds=row["agreement_seeds"],
        seeds_standard_error=row["seeds_standard_error"],
        standard_error=row["new_images_standard_error"],
        degrees=row["new_images_degrees"],
    )


def test_p_values_are_corrected_for_all_comparisons() -> None:
    judgement, agreement = measure(5)
    a, b = list_rows(tabulate_new_images(judgement, agreement, DECISION))
    p_a, p_b = (summarise(row).compute_p_value() for row in list_rows(agreement))
    assert p_a < p_b
    assert a["new_images_p_holm"] == pytest.approx(2 * p_a)
    assert b["new_images_p_holm"] == pytest.approx(max(p_b, 2 * p_a))


def test_the_margin_is_judged_with_the_interval_for_all_comparisons() -> None:
    judgement, agreement = measure(5)
    assert [result.verdict for result in judgement.latest] == ["matters", "matters"]
    a, b = list_rows(tabulate_new_images(judgement, agreement, DECISION))
    new = summarise(list_rows(agreement)[1])
    # Only alone would the second arm's interval lie beyond the margin of one point.
    assert (
        new.difference - new.compute_reach(0.95) > DECISION.margin > new.difference - new.compute_reach(0.975)
    )
    assert [a["new_images_verdict"], b["new_images_verdict"]] == ["matters", "detectable, size unclear"]


def test_with_several_looks_the_interval_has_the_share_of_the_last_look() -> None:
    looks = (Look(seeds=5, share=0.2), Look(seeds=10, share=0.8))
    judgement, agreement = measure(5, looks)
    rows = list_rows(tabulate_new_images(judgement, agreement, DECISION))
    new = summarise(list_rows(agreement)[0])
    assert rows[0]["new_images_ci_low"] == pytest.approx(new.difference - new.compute_reach(1 - 0.05 * 0.2))
    assert rows[0]["new_images_p_holm"] == pytest.approx(2 * new.compute_p_value() / 0.2)
