"""Folders that W&B wrote in offline mode become one row per run."""

import json
import shutil
from pathlib import Path

import pytest

from ablate.errors import AblateError
from ablate.judging import sources
from tests.judging.sources.real_tools import run_python
from tests.with_parts import needed

TRAIN = """\
import os, sys, time, wandb
import numpy as np

for seed in (1, 2, 3):
    run = wandb.init(mode="offline", project="rates", name=f"run {seed}", id=f"id{seed}", group="ours",
                     config={"seed": seed, "acc": "max", "opt": {"lr": 0.1 * seed, "betas": [0.9, 0.99]}, "text": "x" * 40_000})
    for step in range(300):
        run.log({"acc": seed + step, "val": {"f1": step}, "bad": float("nan"), "big": float("inf")})
    run.config.update({"late": seed})
    run.log({"weights": wandb.Histogram(np.arange(5)), "note": "text"})
    if seed == 2:
        time.sleep(1)
    run.finish(exit_code=seed - 1)
    if seed == 1:
        time.sleep(1.1)  # the folder of a resumed run is named after the second
        run = wandb.init(mode="offline", project="rates", id="id1", resume="must")
        run.log({"acc": 0.5})
        run.finish()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs of W&B: one that was resumed, one that failed, one whose log is torn."""
    needed("wandb")
    made = tmp_path_factory.mktemp("wandb")
    (made / "train.py").write_text(TRAIN)
    run_python("train.py", folder=made, WANDB_SILENT="true", WANDB_DIR=str(made), HOME=str(made))
    (log,) = (made / "wandb").glob("offline-run-*-id3/run-id3.wandb")
    log.write_bytes(log.read_bytes()[:60_000])
    return made


def chunk(record: bytes) -> bytes:
    """A record in one piece: checksum (not read), length, kind 1, content."""
    return bytes(4) + len(record).to_bytes(2, "little") + b"\x01" + record


def write_run(folder: Path, summary: str, config: str) -> None:
    """The files of a run that was synchronised with a server."""
    (folder / "files").mkdir(parents=True)
    (folder / "files" / "wandb-summary.json").write_text(summary)
    (folder / "files" / "config.yaml").write_text(config)


@pytest.mark.sources
def test_what_wandb_itself_writes_is_read(folder: Path) -> None:
    runs = sources.read_runs(str(folder))
    assert list(runs.source_run) == ["id1", "id2", "id3"]
    assert list(runs.status) == ["finished", "failed", "running"]
    assert list(runs.seed) == [1, 2, 3]
    assert list(runs["opt.lr"]) == pytest.approx([0.1, 0.2, 0.3])
    assert runs.late[0] == 1
    assert list(runs.group[:2]) == ["ours", "ours"]
    assert runs.acc[0] == "max"
    first = runs.iloc[0]
    assert (first["metric.acc"], first["val.f1"], first.big) == (0.5, 299, float("inf"))
    assert runs.bad.isna().all()
    assert runs["metric.acc"][1:].isna().all()
    assert not {"_timestamp", "weights", "weights._type", "note"} & {*runs.columns}


@pytest.mark.sources
def test_a_single_run_is_read_and_one_of_several_projects_must_be_named(folder: Path, tmp_path: Path) -> None:
    (one,) = (folder / "wandb").glob("*-id2")
    assert list(sources.read_runs(str(one)).source_run) == ["id2"]
    shutil.copytree(one, tmp_path / one.name)
    log = tmp_path / one.name / "run-id2.wandb"
    log.write_bytes(log.read_bytes().replace(b"rates", b"speed").replace(b"id2", b"id4"))
    shutil.copytree(one, tmp_path / one.name.replace("id2", "id5"))
    with pytest.raises(AblateError, match="has 2 W&B projects: name one of rates, speed"):
        sources.read_runs(str(tmp_path))
    assert list(sources.read_runs(str(tmp_path), experiment="speed").source_run) == ["id4"]
    with pytest.raises(AblateError, match=r"has no W&B project 'rate': did you mean 'rates'\?"):
        sources.read_runs(str(tmp_path), experiment="rate")


@pytest.mark.sources
def test_a_log_that_is_damaged_in_the_middle_is_refused(folder: Path, tmp_path: Path) -> None:
    (one,) = (folder / "wandb").glob("*-id2")
    shutil.copytree(one, tmp_path / one.name)
    log = tmp_path / one.name / "run-id2.wandb"
    content = log.read_bytes()
    log.write_bytes(content[:20] + b"\xff" * 200 + content[220:])
    with pytest.raises(AblateError, match=r"run-id2\.wandb: is a damaged log of W&B"):
        sources.read_runs(str(tmp_path))


def test_a_record_never_begins_in_the_last_six_bytes_of_a_block(tmp_path: Path) -> None:
    """LevelDB's format fills them with zeros. Few logs have a record that ends just there."""
    folder = tmp_path / "run-20260101_000000-abc"
    folder.mkdir()
    item = b"\x0a\x03acc\x82\x01\x030.5"  # key: acc, value_json: 0.5
    summary = b"\x1a" + bytes([len(item) + 2]) + b"\x0a" + bytes([len(item)]) + item
    output = b"\x22\xeb\xff\x01" + bytes(32_747)  # ends three bytes before the block does
    (folder / "run-abc.wandb").write_bytes(
        b":W&B\xe1\xbe\x00" + chunk(output) + bytes(3) + chunk(summary) + chunk(b"\x92\x01\x00")
    )
    runs = sources.read_runs(str(tmp_path))
    assert runs.to_dict("records") == [{"source_run": "abc", "status": "finished", "acc": 0.5}]


def test_a_log_with_a_piece_of_unknown_kind_is_refused(tmp_path: Path) -> None:
    damaged = chunk(b"\x92\x01\x00").replace(b"\x01\x92", b"\x09\x92")
    (tmp_path / "run-abc.wandb").write_bytes(b":W&B\xe1\xbe\x00" + damaged)
    with pytest.raises(AblateError, match=r"is a damaged log of W&B \(ValueError: chunk of unknown kind 9\)"):
        sources.read_runs(str(tmp_path))


def test_files_of_a_synchronised_run_are_read_where_the_log_is_gone(tmp_path: Path) -> None:
    config = "wandb_version: 1\n_wandb:\n  value: {cli_version: 0.16}\nopt:\n  desc: null\n  value: {lr: 0.1}\nseed:\n  value: 3\n"
    summary = {
        "acc": 0.5,
        "loss": "NaN",
        "_step": 7,
        "_timestamp": 1.7e9,
        "_wandb": {"runtime": 3},
        "image": {"_type": "image-file", "width": 28},
        "val": {"f1": {"max": 1}},
    }
    write_run(tmp_path / "wandb" / "run-20260101_000000-abc", json.dumps(summary), config)
    runs = sources.read_runs(str(tmp_path))
    assert list(runs.columns) == [
        "source_run",
        "status",
        "opt.lr",
        "seed",
        "acc",
        "loss",
        "_step",
        "val.f1.max",
    ]
    assert runs.drop(columns="loss").to_dict("records") == [
        {"source_run": "abc", "status": "finished", "opt.lr": 0.1, "seed": 3, "acc": 0.5, "_step": 7.0, "val.f1.max": 1.0}
    ]  # fmt: skip
    assert runs.loss.isna().all()


def test_the_link_to_the_latest_run_stands_for_that_run(tmp_path: Path) -> None:
    write_run(tmp_path / "wandb" / "run-20260101_000000-abc", '{"acc": 0.5}', "{}")
    (tmp_path / "wandb" / "latest-run").symlink_to("run-20260101_000000-abc")
    assert list(sources.read_runs(str(tmp_path)).source_run) == ["abc"]
    assert list(sources.read_runs(str(tmp_path / "wandb" / "latest-run")).source_run) == ["abc"]


def test_a_summary_that_is_torn_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "run-20260101_000000-abc", '{"acc": 0.', "{}")
    with pytest.raises(AblateError, match=r"wandb-summary\.json: is not a complete JSON file"):
        sources.read_runs(str(tmp_path))
