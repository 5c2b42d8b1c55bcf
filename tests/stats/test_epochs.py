"""Differences by epoch are paired, late changes are found only where they are large and certain."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.records.tables import make_frame
from ablate.stats import comparison_tables, comparisons
from ablate.stats.contrasts import BOTH_ALONE, Contrast, make_contrasts
from ablate.stats.epochs import (
    compare_at_half,
    count_epochs,
    find_half,
    find_last_third,
    find_late_changes,
    find_rising_arms,
    tabulate_differences_by_epoch,
    tabulate_validation,
)
from ablate.stats.intervals import compute_mean_interval
from ablate.stats.verdicts import UNTRAINED, Verdict
from ablate.study.effort import Decision

DECISION = Decision(margin=0.01, alpha=0.05)
CEILING = 0.11
Curves = Mapping[str, Sequence[Sequence[float]]]
"""For each arm and seed the validation accuracies after every epoch."""


def write_tables(curves: Curves, status: Mapping[str, str] = {}) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `runs` and `epochs`; the last validation accuracy is also the test accuracy.

    `status` has the status of the first seed of an arm, if that run is not complete.
    """
    runs, points = [], []
    for arm, seeds in curves.items():
        for seed, curve in enumerate(seeds):
            common = {"phase": "confirm", "arm": arm, "setting": "recipe", "seed": seed}
            ended = status.get(arm, "complete") if seed == 0 else "complete"
            runs.append(
                {**common, "status": ended, "test_accuracy": curve[-1] if ended == "complete" else None}
            )
            for epoch, accuracy in enumerate(curve, start=1):
                points.append({**common, "epoch": epoch - 0.5, "train_loss": 1.0})
                points.append(
                    {**common, "epoch": epoch + 1e-9, "train_loss": 1.0, "validation_accuracy": accuracy}
                )
    points.append({**points[-1], "phase": "tune", "epoch": 99, "validation_accuracy": 0.5})
    return make_frame("runs", runs), make_frame("epochs", points)


def compare(runs: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    judgement = comparisons.judge(runs, make_contrasts(pairs), DECISION, ceiling=CEILING)
    return comparison_tables.tabulate_comparisons(judgement)


def name_verdicts(pairs: Sequence[tuple[str, str]], verdict: str = Verdict.INCONCLUSIVE) -> pd.DataFrame:
    """The table `comparisons` as far as epochs need it. Its tests take milliseconds for each comparison."""
    return make_frame("comparisons", [{"arm": a, "baseline": b, "verdict": verdict} for a, b in pairs])


def make_curves(by_epoch: Mapping[str, Sequence[float]], *, seeds: int = 6, spread: float = 0.002) -> Curves:
    """Curves around these means, with noise of their own in every arm, seed and epoch."""
    rng = np.random.default_rng(0)
    return {
        arm: [[mean + rng.normal() * spread for mean in means] for _ in range(seeds)]
        for arm, means in by_epoch.items()
    }


FLAT = [0.5, 0.7, 0.78, 0.8, 0.8, 0.8]
PAIR = [("arm", "base")]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.lists(st.floats(0, 1).map(lambda share: round(share, 4)), min_size=6, max_size=6),
        min_size=2,
        max_size=6,
    )
)
def test_each_epoch_has_the_paired_mean_and_the_interval_of_one_epoch(values: list[list[float]]) -> None:
    curves = {"base": [row[:3] for row in values], "arm": [row[3:] for row in values]}
    runs, epochs = write_tables(curves)
    table = tabulate_differences_by_epoch(tabulate_validation(runs, epochs), name_verdicts(PAIR), 0.95)
    assert table["epoch"].tolist() == [1, 2, 3]
    for epoch, row in enumerate(table.itertuples()):
        gaps = [arm[epoch] - base[epoch] for arm, base in zip(curves["arm"], curves["base"], strict=True)]
        interval = compute_mean_interval(gaps, 0.95)
        assert interval is not None
        assert row.pairs == len(values)
        assert (row.difference, row.ci_low, row.ci_high) == pytest.approx(
            (interval.mean, interval.low, interval.high), abs=1e-8
        )


def test_the_last_epoch_of_a_plain_study_is_its_comparison_if_validation_equals_test() -> None:
    runs, epochs = write_tables(make_curves({"base": FLAT, "arm": [a + 0.02 for a in FLAT]}))
    known = compare(runs, PAIR)
    last = tabulate_differences_by_epoch(tabulate_validation(runs, epochs), known, 0.95).iloc[-1]
    for column in ("difference", "ci_low", "ci_high"):
        assert last[column] == pytest.approx(known[column].item(), abs=1e-8)


def test_a_crashed_run_is_no_pair_and_one_pair_has_no_interval() -> None:
    curves = {"base": [[0.5, 0.6], [0.5, 0.7]], "arm": [[0.9, 0.9], [0.6, 0.9]]}
    runs, epochs = write_tables(curves, {"arm": "failed"})
    table = tabulate_differences_by_epoch(tabulate_validation(runs, epochs), compare(runs, PAIR), 0.95)
    assert table["pairs"].tolist() == [1, 1]
    assert table["difference"].tolist() == pytest.approx([0.1, 0.2])
    assert table[["ci_low", "ci_high"]].isna().all(axis=None)


def test_what_cannot_be_compared_by_epoch_is_left_out() -> None:
    curves = make_curves(
        {"base": FLAT, "arm": FLAT, "broken": FLAT, "stuck": [0.1] * 6, "longer": [*FLAT, 0.8, 0.8]}
    )
    runs, epochs = write_tables(curves, {"broken": "diverged"})
    others = [(arm, "base") for arm in ("arm", "broken", "stuck", "longer")]
    known = compare(runs, others)
    interaction = known.iloc[[0]].assign(arm="a=1 × b=2", baseline=BOTH_ALONE)
    validation = tabulate_validation(runs, epochs)
    table = tabulate_differences_by_epoch(validation, pd.concat([known, interaction]), 0.95)
    assert count_epochs(validation)["longer"] == 8
    assert set(table["arm"]) == {"arm"}


def test_an_epoch_without_validation_has_no_row_and_no_late_change() -> None:
    runs, epochs = write_tables(make_curves({"base": FLAT, "arm": [*FLAT[:5], 0.9]}))
    some = epochs[epochs["epoch"].round() % 3 == 0]
    validation = tabulate_validation(runs, some)
    known = name_verdicts(PAIR)
    assert tabulate_differences_by_epoch(validation, known, 0.95)["epoch"].tolist() == [3, 6]
    assert find_late_changes(validation, known, DECISION).empty


def test_without_validation_images_the_table_is_empty() -> None:
    runs, epochs = write_tables(make_curves({"base": FLAT, "arm": FLAT}))
    validation = tabulate_validation(runs, epochs.assign(validation_accuracy=pd.NA))
    assert validation.empty
    assert tabulate_differences_by_epoch(validation, compare(runs, PAIR), 0.95).empty


def judge(by_epoch: Mapping[str, Sequence[float]], pairs: Sequence[tuple[str, str]] = PAIR) -> pd.DataFrame:
    runs, epochs = write_tables(make_curves(by_epoch))
    return compare_at_half(
        runs, tabulate_validation(runs, epochs), make_contrasts(pairs), DECISION, ceiling=CEILING
    )


HALVES = {
    "same": ([0.52, 0.72, 0.80, 0.82, 0.82, 0.82], Verdict.MATTERS, Verdict.MATTERS),
    "only at the end": ([0.50, 0.70, 0.78, 0.81, 0.82, 0.83], Verdict.EQUIVALENT, Verdict.MATTERS),
    "only at half": ([0.50, 0.70, 0.83, 0.82, 0.80, 0.80], Verdict.MATTERS, Verdict.EQUIVALENT),
    "at chance at half": ([0.10, 0.10, 0.09, 0.50, 0.82, 0.83], Verdict.NOT_TRAINED, Verdict.MATTERS),
}


@pytest.mark.parametrize("case", HALVES)
def test_both_verdicts_follow_the_rule_of_the_comparisons(case: str) -> None:
    curve, at_half, at_last = HALVES[case]
    (row,) = judge({"base": FLAT, "arm": curve}).itertuples()
    assert (row.half, row.last, row.at_half, row.at_last) == (3, 6, at_half, at_last)


def test_verdicts_at_half_are_corrected_for_all_contrasts() -> None:
    """Alone the small difference is equivalent; corrected for eight comparisons it is not shown to be."""
    names = [f"arm{i}" for i in range(8)]
    curves = {"base": FLAT} | {name: [a + 0.0055 for a in FLAT] for name in names}
    alone = judge(curves, [("arm0", "base")])
    every = judge(curves, [(name, "base") for name in names])
    assert alone["at_half"].item() == Verdict.EQUIVALENT
    assert every["at_half"].iloc[0] != Verdict.EQUIVALENT


def test_trainings_of_three_epochs_have_no_half() -> None:
    assert judge({"base": FLAT[:3], "arm": FLAT[:3]}).empty
    assert len(judge({"base": FLAT[:4], "arm": FLAT[:4]})) == 1


def test_a_study_without_contrasts_has_no_verdict_at_half() -> None:
    """As a search that found no finalist."""
    assert judge({"base": FLAT}, []).empty


def test_an_interaction_counts_in_the_correction_but_has_no_row() -> None:
    curves = make_curves(dict.fromkeys(["base", "a", "b", "ab"], FLAT))
    runs, epochs = write_tables(curves)
    both = Contrast(
        name="a × b", reference=BOTH_ALONE, weights={"ab": 1.0, "a": -1.0, "b": -1.0, "base": 1.0}
    )
    contrasts = [*make_contrasts([("a", "base")]), both]
    judged = compare_at_half(runs, tabulate_validation(runs, epochs), contrasts, DECISION, ceiling=CEILING)
    assert judged["arm"].tolist() == ["a"]


def change(
    base: Sequence[float], arm: Sequence[float], *, spread: float = 0.0005
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What changed late: differences, and accuracies of arms."""
    runs, epochs = write_tables(make_curves({"base": base, "arm": arm}, spread=spread))
    given_tables = tabulate_validation(runs, epochs), name_verdicts(PAIR), DECISION
    return find_late_changes(*given_tables), find_rising_arms(*given_tables)


def test_a_difference_that_still_grows_is_found_with_its_numbers() -> None:
    changes, risen = change(FLAT, [0.5, 0.7, 0.78, 0.81, 0.812, 0.818])
    (row,) = changes.itertuples()
    assert (row.arm, row.baseline, row.start, row.last) == ("arm", "base", 4, 6)
    assert (row.before, row.after) == pytest.approx((0.01, 0.018), abs=0.001)
    assert risen.empty  # the arm rose by less than the margin


def test_arms_that_rise_together_are_found_and_their_difference_is_not() -> None:
    base = [0.5, 0.6, 0.7, 0.75, 0.77, 0.78]
    changes, risen = change(base, [a + 0.02 for a in base])
    assert changes.empty
    assert risen["arm"].tolist() == ["base", "arm"]
    assert (risen["after"] - risen["before"]).tolist() == pytest.approx([0.03, 0.03], abs=0.002)


CALM = {
    "level curves": (FLAT, [a + 0.05 for a in FLAT], 0.0005),
    "less than half the margin": (FLAT, [*FLAT[:4], 0.802, 0.804], 0.0005),
    "falling together": ([*FLAT[:4], 0.79, 0.78], [*FLAT[:4], 0.79, 0.78], 0.0005),
    "not significant": (FLAT, [*FLAT[:4], 0.805, 0.812], 0.03),
    "an early change": (FLAT, [0.9, 0.9, 0.9, 0.8, 0.8, 0.8], 0.0005),
    "three epochs": ([0.5, 0.6, 0.7], [0.5, 0.6, 0.8], 0.0005),
}


@pytest.mark.parametrize("case", CALM)
def test_there_is_no_late_change_with(case: str) -> None:
    base, arm, spread = CALM[case]
    changes, risen = change(base, arm, spread=spread)
    assert changes.empty
    assert risen.empty


def test_noise_in_many_comparisons_is_no_late_change() -> None:
    """Without Holm's correction, some of these 30 comparisons of pure noise would be found."""
    pairs = [(f"arm{i}", f"base{i}") for i in range(30)]
    level = {name: [0.8] * 6 for pair in pairs for name in pair}
    runs, epochs = write_tables(make_curves(level, spread=0.02))
    validation = tabulate_validation(runs, epochs)
    assert find_late_changes(validation, name_verdicts(pairs), DECISION).empty
    alone = [find_late_changes(validation, name_verdicts([pair]), DECISION) for pair in pairs]
    assert sum(map(len, alone)) > 0


def test_an_arm_that_begins_late_rises_and_one_that_never_trains_does_not() -> None:
    late, never = [0.1, 0.1, 0.1, 0.1, 0.3, 0.6], [0.1] * 6
    curves = make_curves({"base": FLAT, "arm": FLAT, "late": late, "never": never})
    runs, epochs = write_tables(curves)
    runs.loc[(runs["arm"] == "late") & (runs["seed"] == 0), "test_accuracy"] = 0.1
    known = compare(runs, [("arm", "base"), ("late", "base"), ("never", "base")])
    assert known.set_index("arm").loc[["late", "never"], "verdict"].isin(UNTRAINED).all()
    risen = find_rising_arms(tabulate_validation(runs, epochs), known, DECISION)
    assert risen["arm"].tolist() == ["late"]
    assert find_rising_arms(tabulate_validation(runs, epochs), known, DECISION, left_out=["late"]).empty


@pytest.mark.parametrize(
    ("epochs", "half", "two_thirds"), [(4, 2, 3), (5, 3, 4), (8, 4, 6), (10, 5, 7), (15, 8, 10), (1, 1, 1)]
)
def test_half_and_two_thirds_are_rounded_up(epochs: int, half: int, two_thirds: int) -> None:
    assert (find_half(epochs), find_last_third(epochs)) == (half, two_thirds)
