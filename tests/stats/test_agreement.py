"""The table of agreement counts the images on which two arms are right, over their common seeds."""

import numpy as np
import pandas as pd

from ablate.records.tables import read_table, write_table
from ablate.stats.agreement import tabulate_agreement
from ablate.stats.contrasts import Contrast, make_contrasts


def test_a_row_has_the_mean_shares_over_the_seeds_that_both_arms_have(tmp_path) -> None:
    arm = {1: np.array([1, 1, 0, 0, 1], bool), 0: np.array([1, 1, 1, 0, 0], bool), 7: np.ones(5, bool)}
    baseline = {0: np.array([1, 0, 0, 0, 1], bool), 1: np.array([1, 0, 1, 0, 0], bool)}
    table = tabulate_agreement({"b": arm, "a": baseline}, make_contrasts([("b", "a"), ("c", "a")]))
    write_table(table, tmp_path / "agreement.csv")
    (row,) = read_table("agreement", tmp_path / "agreement.csv").to_dict("records")
    assert (row["arm"], row["baseline"], row["agreement_seeds"], row["agreement_images"]) == ("b", "a", 2, 5)
    shares = [row[f"{who}_right"] for who in ("both", "only_arm", "only_baseline", "neither")]
    assert shares == [0.2, 0.4, 0.2, 0.2]
    assert row["difference"] == 0.2
    assert row["seeds_standard_error"] == 0  # both seeds differ by one image of five
    assert (row["new_images_standard_error"], row["new_images_degrees"]) == (0, 1)


def test_one_common_seed_has_shares_but_no_standard_error() -> None:
    right = {arm: {0: np.array([True, arm == "b"])} for arm in ("a", "b")}
    (row,) = tabulate_agreement(right, make_contrasts([("b", "a")])).to_dict("records")
    assert (row["both_right"], row["only_arm_right"]) == (0.5, 0.5)
    assert pd.isna(
        [row["seeds_standard_error"], row["new_images_standard_error"], row["new_images_degrees"]]
    ).all()


def test_an_interaction_has_no_row() -> None:
    right = {arm: {0: np.ones(4, bool)} for arm in "abcd"}
    weights = {"a": 1.0, "b": -1.0, "c": -1.0, "d": 1.0}
    assert tabulate_agreement(right, [Contrast(name="x", reference="both alone", weights=weights)]).empty
