"""Nothing in an answer misleads: names, words of a status, directions, captions and units."""

import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import ablate
from ablate.figures.judged_figures import list_kinds
from ablate.judging.findings import FindingKind
from ablate.judging.metric_names import guess_direction, is_share_name
from ablate.judging.page import collect_data
from ablate.judging.repetition import write_call
from ablate.judging.table import FRAME as PLACE_OF_A_FRAME
from tests.commands import ablate as run_ablate

QUESTION: dict[str, Any] = {"arm": "arm", "seed": "seed", "metric": "acc", "baseline": "a"}
FRAME = pd.DataFrame(
    [(arm, seed, 0.8 + shift + 0.01 * (seed * (1 + 4 * shift) % 5)) for arm, shift in (("a", 0.0), ("b", 0.05)) for seed in range(6)],
    columns=["arm", "seed", "acc"],
)  # fmt: skip


def judge(frame: pd.DataFrame | Path, **changes: Any) -> ablate.JudgedRuns:
    return ablate.judge(frame, **{**QUESTION, **changes})


def tell(judged: ablate.JudgedRuns, kind: FindingKind) -> str:
    return " ".join(finding.sentence for finding in judged.findings if finding.kind == kind)


def add_rows(status: str, arm: str = "b", value: float | None = 0.1) -> pd.DataFrame:
    """The frame with a column `status`, and two more rows with another word in it."""
    more = pd.DataFrame({"arm": arm, "seed": [8, 9], "acc": value, "status": status})
    return pd.concat([FRAME.assign(status="finished"), more])


def test_runs_that_failed_are_left_out_even_if_other_words_of_the_status_are_not_known() -> None:
    judged = judge(pd.concat([add_rows("failed"), add_rows("weird").tail(1).assign(acc=0.9)]))
    assert tell(judged, FindingKind.UNFINISHED) == "2 rows left out: the run did not finish (failed)."
    told = tell(judged, FindingKind.IGNORED_COLUMN)
    assert told.startswith(
        "The column “status” has words that ablate does not know (weird). Runs with such a word"
    )
    assert judged.arms.set_index("arm")["runs"].to_dict() == {"a": 6, "b": 7}
    diverged = judge(pd.concat([add_rows("diverged", value=None), add_rows("weird").tail(1)]))
    assert list(diverged.comparisons["verdict"]) == ["unstable"]


SAME_NAMES = {
    "spaces": ["a", "a ", " a", "a\t", "a\xa0", "a"],
    "accents": ["\xe9", "e\u0301"] * 3,
}


@pytest.mark.parametrize("kind", SAME_NAMES)
def test_names_that_look_the_same_are_one_arm(kind: str, tmp_path: Path) -> None:
    names = SAME_NAMES[kind]
    frame = FRAME.assign(arm=[*names, *["b"] * 6])
    frame.to_csv(tmp_path / "runs.csv", index=False)
    for source in (frame, tmp_path / "runs.csv"):
        for baseline in set(names):
            judged = judge(source, baseline=baseline)
            assert judged.comparisons["arm_runs"].to_list() == [6]
            assert judged.findings == []


def test_a_missing_name_is_no_arm_in_a_file_as_in_a_frame(tmp_path: Path) -> None:
    more = pd.DataFrame({"arm": ["nan", "NaN", "<NA>", "NaT"], "seed": 9, "acc": 0.9})
    frame = pd.concat([FRAME, more])
    frame.to_csv(tmp_path / "runs.csv", index=False)
    for source in (frame, tmp_path / "runs.csv"):
        judged = judge(source)
        assert list(judged.comparisons["arm"]) == ["b"]
        assert tell(judged, FindingKind.MISSING_ARM).startswith("Rows 13, 14, 15 and 16 left out: no arm")


def test_names_that_differ_only_in_case_are_doubted() -> None:
    judged = judge(pd.concat([FRAME, FRAME[FRAME["arm"] == "b"].assign(arm="B")]))
    assert "spaces, but count as different arms: “B” and “b”. If" in tell(judged, FindingKind.SIMILAR_NAMES)


@pytest.mark.parametrize("lower", [False, True])
def test_figures_and_pages_say_which_side_is_better(lower: bool) -> None:
    judged = judge(FRAME.rename(columns={"acc": "x"}), metric="x", lower_is_better=lower)
    data = collect_data(judged._judgement)
    labels = [
        axes.get_xlabel() + axes.get_ylabel()
        for kind in list_kinds(data).values()
        for axes in kind.draw(data).axes
    ]
    assert len(labels) == 2
    assert all(("lower is better" in label) == lower for label in labels)


def test_a_figure_joins_the_runs_of_a_seed_only_if_a_comparison_is_paired() -> None:
    apart = FRAME.assign(seed=FRAME["seed"] + 5 * (FRAME["arm"] == "b"))
    assert collect_data(judge(FRAME)._judgement).paired
    assert not collect_data(judge(apart)._judgement).paired


def test_rows_of_one_seed_are_not_called_too_few_runs() -> None:
    judged = judge(FRAME.assign(seed=42))
    assert "A verdict needs 3 different seeds of each arm. If the rows with one seed" in judged.answer
    assert "separate runs, leave out --seed." in judged.answer
    assert judge(FRAME, seed=None).comparisons["verdict"].to_list() == ["difference shown"]
    apart = judge(FRAME[FRAME["seed"] < 2], seed=None)
    assert apart.answer.endswith("A verdict needs 3 runs of each arm.")


@pytest.mark.thorough
def test_the_call_that_a_report_shows_judges_the_table_again(tmp_path: Path) -> None:
    names = {"arm": "-the arm", "seed": "se'ed", "acc": "$x"}
    frame = FRAME.rename(columns=names)
    frame.to_csv(tmp_path / "my runs.csv", index=False)
    changes = {"arm": "-the arm", "seed": "se'ed", "metric": "$x", "margin": 0.0123456789, "alpha": 0.01}
    changes["lower_is_better"] = True
    judged = judge(frame, **changes)
    again = eval(write_call(judged._judgement.question, PLACE_OF_A_FRAME), {"ablate": ablate, "frame": frame})
    pd.testing.assert_frame_equal(again.comparisons, judged.comparisons)
    call = shlex.split(write_call(judged._judgement.question, str(tmp_path / "my runs.csv")))
    from_file = run_ablate(*call[3:], "--out", "out", cwd=tmp_path, drawn=False)
    assert from_file.returncode == 0
    assert judged.answer.splitlines()[0] in from_file.stdout


DIRECTIONS = {
    "sentiment_accuracy": True, "sentiment_f1": True, "multimetric": None, "glossy_score": None, "acceleration": None,
    "val/top-1_Acc": True, "testAcc": True, "mIoU": True, "mAP50": True, "time_to_accuracy": None, "map": True, "AUROC": True,
    "top1_error": False, "runtime_s": False, "test_mse": False, "valLoss": False, "val.loss": False, "latency_ms": False,
}  # fmt: skip


@pytest.mark.parametrize("name", DIRECTIONS)
def test_whole_words_of_a_metrics_name_say_its_direction(name: str) -> None:
    assert guess_direction(name) is DIRECTIONS[name]
    assert is_share_name(name) == (DIRECTIONS[name] is True or name in ("top1_error", "time_to_accuracy"))


def test_a_categorical_column_of_numbers_is_a_metric() -> None:
    expected = judge(FRAME).comparisons
    for cells in (FRAME["acc"], FRAME["acc"].map(str)):
        pd.testing.assert_frame_equal(judge(FRAME.assign(acc=cells.astype("category"))).comparisons, expected)
    missing = judge(FRAME.assign(acc=FRAME["acc"].where(FRAME.index > 0).astype("category")))
    assert tell(missing, FindingKind.MISSING_METRIC).startswith("Row 1 left out: no value of acc")


@pytest.mark.parametrize(("size", "rounded"), [(1e9, True), (0.0, False)])
def test_a_mean_that_is_the_same_only_after_rounding_is_not_called_equal(size: float, rounded: bool) -> None:
    frame = FRAME.assign(acc=size + (FRAME["arm"] == "b") * 0.002 * rounded)
    assert ("same mean acc, rounded to 12 digits" in judge(frame).answer) == rounded


def test_a_share_has_no_power_to_detect_more_than_all() -> None:
    frame = FRAME[FRAME["seed"] < 3].assign(acc=[0.0, 1.0, 0.2, 0.9, 0.1, 0.4])
    judged = judge(frame)
    assert "With 3 seeds no possible difference is detected with 80% power" in judged.answer
    assert (
        judge(frame.rename(columns={"acc": "x"}), metric="x").answer.count(
            " power to detect a difference of "
        )
        == 1
    )


def test_the_level_of_the_tests_of_ranks_is_said() -> None:
    frame = pd.concat(
        FRAME.assign(part=part, arm=FRAME["arm"] + arm, acc=FRAME["acc"] + 0.01 * part)
        for part in range(5)
        for arm in ("", "x")
    )
    assert (
        "Friedman's test and Nemenyi's test each have the level 0.05 on their own"
        in judge(frame, by="part").answer
    )
