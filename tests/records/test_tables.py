"""Records and tables are read back as they were written, and files are written atomically."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from ablate.errors import FolderError
from ablate.records import files, tables
from ablate.records.columns import COLUMNS, TABLES
from ablate.records.run_records import EpochPoint, RunRecord, TimingBlock
from ablate.records.sqlite_record import SqliteRecord
from ablate.records.tables import make_frame

RECORD = RunRecord(
    phase="confirm",
    arm="pooling=max",
    setting="learning_rate=0.9",
    seed=3,
    values={"pooling": "max", "kernel_size": [3, 5], "batch_norm": True, "learning_rate": 0.9},
    status="complete",
    engine="loop",
    train_loss=0.25,
    train_accuracy=0.9,
    validation_accuracy=0.8,
    test_accuracy=0.1 + 0.2,
    test_balanced_accuracy=0.25,
    validation_metrics={"accuracy": 0.8, "log_loss": 0.7},
    test_metrics={"accuracy": 0.1 + 0.2, "balanced_accuracy": 0.25, "log_loss": 1 / 3},
    test_by_class={"shirt": (3, 10), "coat": (0, 1)},
    epochs=(EpochPoint(epoch=0.2, train_loss=0.5, train_accuracy=0.7), EpochPoint(epoch=1, train_loss=0.25, train_accuracy=0.9, validation_accuracy=0.8, train_seconds=1.5, examples_per_second=1000.0)),
)  # fmt: skip
DIVERGED = RunRecord(phase="tune", arm="baseline", setting="learning_rate=9", seed=1, values={"pooling": "avg", "learning_rate": 9.0}, status="diverged", engine="loop", cause="the loss became infinite or no number")  # fmt: skip
BLOCK = TimingBlock(arm="baseline", block=1, position=2, examples=2560, seconds=0.25, disturbed=False)


def test_a_record_is_read_from_the_storage_as_it_was_stored(tmp_path: Path) -> None:
    store = SqliteRecord(tmp_path / "study.db", "small")
    store.add({"a": RECORD})
    store.add({"b": DIVERGED})
    store.add({"c": BLOCK})
    store.close()
    again = SqliteRecord(tmp_path / "study.db", "small")
    assert again.runs == {"a": RECORD, "b": DIVERGED}
    assert again.runs["b"].cause == DIVERGED.cause
    assert again.blocks == {"c": BLOCK}
    again.close()


def test_the_next_command_tries_a_crashed_run_again(tmp_path: Path) -> None:
    store = SqliteRecord(tmp_path / "study.db", "small")
    store.add({"a": RunRecord(**{**vars(DIVERGED), "status": "failed"})})
    store.add({"b": DIVERGED})
    assert set(store.runs) == {"a", "b"}
    store.close()
    again = SqliteRecord(tmp_path / "study.db", "small")
    assert set(again.runs) == {"b"}
    again.close()


def test_the_storage_is_optunas_and_contains_no_running_trial(tmp_path: Path) -> None:
    import optuna

    store = SqliteRecord(tmp_path / "study.db", "small")
    store.add({"a": RECORD})
    store.add({"b": DIVERGED})
    store.close()
    confirm = optuna.load_study(study_name="small confirm", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert confirm.best_value == RECORD.test_accuracy
    assert confirm.best_params == {"learning_rate": 0.9}
    assert confirm.best_trial.intermediate_values == {1: 0.8}
    tune = optuna.load_study(study_name="small tune", storage=f"sqlite:///{tmp_path / 'study.db'}")
    assert [trial.state.name for trial in tune.trials] == ["FAIL"]
    assert tune.trials[0].user_attrs["status"] == "diverged"


@pytest.mark.parametrize("content", [b"no database" * 100, b"\x00" * 5000])
def test_a_file_that_is_not_a_database_of_runs_is_refused_and_left_unchanged(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "study.db"
    path.write_bytes(content)
    with pytest.raises(FolderError, match=r"study\.db: contains no usable records.*--fresh"):
        SqliteRecord(path, "small")
    assert path.read_bytes() == content


def test_the_runs_table_equals_the_expected_text(tmp_path: Path) -> None:
    table = tables.make_runs_frame(
        [RECORD, DIVERGED], ["pooling", "kernel_size", "batch_norm", "learning_rate"]
    )
    tables.write_table(table, tmp_path / "runs.csv")
    assert (tmp_path / "runs.csv").read_text() == (
        "phase,arm,setting,seed,status,pooling,kernel_size,batch_norm,learning_rate,"
        "train_loss,train_accuracy,validation_accuracy,test_accuracy,test_balanced_accuracy\n"
        'confirm,pooling=max,learning_rate=0.9,3,complete,max,"[3, 5]",true,0.9,0.25,0.9,0.8,0.30000000000000004,0.25\n'
        "tune,baseline,learning_rate=9,1,diverged,avg,,,9.0,,,,,\n"
    )


def test_the_runs_table_does_not_depend_on_the_order_in_which_runs_ended() -> None:
    records = [RECORD, DIVERGED, RunRecord(**{**vars(RECORD), "seed": 1})]
    assert tables.make_runs_frame(records, ["pooling"]).equals(
        tables.make_runs_frame(records[::-1], ["pooling"])
    )


def test_the_runs_table_contains_no_times() -> None:
    assert not {"seconds", "train_seconds", "examples_per_second"} & set(TABLES["runs"])


@pytest.mark.parametrize("name", ["runs", "epochs", "timing"])
def test_tables_read_back_as_they_were_written(tmp_path: Path, name: str) -> None:
    made = {
        "runs": tables.make_runs_frame([RECORD, DIVERGED], ["pooling"]),
        "epochs": tables.make_epochs_frame([RECORD]),
        "timing": make_frame("timing", [vars(BLOCK)]),
    }
    tables.write_table(made[name], tmp_path / "table.csv")
    pd.testing.assert_frame_equal(tables.read_table(name, tmp_path / "table.csv"), made[name])


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    tables.write_table(make_frame("timing", []), tmp_path / "table.csv")
    assert list(tables.read_table("timing", tmp_path / "table.csv").columns) == list(TABLES["timing"])


def test_a_table_of_an_older_version_is_read_with_empty_cells_in_the_later_columns(tmp_path: Path) -> None:
    made = tables.make_runs_frame([RECORD, DIVERGED], ["pooling"])
    tables.write_table(made.drop(columns="test_balanced_accuracy"), tmp_path / "table.csv")
    read = tables.read_table("runs", tmp_path / "table.csv")
    assert list(read.columns) == [*TABLES["runs"][:5], "pooling", *TABLES["runs"][5:]]
    pd.testing.assert_frame_equal(read, made.assign(test_balanced_accuracy=pd.array([pd.NA] * 2, "Float64")))


def test_a_record_of_an_older_version_is_read_without_the_later_values() -> None:
    raw = json.loads(RECORD.to_json())
    for later in ("test_balanced_accuracy", "validation_metrics", "test_metrics", "test_by_class"):
        del raw[later]
    old = RunRecord.from_json(json.dumps(raw))
    assert old == replace(
        RECORD, test_balanced_accuracy=None, validation_metrics={}, test_metrics={}, test_by_class={}
    )
    assert tables.make_metrics_frame([old]).empty
    assert tables.make_recalls_frame([old]).empty


def test_metrics_and_recalls_have_a_row_for_each_run_that_has_them(tmp_path: Path) -> None:
    tuned = replace(RECORD, phase="tune", seed=0, test_accuracy=None, test_metrics={}, test_by_class={})
    records = [tuned, replace(RECORD, seed=11), DIVERGED, RECORD]
    for name, make in (("metrics", tables.make_metrics_frame), ("recalls", tables.make_recalls_frame)):
        tables.write_table(make(records), tmp_path / f"{name}.csv")
        assert tables.read_table(name, tmp_path / f"{name}.csv").equals(make(list(reversed(records))))
    metrics = tables.make_metrics_frame(records)
    assert metrics[["phase", "seed"]].to_numpy().tolist() == [["confirm", 3], ["confirm", 11], ["tune", 0]]
    assert metrics["validation_log_loss"].tolist() == [0.7, 0.7, 0.7]
    assert metrics["test_log_loss"].tolist() == [1 / 3, 1 / 3, pd.NA]
    assert metrics["test_accuracy"].tolist() == [0.1 + 0.2, 0.1 + 0.2, pd.NA]
    assert metrics["test_brier"].isna().all()
    assert tables.make_recalls_frame(records).to_numpy().tolist() == [
        ["pooling=max", seed, *row] for seed in (3, 11) for row in (["shirt", 0.3, 10], ["coat", 0.0, 1])
    ]


def test_a_table_without_a_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("arm,block\nbaseline,1\n")
    with pytest.raises(ValueError, match="has no column"):
        tables.read_table("timing", tmp_path / "table.csv")


def test_every_column_of_every_table_is_explained() -> None:
    assert {column for columns in TABLES.values() for column in columns} == set(COLUMNS)


def test_a_file_is_written_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.csv"
    files.write_whole(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["table.csv"]
