"""Cells of seeds and of the metric mean the same, whatever the rows around them and the format are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ablate
from ablate.errors import AblateError
from ablate.judging import table
from ablate.judging.number_formats import name_format
from ablate.judging.seed_codes import HASH_BIT, encode_seed, encode_seeds

QUESTION: dict[str, Any] = {"arm": "arm", "seed": "seed", "metric": "time", "baseline": "a"}
VALUES = [1.0, 1.2, 1.1, 1.5, 1.3, 1.35]
SEEDS: dict[str, tuple[list[object], list[object]]] = {
    "64 bits": ([1234567890123456780 + i for i in range(6)],) * 2,
    "unsigned": ([2**64 - 1 - i for i in range(6)],) * 2,
    "zeros before": ([f"0{i}" for i in range(6)], list(range(6))),
    "one is text": ([*range(5), "x"], ["0", "01", "2.0", "3", "+4", "x"]),
    "floats": ([0.1, 1.5, 2.25, 3.0, 4.0, 5.0], ["0.10", "1.50", "2.250", "3", "4.", "05"]),
}


def write_jsonl(frame: pd.DataFrame, path: Path) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in frame.to_dict("records")))


SOURCES: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "frame": lambda frame, path: None,
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "jsonl": write_jsonl,
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("case", SEEDS)
def test_a_seed_is_the_same_whatever_other_rows_and_the_format_are(
    case: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = SEEDS[case]
    rows = [
        {"arm": arm, "seed": seed, "time": value * (1 + (arm == "b") * value)}
        for arm, seeds in (("a", ours), ("b", theirs))
        for seed, value in zip(seeds, VALUES, strict=True)
    ]
    frame = pd.DataFrame([*rows, {"arm": "b", "seed": None, "time": 1.0}]).astype({"seed": object})
    frame["seed"] = pd.Series([*ours, *theirs, None], dtype=object)
    path = tmp_path / f"runs.{source}"
    SOURCES[source](frame, path)
    for chunk in (500_000, 4):
        monkeypatch.setattr(table, "CHUNK", chunk)
        judged = ablate.judge(path if path.exists() else frame, **QUESTION)
        assert "6 paired seeds" in judged.answer


@settings(deadline=None)
@given(st.integers(-(2**70), 2**70))
def test_an_integer_has_one_code_however_it_is_written(number: int) -> None:
    sign, digits = ("-", str(-number)) if number < 0 else ("", str(number))
    codes = {
        encode_seed(f"{sign}{zeros}{digits}{end}") for zeros in ("", "0", "000") for end in ("", ".", ".0")
    }
    assert len(codes) == 1
    (code,) = codes
    assert (code == number) == (abs(number) < HASH_BIT)


def test_different_texts_are_different_seeds() -> None:
    texts = [
        "0e1",
        "00e2",
        "1_0",
        "10",
        "1,0",
        "0x1",
        "1",
        "१२",
        "1e400",
        "",
        "9" * 5000,
        "0.1",
        "0.2",
        "inf",
    ]
    assert len({encode_seed(text) for text in texts}) == len(texts)


def test_seeds_that_a_frame_has_rounded_are_refused() -> None:
    with pytest.raises(AblateError, match=r"numbers above 2\^53, so different seeds may have become equal"):
        encode_seeds(pd.Series([2.0**60, None], name="seed"), "frame")


FORMATS = {
    "1,016.9": "a comma", "0,95": "a comma", "1.016,9": "a comma", "1 016.9": "thousands", "1'016": "thousands",
    "80.1%": "per cent", "0.8 ± 0.1": "spread", "0.8+/-0.1": "spread", "0.8 (0.1)": "spread",
    "12ms": "other characters", "−0.5": "other characters", "≈ 3": "other characters",
}  # fmt: skip


@pytest.mark.parametrize("text", FORMATS)
def test_a_number_written_as_text_beside_plain_numbers_is_refused(text: str, tmp_path: Path) -> None:
    rows = [("a", 0, "971.5"), ("a", 1, "965.8"), ("b", 0, text), ("b", 1, "960.1")]
    frame = pd.DataFrame(rows, columns=["arm", "seed", "time"])
    frame.to_csv(tmp_path / "runs.csv", index=False, sep=";")
    for source in (frame, tmp_path / "runs.csv"):
        with pytest.raises(
            AblateError, match=rf"row 3 of the column 'time' has .*{FORMATS[text]}.* write all"
        ):
            ablate.judge(source, **QUESTION)
    failed = frame.assign(status=["ok", "ok", "failed", "ok"])
    assert ablate.judge(failed, **QUESTION).comparisons["arm_runs"].tolist() == [1]


@pytest.mark.parametrize("text", ["oops", "<b>", "3 failed runs", "2024-01-01", "-", "inf", "n/a", ""])
def test_other_text_is_no_number(text: str) -> None:
    assert name_format(text) is None
