"""The table of recalls by class has each comparison's paired difference in every class."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ablate.records.tables import make_frame
from ablate.stats.recalls import tabulate_recalls_by_class

RECALLS = {
    "baseline": {0: [0.5, 0.8], 1: [0.6, 0.8], 2: [0.4, 0.8]},
    "pooling=max": {2: [0.5, 0.9], 0: [0.7, 0.9], 1: [0.7, 0.9], 7: [0.0, 0.0]},
    "unsteady": {0: [0.5, 0.8], 1: [0.0, 1.0]},
}


def make_recalls() -> pd.DataFrame:
    return make_frame(
        "recalls",
        (
            {"arm": arm, "seed": seed, "label": label, "recall": recall, "test_images": images}
            for arm, by_seed in RECALLS.items()
            for seed, recalls in by_seed.items()
            for label, images, recall in zip(("shirt", "coat"), (10, 20), recalls, strict=True)
        ),
    )


def compare(*rows: tuple[str, str, str]) -> pd.DataFrame:
    names = ("arm", "baseline", "verdict")
    return make_frame("comparisons", (dict(zip(names, row, strict=True)) for row in rows))


def test_each_class_has_its_paired_difference_and_interval() -> None:
    table = tabulate_recalls_by_class(make_recalls(), compare(("pooling=max", "baseline", "matters")), 0.9)
    shirt, coat = table.to_dict("records")
    assert (shirt["label"], shirt["test_images"], shirt["pairs"]) == ("shirt", 10, 3)
    gaps = np.array([0.2, 0.1, 0.1])
    low, high = stats.t.interval(0.9, 2, gaps.mean(), stats.sem(gaps))
    measured = [shirt[f"recall_{name}"] for name in ("difference", "ci_low", "ci_high")]
    assert measured == pytest.approx([gaps.mean(), low, high])
    assert (coat["label"], coat["test_images"]) == ("coat", 20)
    assert coat["recall_difference"] == coat["recall_ci_low"] == coat["recall_ci_high"] == 0.1


def test_interactions_and_comparisons_with_untrained_runs_have_no_rows() -> None:
    compared = compare(
        ("unsteady", "baseline", "unstable"),
        ("a=1 × b=2", "both alone", "inconclusive"),
        ("of an older version", "baseline", "inconclusive"),
    )
    assert tabulate_recalls_by_class(make_recalls(), compared, 0.95).empty


def test_one_pair_has_a_difference_but_no_interval() -> None:
    recalls = make_recalls()
    compared = compare(("pooling=max", "baseline", "no verdict"))
    (shirt, _) = tabulate_recalls_by_class(recalls[recalls["seed"] == 0], compared, 0.95).to_dict("records")
    assert shirt["recall_difference"] == 0.2
    assert pd.isna(shirt["recall_ci_low"])
    assert pd.isna(shirt["recall_ci_high"])
