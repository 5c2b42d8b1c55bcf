"""Judged runs get the answers of scipy's tests, and those of `ablate run` for the same runs."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import ablate
from ablate.judging.findings import FindingKind
from ablate.report.evidence import gather
from ablate.stats.rankings import rank_arms
from ablate.study import study_file
from tests.conftest import SMALL
from tests.report.test_writer import write_folder

PUBLISHED = Path(__file__).parents[2] / "reports/published"
COLUMNS = {"arm": "method", "seed": "seed", "metric": "accuracy", "baseline": "ours"}
RNG = np.random.default_rng(7)
OURS, OTHER = 0.8 + RNG.normal(0, 0.01, (2, 8))


def make_frame(values: dict[str, Iterable[float]], first_seed: dict[str, int] | None = None) -> pd.DataFrame:
    rows = [
        {"method": arm, "seed": seed, "accuracy": value}
        for arm, of_arm in values.items()
        for seed, value in enumerate(of_arm, start=(first_seed or {}).get(arm, 0))
    ]
    return pd.DataFrame(rows)


def judge(frame: pd.DataFrame | Path, **changes: Any) -> ablate.JudgedRuns:
    return ablate.judge(frame, **{**COLUMNS, **changes})


def read_only_row(judged: ablate.JudgedRuns) -> dict[str, Any]:
    (row,) = judged.comparisons.to_dict("records")
    return row


def list_kinds(judged: ablate.JudgedRuns) -> list[str]:
    return [str(finding.kind) for finding in judged.findings]


def test_runs_with_the_same_seeds_get_the_paired_t_test() -> None:
    row = read_only_row(judge(make_frame({"ours": OURS, "other": OTHER})))
    test = stats.ttest_rel(OTHER, OURS)
    interval = test.confidence_interval(0.95)
    assert row["test"] == "paired"
    assert row["difference"] == pytest.approx(np.mean(OTHER - OURS), abs=1e-9)
    assert row["p_value"] == row["p_holm"] == pytest.approx(test.pvalue, rel=1e-6)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert row["prob_better"] == np.mean(OTHER > OURS)


def test_runs_without_common_seeds_get_welchs_test_and_the_loss_of_power_is_said() -> None:
    judged = judge(make_frame({"ours": OURS, "other": OTHER[:5]}, {"other": 100}))
    row = read_only_row(judged)
    test = stats.ttest_ind(OTHER[:5], OURS, equal_var=False)
    interval = test.confidence_interval(0.95)
    assert (row["test"], row["arm_runs"], row["baseline_runs"]) == ("Welch", 5, 8)
    assert row["p_value"] == pytest.approx(test.pvalue, rel=1e-6)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((interval.low, interval.high), abs=1e-9)
    better = stats.mannwhitneyu(OTHER[:5], OURS).statistic / 40
    assert row["prob_better"] == pytest.approx(better)
    assert "Welch's test of 5 and 8 runs without common seeds" in judged.answer
    assert FindingKind.NO_COMMON_SEEDS in list_kinds(judged)
    assert any("Pairs would cancel" in finding.sentence for finding in judged.findings)


POWER_CASES = {"equal groups": (8, 8, 1.0), "small and quiet": (3, 40, 10.0), "small and loud": (4, 40, 0.2)}
"""The runs of each arm, and how many times larger the second arm's standard deviation is."""


@pytest.mark.parametrize("case", POWER_CASES)
def test_the_difference_that_welchs_test_detects_is_found_in_eighty_per_cent_of_simulated_studies(
    case: str,
) -> None:
    first, second, ratio = POWER_CASES[case]
    shapes = [stats.norm.ppf((np.arange(n) + 0.5) / n) for n in (first, second)]
    spreads = (0.1, 0.1 * ratio)
    groups = [5 + spread * shape / shape.std(ddof=1) for shape, spread in zip(shapes, spreads, strict=True)]
    judged = judge(make_frame({"ours": groups[0], "other": groups[1]}, {"other": 100}))
    more = max(4 * first, second)
    told = re.search(
        r"With (.*) there is 80% power to detect a difference of (.*); (.*) would detect (\S+)\. This",
        judged.answer,
    )
    assert told is not None
    now = f"{first} runs of each arm" if first == second else f"{second} and {first} runs"
    assert (told[1], told[3]) == (now, f"{more} runs of each arm")
    rng = np.random.default_rng(0)
    for sizes, detectable in (((first, second), float(told[2])), ((more, more), float(told[4]))):
        simulated = [
            rng.normal(shift, spread, (n, 4000))
            for shift, spread, n in zip((0, detectable), spreads, sizes, strict=True)
        ]
        found = stats.ttest_ind(*simulated, equal_var=False).pvalue < 0.05
        assert np.mean(found) == pytest.approx(0.8, abs=0.03)


DIVERGENCES = {
    "once finished, once diverged": [("finished", 0.9), ("diverged", None)],
    "diverged with a value": [("finished", 0.9), ("diverged", 0.1)],
    "twice finished, once diverged": [("finished", 0.9), ("diverged", None), ("finished", 0.8)],
}


@pytest.mark.parametrize("case", DIVERGENCES)
def test_a_seed_of_which_any_run_diverged_counts_as_diverged(case: str) -> None:
    frame = make_frame({"ours": OURS, "b": OTHER}).assign(status="finished")
    again = [
        {"method": "b", "seed": 3, "status": status, "accuracy": value} for status, value in DIVERGENCES[case]
    ]
    rest = frame[(frame["method"] == "ours") | (frame["seed"] != 3)]
    judged = judge(pd.concat([rest, pd.DataFrame(again)]))
    assert read_only_row(judged)["verdict"] == "unstable"
    assert "1 of 8 runs of b diverged" in judged.answer
    assert any(
        "A pair counts as diverged if one of its runs diverged" in finding.sentence
        for finding in judged.findings
    )


def test_holms_correction_covers_all_arms_of_all_parts() -> None:
    frame = make_frame({"ours": OURS, "b": OTHER, "c": OTHER - 0.02})
    both = pd.concat([frame.assign(data="x"), frame.assign(data="y", accuracy=frame["accuracy"] ** 2)])
    found = judge(both, by="data").comparisons
    raw = found["p_value"].to_numpy(float)
    order = np.argsort(raw)
    expected = np.maximum.accumulate(raw[order] * [4, 3, 2, 1]).clip(max=1)
    assert found["p_holm"].to_numpy(float)[order] == pytest.approx(expected)
    assert list(found["part"]) == ["x", "x", "y", "y"]


@pytest.mark.parametrize("study", ["lenet_pooling", "lenet_activation/chapter", "lenet_mnist"])
def test_a_published_study_judged_from_its_runs_gets_the_same_numbers(study: str) -> None:
    tables = PUBLISHED / study / "tables"
    theirs = pd.read_csv(tables / "comparisons.csv")
    (baseline,) = set(theirs["baseline"])
    margin = study_file.read(tables.parent / "study.yaml").decision.margin
    ours = ablate.judge(
        tables / "runs.csv", arm="arm", seed="seed", metric="test_accuracy", baseline=baseline, margin=margin
    ).comparisons
    both = (
        ours.drop(columns=["part", "test", "arm_runs", "baseline_runs"]).set_index("arm").loc[theirs["arm"]]
    )
    pd.testing.assert_frame_equal(
        both.reset_index()[theirs.columns],
        theirs.astype(both.dtypes.to_dict() | {"arm": "string"}),
        rtol=1e-12,
    )


def test_a_run_that_diverged_gives_the_verdict_of_a_study(tmp_path: Path) -> None:
    accuracies: dict[str, list[float | str]] = {
        "baseline": list(OURS[:5]), "pooling=max": [*OTHER[:4], "diverged"], "pooling=none": list(OTHER[3:8])
    }  # fmt: skip
    text = SMALL.replace("seeds: 3", "seeds: 5").replace("[avg, max]", "[avg, max, none]")
    folder = write_folder(tmp_path / "small", text, accuracies)
    theirs = gather(folder).tables["comparisons"]
    judged = ablate.judge(
        folder / "tables/runs.csv",
        arm="arm",
        seed="seed",
        metric="test_accuracy",
        baseline="baseline",
        margin=0.01,
    )
    pd.testing.assert_frame_equal(judged.comparisons[theirs.columns], theirs)
    assert theirs["verdict"].iloc[0] == "unstable"
    assert "1 of 5 runs of pooling=max diverged" in judged.answer
    assert {FindingKind.DIVERGED, FindingKind.OTHER_PHASE} <= set(list_kinds(judged))


VERDICTS = {
    "a difference beyond the margin": (0.1, 0.01, "matters"),
    "a difference near the margin": (0.011, 0.01, "detectable, size unclear"),
    "a difference far inside the margin": (0.0001, 0.01, "practically equivalent"),
    "a difference without a margin": (0.1, None, "difference shown"),
    "no difference without a margin": (0.0001, None, "no difference shown"),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_the_verdict_follows_the_margin(case: str) -> None:
    shift, margin, verdict = VERDICTS[case]
    noise = np.array([-1, 1, -0.5, 0.5, 0.2, -0.2]) * 0.002
    for first_seed in (0, 50):
        frame = make_frame({"ours": OURS[:6] * 0 + noise[::-1], "b": noise + shift}, {"b": first_seed})
        assert read_only_row(judge(frame, margin=margin, metric="accuracy"))["verdict"] == verdict


def test_without_a_margin_the_answer_says_what_seeds_would_detect() -> None:
    judged = judge(make_frame({"ours": OURS, "b": OURS[::-1] + 0.0001}))
    assert "8 seeds there is 80% power to detect a difference of" in judged.answer
    assert "32 seeds would detect" in judged.answer
    assert " is ahead in these runs (95% interval" in judged.answer
    assert "This result does not prove that the arms are equal." in judged.answer
    assert read_only_row(judged)["seeds_needed"] is None


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "cannot tell apart"), (0.4, "no spread, not tested")])
@pytest.mark.parametrize("seed", ["seed", None])
def test_arms_that_differ_without_any_spread_are_not_called_alike(
    shift: float, verdict: str, seed: str | None
) -> None:
    judged = judge(make_frame({"ours": [0.5] * 5, "b": [0.5 + shift] * 5}), seed=seed, margin=0.01)
    assert read_only_row(judged)["verdict"] == verdict
    assert ("so b is ahead" in judged.answer) == (shift > 0)


@pytest.mark.parametrize(("lower", "ahead"), [(False, "b"), (True, "ours")])
def test_the_direction_changes_who_is_ahead_and_no_sign(lower: bool, ahead: str) -> None:
    judged = judge(make_frame({"ours": OURS, "b": OURS + 0.1 + OTHER / 100}), lower_is_better=lower)
    assert f"points higher than that of ours, so {ahead} is ahead (95% interval" in judged.answer
    row = read_only_row(judged)
    assert row["difference"] > 0
    assert row["prob_better"] == (0 if lower else 1)


def test_values_that_are_no_shares_are_written_as_numbers() -> None:
    frame = make_frame({"ours": OURS * 1e4, "b": OTHER * 1e4})
    answer = judge(frame.rename(columns={"accuracy": "reward"}), metric="reward").answer
    assert "points" not in answer
    percent = make_frame({"ours": OURS * 100, "b": OTHER * 100})
    assert "points" not in judge(percent).answer


@pytest.mark.parametrize("size", [1e-40, 1e-9, 1.0, 1e12, 1e60])
def test_the_unit_of_the_metric_changes_no_p_value(size: float) -> None:
    for first_seed in (0, 50):
        frame = make_frame({"ours": OURS * size, "b": OTHER * size}, {"b": first_seed})
        p = read_only_row(judge(frame.rename(columns={"accuracy": "x"}), metric="x"))["p_value"]
        first = read_only_row(judge(make_frame({"ours": OURS, "b": OTHER}, {"b": first_seed})))["p_value"]
        assert p == pytest.approx(first, rel=1e-6)


def test_arms_are_ranked_over_parts_as_friedmans_test_does() -> None:
    rng = np.random.default_rng(3)
    means = pd.DataFrame(rng.normal([0, 0, 1, 2], size=(8, 4)), columns=list("abcd"))
    ranking = rank_arms(means, higher_is_better=True)
    assert ranking is not None
    assert ranking.p_value == stats.friedmanchisquare(*means.to_numpy().T).pvalue
    assert ranking.mean_ranks.index[0] == "d"
    assert ranking.mean_ranks.sum() == pytest.approx(10)
    assert rank_arms(means[list("ab")], higher_is_better=True) is None
    assert rank_arms(means.head(4), higher_is_better=True) is None
    turned = rank_arms(means, higher_is_better=False)
    assert turned is not None
    assert turned.mean_ranks.index[0] != "d"


def test_nemenyis_test_follows_demsars_critical_difference() -> None:
    pytest.importorskip("scikit_posthocs")
    means = pd.DataFrame({"a": range(10), "b": range(10), "c": range(10, 20)}).astype(float)
    means["b"] += np.where(np.arange(10) < 5, 0.5, -0.5)
    ranking = rank_arms(means, higher_is_better=True)
    assert ranking is not None
    assert ranking.pairs is not None
    # Mean ranks are 1, 2.5 and 2.5, and the critical difference is 2.343 · sqrt(3 · 4 / 60) = 1.048.
    assert ranking.pairs.loc["a", "c"] < 0.05 < ranking.pairs.loc["a", "b"]
    distance = stats.studentized_range.sf(1.5 / np.sqrt(3 * 4 / 60) * np.sqrt(2), 3, np.inf)
    assert ranking.pairs.loc["a", "c"] == pytest.approx(distance, rel=1e-3)


def test_a_narrow_interval_has_as_many_decimals_as_it_needs() -> None:
    noise = np.tile([1e-5, -1e-5, 2e-5, -2e-5], 10)
    answer = judge(make_frame({"ours": np.full(40, 0.8), "b": 0.801 + noise})).answer
    assert "is 0.1000 points higher" in answer
    assert "95% interval +0.0995 to +0.1005" in answer
