"""Tables that people have: every format gives the same answer, and a wrong table one clear line."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ablate
from ablate.errors import AblateError
from ablate.judging import run_columns, table
from ablate.judging.findings import FindingKind
from ablate.judging.question import Question
from ablate.judging.table import read_columns

QUESTION = {"arm": "method", "seed": "seed", "metric": "accuracy", "baseline": "ours"}
RNG = np.random.default_rng(11)
ROWS = [
    {"method": arm, "seed": seed, "accuracy": round(float(RNG.normal(0.8, 0.01)), 5), "other": "text"}
    for arm in ("ours", "none", "0.10")
    for seed in range(6)
]
FRAME = pd.DataFrame(ROWS)


def judge(frame: pd.DataFrame | Path | str, **changes: Any) -> ablate.JudgedRuns:
    return ablate.judge(frame, **{**QUESTION, **changes})


def change(column: str, cells: dict[int, object]) -> pd.DataFrame:
    """The frame with other cells in a column, by row."""
    changed = FRAME.astype({column: object})
    for row, cell in cells.items():
        changed.loc[row, column] = cell
    return changed


def find(judged: ablate.JudgedRuns, kind: FindingKind) -> Any:
    (found,) = (finding for finding in judged.findings if finding.kind == kind)
    return found


WRITERS: dict[str, Callable[[Path], object]] = {
    "runs.csv": lambda path: FRAME.to_csv(path, index=False),
    "semicolons.csv": lambda path: FRAME.to_csv(path, index=False, sep=";"),
    "bom.csv": lambda path: FRAME.to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\r\n"),
    "runs.tsv": lambda path: FRAME.to_csv(path, index=False, sep="\t"),
    "runs.csv.gz": lambda path: FRAME.to_csv(path, index=False),
    "runs.jsonl": lambda path: FRAME.to_json(path, orient="records", lines=True),
    "runs.parquet": lambda path: FRAME.to_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_answer_of_the_data_frame(name: str, tmp_path: Path) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    WRITERS[name](tmp_path / name)
    pd.testing.assert_frame_equal(judge(tmp_path / name).comparisons, judge(FRAME).comparisons)


def test_a_table_is_read_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = change("seed", {3: "x", 9: "x", 15: "x"})
    mixed.to_csv(tmp_path / "runs.csv", index=False)
    mixed.to_json(tmp_path / "runs.jsonl", orient="records", lines=True)
    whole = judge(mixed).comparisons
    monkeypatch.setattr(table, "CHUNK", 4)
    for name in ("runs.csv", "runs.jsonl"):
        pd.testing.assert_frame_equal(judge(tmp_path / name).comparisons, whole)


def test_names_of_arms_stay_as_they_are_written(tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "runs.csv", index=False)
    assert list(judge(tmp_path / "runs.csv").comparisons["arm"]) == ["0.10", "none"]


WRONG_QUESTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "no such column": ({"metric": "acuracy"}, r"frame: metric: the table has no column 'acuracy': did you mean 'accuracy'\?"),
    "no such baseline": ({"baseline": "our"}, r"baseline: 'our' is not in the column 'method': did you mean 'ours'\?"),
    "no such part": ({"by": "data"}, r"by: the table has no column 'data': known: method, seed, accuracy, other"),
    "a column twice": ({"by": "method"}, r"by: the column 'method' is already given as arm: name another column"),
    "a margin of zero": ({"margin": 0.0}, r"margin: 0 is not possible: give a number above 0"),
    "a margin that is no number": ({"margin": float("nan")}, r"margin: nan is not possible"),
    "alpha": ({"alpha": 0.7}, r"alpha: 0.7 is not possible: give a number from 1e-06 to below 0.5"),
    "one arm": ({"arm": "other", "baseline": "text"}, r"the column 'other' has only the arm 'text': a comparison needs two arms"),
    "text": ({"metric": "other", "arm": "method"}, r"metric: the column 'other' has text such as 'text'.*, and no number: write plain numbers"),
    "no experiments": ({"experiment": "x"}, r"has no experiments: leave out 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_QUESTIONS)
def test_a_question_that_the_table_cannot_answer_is_refused_with_the_remedy(case: str) -> None:
    changes, told = WRONG_QUESTIONS[case]
    with pytest.raises(AblateError, match=told):
        judge(FRAME, **changes)


WRONG_FILES = {
    "missing.csv": (None, "there is no such file: give a table"),
    "empty.csv": (b"", "the file is empty: give a table with a header"),
    "header.csv": (b"method,seed,accuracy\n", "the table has no rows"),
    "ragged.csv": (b"method,seed,accuracy\na,1,2\na,1,2,3,4\n", "line 3 has more than the 3 fields of the header: put quotes around a text that contains the separator"),
    "twice.csv": (b"method,seed,accuracy,accuracy\na,1,2,3\n", "several columns 'accuracy': rename all but one"),
    "latin.csv": (b"method,seed,accuracy\n\xe9,1,2\n", "cannot be read as text: .*: save it as UTF-8"),
    "torn.csv.gz": (gzip.compress(b"method,seed,accuracy\n" * 999)[:60], "cannot be read as text"),
    "list.jsonl": (b"[1, 2]\n[3]\n", "line 1 is no JSON object: write one object in each line"),
    "text.jsonl": (b"hello\n", "line 1 is no JSON .*: write one object in each line"),
    "empty.jsonl": (b"", "the file is empty: write one JSON object in each line"),
    "text.parquet": (b"hello", "cannot be read as Parquet: .*: check the file"),
    "runs.xlsx": (b"hello", "runs.xlsx: a workbook is not read: save the table as CSV"),
    "quotes.csv": (b'method,seed,accuracy\n"a,b",1,2\na,b,1,2\n', "line 3 has more than the 3 fields"),
    "comma.csv": (b"method;seed;accuracy\nours;1;0,95\nb;1;0,94\n", "has text such as '0,95' and '0,94', and no number"),
    "percent.csv": (b"method,seed,accuracy\nours,1,95%\nb,1,94%\n", "has text such as '95%' and '94%', and no number"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_FILES)
def test_a_file_that_is_no_table_is_refused_with_the_remedy(name: str, tmp_path: Path) -> None:
    content, told = WRONG_FILES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AblateError, match=told) as caught:
        judge(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_without_pyarrow_a_parquet_file_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs.parquet").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(
        AblateError, match=r"Parquet needs a package that is not installed: pip install .*\[judge\]"
    ):
        judge(tmp_path / "runs.parquet")


LEFT_OUT: dict[str, tuple[pd.DataFrame, FindingKind, str]] = {
    "no value": (change("accuracy", {2: None, 7: float("nan")}), FindingKind.MISSING_METRIC, "Rows 3 and 8 left out: no value of accuracy"),
    "infinity": (change("accuracy", {2: float("inf")}), FindingKind.INFINITE_METRIC, "Row 3 left out: the value is infinite"),
    "text": (change("accuracy", {2: "oops", 7: "<b>"}), FindingKind.TEXT_METRIC, "Rows 3 and 8 left out: text instead of a number, such as 'oops' and '<b>'"),
    "no arm": (change("method", {2: None, 3: " "}), FindingKind.MISSING_ARM, "Rows 3 and 4 left out: no arm in the column 'method'"),
    "no seed": (change("seed", {2: None}), FindingKind.MISSING_SEED, "Row 3 left out: no seed in the column 'seed'"),
    "failed": (FRAME.assign(Status=["FAILED"] * 2 + ["finished"] * 16), FindingKind.UNFINISHED, "2 rows left out: the run did not finish (failed)"),
    "strange status": (FRAME.assign(status="fine"), FindingKind.IGNORED_COLUMN, "words that ablate does not know (fine)"),
    "repeated rows": (pd.concat([FRAME, FRAME.head(2)]), FindingKind.DUPLICATES, "2 rows left out: they have the same arm, seed and value as another row"),
    "several runs": (pd.concat([FRAME, FRAME.head(2).assign(accuracy=0.9)]), FindingKind.SEVERAL_RUNS, "2 pairs of arm and seed have several runs with different results, up to 2"),
    "tuning rows": (FRAME.assign(phase=["confirm"] * 17 + ["tune"]), FindingKind.TUNING_SEEDS, "2 rows have seeds that were also used to choose settings"),
    "phases": (FRAME.assign(phase=["test"] * 17 + ["valid"]), FindingKind.OTHER_PHASE, "several values (test and valid)"),
    "constant": (FRAME.assign(accuracy=0.5), FindingKind.CONSTANT, "Every run has the same value of accuracy, 0.5"),
    "one constant arm": (FRAME.assign(accuracy=FRAME["accuracy"].where(FRAME["method"] != "ours", 0.8)), FindingKind.CONSTANT, "One arm has the same value of accuracy in every run"),
    "unequal": (FRAME.drop(index=[17]), FindingKind.UNEQUAL_RUNS, "0.10 has 5 runs and ours has 6"),
    "lost pairs": (FRAME.drop(index=[17]), FindingKind.LOST_PAIRS, "1 comparison left out 1 run because the other arm has no run with the same seed"),
    "few": (FRAME[FRAME["seed"] < 4], FindingKind.FEW_SEEDS, "All comparisons rest on fewer than 5 runs"),
    "too few": (FRAME[FRAME["seed"] < 2], FindingKind.FEW_SEEDS, "A verdict needs three different seeds of each arm"),
    "one run": (FRAME[FRAME["seed"] < 1], FindingKind.ONE_RUN, "All comparisons rest on at most one run of an arm"),
    "formula": (change("method", {2: "=HYPERLINK()"}), FindingKind.HOSTILE_NAMES, "1 name with unusual characters or great length: =HYPERLINK()"),
    "bidi": (change("method", {2: "\u202eabc"}), FindingKind.HOSTILE_NAMES, r"\u202eabc"),
    "hebrew": (change("method", {2: "שלום"}), FindingKind.HOSTILE_NAMES, "1 name written from right to left"),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT_OUT)
def test_the_audit_says_what_it_found(case: str) -> None:
    frame, kind, told = LEFT_OUT[case]
    assert told in find(judge(frame), kind).sentence


def test_no_finding_is_made_about_a_clean_table() -> None:
    assert judge(FRAME).findings == []


def test_a_metric_whose_name_says_that_lower_is_better_is_doubted() -> None:
    frame = FRAME.rename(columns={"accuracy": "val_loss"})
    told = find(judge(frame, metric="val_loss"), FindingKind.DIRECTION).sentence
    assert told.endswith("If that is wrong, add --lower-is-better.")
    assert judge(frame, metric="val_loss", lower_is_better=True).findings == []
    assert find(judge(FRAME, lower_is_better=True), FindingKind.DIRECTION)


def test_shares_beside_per_cent_are_refused_for_a_share_and_doubted_for_another_metric() -> None:
    mixed = FRAME.assign(accuracy=FRAME["accuracy"] * np.where(FRAME["seed"] < 2, 100, 1))
    with pytest.raises(
        AblateError,
        match=r"the arm 'ours' has some values of accuracy from 0 to 1 and others .* to 100: write",
    ):
        judge(mixed)
    assert find(judge(mixed.rename(columns={"accuracy": "x"}), metric="x"), FindingKind.MIXED_UNITS)


def test_differing_runs_of_one_seed_count_once_with_their_mean() -> None:
    repeated = pd.concat([FRAME, FRAME.head(6).assign(accuracy=FRAME["accuracy"] + 0.1)])
    expected = FRAME.assign(accuracy=FRAME["accuracy"] + np.where(FRAME["method"] == "ours", 0.05, 0))
    found, wanted = judge(repeated).comparisons, judge(expected).comparisons
    assert found["difference"].to_list() == pytest.approx(wanted["difference"].to_list())
    assert list(found["arm_runs"]) == [6, 6]


def test_a_part_without_the_baseline_is_left_out() -> None:
    parts = FRAME.assign(data=["a"] * 9 + ["b"] * 9)
    judged = judge(parts, by="data")
    assert set(judged.comparisons["part"]) == {"a"}
    assert (
        "1 part left out, because the baseline has no run there: b."
        in find(judged, FindingKind.NO_BASELINE).sentence
    )
    with pytest.raises(
        AblateError,
        match="by: in this column, runs of 'ours' and of other arms never have the same value",
    ):
        judge(FRAME.assign(data=FRAME["method"]), by="data")


def test_a_column_with_too_many_names_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"method": range(30), "seed": 0, "accuracy": 0.5})
    monkeypatch.setattr(run_columns, "MOST_NAMES", 20)
    with pytest.raises(
        AblateError, match="'method' has more than 20 different values: name a column with few"
    ):
        judge(frame, baseline="0")


SEEDS = {
    "integers": [1, 2, 3], "text": ["1", "2", "3"], "floats": [1.0, 2.0, 3.0], "huge": [2**70, 2**70 + 1, 7],
    "negative": [-1, -2, -3], "words": ["a", "b", "c"], "fractions": [0.5, 1.5, 2.5],
}  # fmt: skip


@pytest.mark.parametrize("kind", SEEDS)
def test_seeds_of_every_type_are_told_apart(kind: str) -> None:
    frame = pd.DataFrame({"method": ["a"] * 3, "seed": SEEDS[kind], "accuracy": 0.5})
    columns = read_columns(frame, Question(**{**QUESTION, "baseline": "a"}))
    assert columns.seeds is not None
    assert columns.has_seed is not None
    assert len(set(columns.seeds.tolist())) == 3
    assert columns.has_seed.all()
    if kind in ("text", "floats"):
        assert columns.seeds.tolist() == [1, 2, 3]


CELLS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.integers(-3, 3), st.sampled_from(["x", "", "nan", "1e3", None, True, [1], 10**400])
)  # fmt: skip
NAMES = st.sampled_from(["ours", "b", "c", "=1+1", "<b>", "‮x", "", None, "nan", 10**400])


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    size = draw(st.integers(0, 14))
    columns = {
        "method": NAMES,
        "seed": st.one_of(st.integers(0, 4), st.sampled_from([None, "x", 1.5, [1]])),
        "accuracy": CELLS,
    }
    return pd.DataFrame(
        {name: draw(st.lists(cells, min_size=size, max_size=size)) for name, cells in columns.items()}
    )


@settings(max_examples=40, deadline=None)
@given(frames(), st.booleans(), st.randoms(use_true_random=False))
def test_any_table_gets_an_answer_or_one_line_and_the_order_of_rows_changes_nothing(
    frame: pd.DataFrame, lower: bool, random: Any
) -> None:
    order = list(range(len(frame)))
    random.shuffle(order)
    answers = []
    for rows in (frame, frame.iloc[order]):
        try:
            judged = judge(rows, lower_is_better=lower)
        except AblateError as error:
            answers.append(re.split(" has text such as | in row ", str(error))[0])
            assert "\n" not in str(error)
            continue
        found = judged.comparisons
        answers.append(judged.answer + found.to_csv())
        means = judged.arms.set_index("arm")["metric_mean"]
        for row in found.dropna(subset=["difference"]).to_dict("records"):
            if row["arm_runs"] == means.count() or row["test"] == "Welch":
                expected = means[row["arm"]] - means["ours"]
                assert (
                    np.sign(row["difference"]) == np.sign(expected) or abs(expected) < 1e-6 * abs(means).max()
                )
            ahead = "ours" if (row["difference"] > 0) == lower else None
            if row["difference"] and ahead:
                assert "so ours is ahead" in judged.answer
    assert answers[0] == answers[1]


def test_lines_of_json_may_lack_keys_and_have_more(tmp_path: Path) -> None:
    lines = [json.dumps(row) for row in ROWS] + [json.dumps({"method": "none", "deep": {"x": [1]}})]
    (tmp_path / "runs.jsonl").write_text("\n".join(lines))
    judged = judge(tmp_path / "runs.jsonl")
    assert find(judged, FindingKind.MISSING_SEED).rows == (19,)


def test_an_export_of_wandb_is_judged_and_its_crashed_runs_are_left_out(tmp_path: Path) -> None:
    page = {"Name": [f"run-{i}" for i in range(18)], "State": ["finished"] * 17 + ["crashed"]}
    FRAME.assign(**page, Created="2026", Runtime=1, Tags="", User="me").to_csv(
        tmp_path / "export.csv", index=False
    )
    judged = judge(tmp_path / "export.csv")
    assert find(judged, FindingKind.UNFINISHED).sentence.startswith(
        "1 row left out: the run did not finish (failed)"
    )
    pd.testing.assert_frame_equal(judged.comparisons, judge(FRAME.head(17)).comparisons)


def test_the_order_of_a_seeds_runs_changes_neither_its_mean_nor_the_finding() -> None:
    again = pd.DataFrame({"method": "none", "seed": 0, "accuracy": [0.1, 0.3, 0.2, 0.1]})
    judged = [
        judge(pd.concat([FRAME, again.iloc[order]])) for order in ([0, 1, 2, 3], [1, 2, 3, 0], [3, 2, 1, 0])
    ]
    assert len({one.comparisons["difference"].iloc[1] for one in judged}) == 1
    ends = FRAME[(FRAME["method"] == "none") & (FRAME["seed"] == 0)]
    around = judge(pd.concat([FRAME, again.head(1), ends]))
    assert [finding.kind for finding in around.findings] == [FindingKind.SEVERAL_RUNS]


def test_runs_of_ablate_that_chose_settings_do_not_count() -> None:
    tuned = FRAME.assign(phase="tune", accuracy=0.1)
    judged = judge(pd.concat([tuned, FRAME.assign(phase="confirm")]))
    pd.testing.assert_frame_equal(judged.comparisons, judge(FRAME).comparisons)
    assert find(judged, FindingKind.OTHER_PHASE).count == 18
