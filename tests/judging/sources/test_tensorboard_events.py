"""Event files that TensorBoard's own writers wrote become one row per run."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ablate.errors import AblateError
from ablate.judging import sources
from ablate.judging.sources import tensorboard_events


def write(folder: Path, *numbers: dict[str, float], first: int = 0, **parameters: Any) -> None:
    """Write scalars by torch's writer, one mapping a step; then parameters as `add_hparams` does by itself."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for step, scalars in enumerate(numbers, start=first):
            for tag, value in scalars.items():
                writer.add_scalar(tag, value, step)
        if parameters:
            writer.add_hparams(parameters, {"final/accuracy": 0.75})


def read(folder: Path) -> pd.DataFrame:
    return sources.read_runs(str(folder))


def test_the_last_value_of_each_scalar_counts_and_parameters_are_those_of_the_plugin(tmp_path: Path) -> None:
    write(tmp_path / "a", {"loss": 4}, {"loss": 2}, seed=1, method="ours", fast=True)
    write(tmp_path / "b", {"loss": 3}, seed=2, method="theirs", fast=False)
    runs = read(tmp_path)
    assert list(runs.columns) == ["source_run", "status", "fast", "method", "seed", "folder_1", "last_step", "loss", "final/accuracy"]  # fmt: skip
    assert runs.drop(columns="folder_1").to_dict("records") == [
        {"source_run": "a", "status": "finished", "fast": 1.0, "method": "ours", "seed": 1.0, "last_step": 1, "loss": 2.0, "final/accuracy": 0.75},
        {"source_run": "b", "status": "finished", "fast": 0.0, "method": "theirs", "seed": 2.0, "last_step": 0, "loss": 3.0, "final/accuracy": 0.75},
    ]  # fmt: skip


def test_a_resumed_run_with_several_event_files_is_one_run(tmp_path: Path) -> None:
    """tensorflow/tensorboard#4055: a resumed writer adds a file and repeats the steps since its checkpoint."""
    write(tmp_path / "a", {"loss": 4}, {"loss": 3}, {"loss": 9})
    write(tmp_path / "a", {"loss": 2}, {"loss": 1}, first=2)
    runs = read(tmp_path)
    assert runs[["last_step", "loss"]].to_dict("records") == [{"last_step": 3, "loss": 1.0}]


def test_folders_of_training_and_validation_are_one_run(tmp_path: Path) -> None:
    """Keras writes the same tag into `train` and `validation`."""
    write(tmp_path / "ours" / "seed0" / "train", {"epoch_loss": 1})
    write(tmp_path / "ours" / "seed0" / "validation", {"epoch_loss": 2})
    runs = read(tmp_path)
    assert runs.drop(columns="last_step").to_dict("records") == [
        {"source_run": "ours/seed0", "status": "finished", "folder_1": "ours", "folder_2": "seed0", "train.epoch_loss": 1.0, "validation.epoch_loss": 2.0}
    ]  # fmt: skip


def test_a_file_that_a_kill_tore_is_read_up_to_there(tmp_path: Path) -> None:
    write(tmp_path, {"loss": 4}, {"loss": 2})
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-5])
    assert list(read(tmp_path).loss) == [4.0]
    assert list(read(file).loss) == [4.0]


def test_scalars_of_the_second_version_are_read(tmp_path: Path) -> None:
    """TensorFlow 2 writes scalars as tensors."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.scalar import summary_v2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(tmp_path))
    summary = summary_v2.scalar_pb("accuracy", 0.25)
    writer.add_event(Event(step=7, summary=summary))
    writer.close()
    runs = read(tmp_path)
    assert (runs.accuracy[0], runs.last_step[0], runs.source_run[0]) == (0.25, 7, tmp_path.name)


def test_a_failure_that_was_recorded_and_a_run_without_scalars_stay_as_rows(tmp_path: Path) -> None:
    from tensorboard.plugins.hparams import api_pb2, summary_v2
    from torch.utils.tensorboard import SummaryWriter

    write(tmp_path / "a", {"loss": 1})
    with SummaryWriter(str(tmp_path / "a")) as writer:
        writer.file_writer.add_summary(summary_v2.hparams_pb({"rate": 0.5}))
        ended = summary_v2._summary_pb(
            "_hparams_/session_end_info", summary_v2.plugin_data_pb2.HParamsPluginData(
                session_end_info=summary_v2.plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_FAILURE))
        )  # fmt: skip
        writer.file_writer.add_summary(ended)
    with SummaryWriter(str(tmp_path / "b")):
        pass
    runs = read(tmp_path)
    assert list(runs.status) == ["failed", "no result"]
    assert runs.rate[0] == 0.5
    assert "loss" not in runs or runs.loss.isna().all()


def test_a_scalar_that_is_not_a_number_stays_nan(tmp_path: Path) -> None:
    write(tmp_path, {"loss": 1.0}, {"loss": math.nan})
    assert list(read(tmp_path).status) == ["finished"]
    assert read(tmp_path).loss.isna().all()


def test_without_tensorboard_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "events.out.tfevents.1").write_bytes(b"")
    assert tensorboard_events.recognise(str(tmp_path))
    monkeypatch.setitem(
        __import__("sys").modules, "tensorboard.backend.event_processing.event_file_loader", None
    )
    with pytest.raises(AblateError, match=r"TensorBoard is not installed: pip install .*\[sources\]"):
        read(tmp_path)
