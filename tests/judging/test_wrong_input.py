"""Input that is no table of runs, or only almost one: it is read, or refused in one line with the remedy."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ablate
from ablate.errors import AblateError

QUESTION: dict[str, Any] = {"arm": "arm", "seed": "seed", "metric": "acc", "baseline": "a"}
FRAME = pd.DataFrame(
    [(arm, seed, 0.8 + shift + 0.01 * seed % 0.03) for arm, shift in (("a", 0.0), ("b", 0.05)) for seed in range(4)],
    columns=["arm", "seed", "acc"],
)  # fmt: skip
CSV = FRAME.to_csv(index=False)
ROWS = FRAME.to_dict("records")


def judge(source: Any, **changes: Any) -> ablate.JudgedRuns:
    return ablate.judge(source, **{**QUESTION, **changes})


def write_lines(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def make_workbook(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")


WRONG_OBJECTS: dict[str, tuple[Callable[[], object], str]] = {
    "rows": (lambda: ROWS, r"runs: an object of type list is not read: give pandas.DataFrame\(runs\), or a path"),
    "a dict": (lambda: FRAME.to_dict("list"), r"of type dict is not read: give pandas.DataFrame\(runs\), or a path"),
    "a series": (lambda: FRAME["acc"], "of type Series is not read: give a pandas DataFrame or a path"),
    "nothing": (lambda: None, "of type NoneType is not read: give a pandas DataFrame or a path"),
    "bytes": (lambda: b"runs.csv", "of type bytes is not read: give the path as a str"),
    "an Arrow table": (lambda: pytest.importorskip("pyarrow").table({"acc": [1]}), r"of type Table is not read: give its .to_pandas\(\)"),
    "standard input": (lambda: "-", "-: standard input is not read: save the table to a file"),
    "a folder": (lambda: str(Path(__file__).parent), r"the folder has no records of a known tool: give the file with the table"),
    "a web address": (lambda: "https://x.org/runs.csv?raw=1", "a web address is not read: download the file first"),
    "a missing file": (lambda: "runs.dat", "runs.dat: there is no such file"),
    "an empty path": (lambda: " ", "the path is empty: name a file"),
    "NUL": (lambda: "a\0.csv", r"'a\\x00.csv' cannot be a path: save the table to a file"),
    "a table's text": (lambda: CSV, "runs: 'arm,seed,acc.*…' cannot be a path: save the table to a file"),
    "a long name": (lambda: f"{'x' * 300}.csv", "cannot be a path"),
    "a list as arm": (lambda: FRAME.assign(arm=[["a"]] * 8), "frame: the column 'arm' has a list in row 1: write one text or number"),
    "a dict as seed": (lambda: FRAME.assign(seed=[*"1234567", {"x": 1}]), "the column 'seed' has a dict in row 8: write one"),
    "an array as arm": (lambda: FRAME.assign(arm=[np.zeros(2)] * 8), "the column 'arm' has a ndarray in row 1"),
    "a list in a tuple": (lambda: FRAME.assign(arm=[([],)] * 8), "the column 'arm' has a tuple in row 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_OBJECTS)
def test_an_object_that_is_no_table_is_refused_with_the_remedy(case: str) -> None:
    make, told = WRONG_OBJECTS[case]
    with pytest.raises(AblateError, match=told) as caught:
        judge(make())
    assert len(str(caught.value)) < 250


WRONG_TYPES: dict[str, tuple[dict[str, Any], str]] = {
    "margin": (
        {"margin": "0.01"},
        r"margin: '0.01' \(str\) is not a number: write it as 0.01, without quotes",
    ),
    "alpha": ({"alpha": "0.05"}, r"alpha: '0.05' \(str\) is not a number"),
    "a bool": ({"margin": True}, r"margin: 'True' \(bool\) is not a number"),
    "a huge margin": ({"margin": 10**400}, "one of these numbers is too large: give a smaller one"),
    "metric": ({"metric": 5}, r"metric: '5' \(int\) is not a column's name, which is a text: write '5'"),
    "by": ({"by": ["ds"]}, r"by: .*\(list\) is not a column's name, which is a text: give one name"),
    "direction": ({"lower_is_better": "no"}, "lower_is_better: 'no' .* is neither True nor False"),
}


@pytest.mark.parametrize("case", WRONG_TYPES)
def test_an_argument_of_a_wrong_type_is_refused_with_the_remedy(case: str) -> None:
    changes, told = WRONG_TYPES[case]
    with pytest.raises(AblateError, match=told):
        judge(FRAME, **changes)


STRANGE_FILES: dict[str, bytes] = {
    "line-ends-of-old-macs.csv": CSV.replace("\n", "\r").encode(),
    "gzip-without-its-ending.csv": gzip.compress(CSV.encode()),
    "text-with-the-ending.csv.gz": CSV.encode(),
    "a-header-of-140,000-letters.csv": "\n".join(
        f"{line},{','.join(['c' * 10_000] * 14) if i == 0 else ',' * 13}" for i, line in enumerate(CSV.split())
    ).encode(),
    "a-status-of-lists.jsonl": write_lines([{**row, "status": [1]} for row in ROWS]),
    "spaces-in-the-header.csv": CSV.replace("arm,seed,acc", " arm, seed,acc ").encode(),
    "a-number-sign-in-the-header.csv": CSV.replace("arm,seed,acc", "#,arm,seed,acc").replace("\n", "\n9,")[:-2].replace("9,#", "#").encode(),
    "a-huge-integer.jsonl": write_lines([*ROWS, {"arm": "a", "seed": 9, "acc": 10**400}]),
}  # fmt: skip


@pytest.mark.parametrize("name", STRANGE_FILES)
def test_a_strange_but_clear_file_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(STRANGE_FILES[name])
    pd.testing.assert_frame_equal(judge(tmp_path / name).comparisons, judge(FRAME).comparisons)


WRONG_FILES: dict[str, tuple[bytes, str]] = {
    "long-field.csv": (b"x" * 140_000 + b"\n1\n", "the first line has a field of more than 131,072 letters: give a"),
    "comment.csv": (f"# written by x, y\n{CSV}".encode(), "the first line is a comment: delete all lines before"),
    "sep.csv": (f"sep=,\n{CSV}".encode(), "the first line 'sep=,' is no header: delete it"),
    "r.csv": (CSV.replace("\n", "\n1,").encode()[:-2], "put quotes around .*; if R wrote the table, use row.names = FALSE"),
    "array.json": (json.dumps(ROWS).encode(), "write a table as one object in each line of a file that ends with .jsonl"),
    "dict.jsonl": (write_lines([{**row, "arm": {"x": 1}} for row in ROWS]), "the column 'arm' has a dict in row 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_FILES)
def test_a_file_of_another_kind_is_refused_with_the_remedy(name: str, tmp_path: Path) -> None:
    content, told = WRONG_FILES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AblateError, match=told):
        judge(tmp_path / name)


def test_a_workbook_with_the_ending_of_csv_is_refused_with_the_remedy(tmp_path: Path) -> None:
    make_workbook(tmp_path / "runs.csv")
    with pytest.raises(AblateError, match="is a zip archive or an Excel workbook: save the table as CSV"):
        judge(tmp_path / "runs.csv")


def test_columns_of_an_index_and_keys_inside_an_object_are_found(tmp_path: Path) -> None:
    expected = judge(FRAME).comparisons
    for frame in (FRAME.set_index("seed"), FRAME.set_index(["arm", "seed"])):
        pd.testing.assert_frame_equal(judge(frame).comparisons, expected)
    nested = [{"config": {"x": {"arm": row["arm"]}}, "seed": row["seed"], "acc": row["acc"]} for row in ROWS]
    (tmp_path / "runs.jsonl").write_bytes(write_lines([*nested, {"config": 1}]))
    pd.testing.assert_frame_equal(judge(tmp_path / "runs.jsonl", arm="config.x.arm").comparisons, expected)
