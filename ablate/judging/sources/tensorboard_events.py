"""Runs from folders of TensorBoard's event files."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ablate.errors import AblateError, format_error, install_command
from ablate.judging.sources.run_table import RunStatus, SourceRun, add_facts, make_run_table

if TYPE_CHECKING:
    from tensorboard.compat.proto.event_pb2 import Event

_EVENT_FILE = "tfevents"
"""TensorBoard reads every file with this text in its name as an event file."""
PARTS = ("train", "training", "validation", "valid", "val", "test", "eval", "evaluation")
"""Folders with these names are parts of the run in the folder above.

Keras writes `train` and `validation`.
"""
_TIME = re.compile(r"\d{9,}\.\d+")
"""The name of the extra folder that torch's `add_hparams` makes: the time in seconds."""
_START, _END = "_hparams_/session_start_info", "_hparams_/session_end_info"


@dataclass(kw_only=True)
class _EventRun:
    """What the folders of one run contain. A value that is read later replaces an earlier one."""

    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    last_step: int = -1
    has_failed: bool = False


def recognise(source: str) -> bool:
    """Return whether the source is an event file of TensorBoard, or a folder that contains event files."""
    return bool(_find_folders(Path(source)))


def read_runs(source: str) -> pd.DataFrame:
    """Return one row per run, with the last value of every scalar.

    A run is a folder with event files. If a folder has several event files, the training of one run was
    resumed. The value of a scalar that was written last counts. Some folders belong to the run in the folder
    above: the folder that torch's `add_hparams` makes, and folders with names such as `train` or
    `validation`. The scalars in a folder `validation` are called `validation.NAME`.

    The columns after `source_run` (the folder) and `status` are: the parameters that were written for the
    HParams plugin, the columns `folder_1`, `folder_2` … (the names of the folders on the way to the run),
    `last_step`, and the scalars. The names of the folders help if a run has no parameters.

    TensorBoard does not record how a run ended. A run counts as finished, unless a failure was written for
    the HParams plugin. Runs that ended early have a lower `last_step`.

    Args:
        source: the folder that you would pass to `tensorboard --logdir`.

    Raises:
        AblateError: TensorBoard is not installed, or a file is damaged.
    """
    top = Path(source)
    runs: dict[Path, _EventRun] = {}
    folders = _find_folders(top)
    for folder in folders:
        owner, part = _find_owner(folder, top, {*folders})
        _add_events(runs.setdefault(owner, _EventRun()), folder, part)
    return make_run_table([_make_run(top, folder, run) for folder, run in sorted(runs.items())])


def read_metrics(top: Path) -> tuple[dict[str, float], int]:
    """Return the last value of every scalar of one run, and its last step (-1 if there is none).

    Args:
        top: the run's folder. All folders below it belong to the run.

    Raises:
        AblateError: TensorBoard is not installed, or a file is damaged.
    """
    run = _EventRun()
    for folder in _find_folders(top):
        _add_events(run, folder, f"{folder.name}." if folder.name.lower() in PARTS else "")
    return run.metrics, run.last_step


def _find_folders(top: Path) -> list[Path]:
    """Find the folders with event files. A folder comes before the folders below it.

    If `top` is an event file, the list contains only this file.
    """
    if top.is_file():
        return [top] if _EVENT_FILE in top.name else []
    found = (Path(folder) for folder, _, files in os.walk(top) if any(_EVENT_FILE in name for name in files))
    return sorted(found)


def _find_owner(folder: Path, top: Path, folders: set[Path]) -> tuple[Path, str]:
    """Return the folder of the run that a folder belongs to, and the prefix for the names of its scalars."""
    if folder != top and _TIME.fullmatch(folder.name) and folder.parent in folders:
        return folder.parent, ""
    if folder != top and folder.name.lower() in PARTS:
        return folder.parent, f"{folder.name}."
    return folder, ""


def _add_events(run: _EventRun, folder: Path, prefix: str) -> None:
    """Add the last value of every scalar in the event files of a folder.

    The files are read in the order in which they were written. TensorBoard's own `EventAccumulator` takes
    seven times as long, because it converts every value.
    """
    plugins: dict[str, str] = {}
    last: dict[str, Any] = {}
    for event in _read_events(folder):
        for value in event.summary.value:
            # Only the first value of a tag names the plugin that displays the tag. torch names no plugin for
            # scalars.
            plugin = plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
            if plugin == "hparams":
                _add_session(run, value.tag, value.metadata.plugin_data.content)
            elif value.HasField("simple_value") or (plugin == "scalars" and value.HasField("tensor")):
                last[value.tag] = value
                run.last_step = max(run.last_step, event.step)
    run.metrics |= {f"{prefix}{tag}": _get_number(value) for tag, value in last.items()}


def _read_events(folder: Path) -> Iterator["Event"]:
    """Yield the events in all event files of a folder. An incomplete end of a file is left out.

    Raises:
        AblateError: TensorBoard is not installed, or a file is damaged.
    """
    try:
        from google.protobuf.message import DecodeError
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    except ImportError:
        raise AblateError(f"{folder}: TensorBoard is not installed: {install_command('sources')}") from None
    files = (
        [folder] if folder.is_file() else sorted(folder.glob(f"*{_EVENT_FILE}*"))
    )  # the names contain the time
    for file in files:
        try:
            yield from LegacyEventFileLoader(str(file)).Load()
        except (OSError, DecodeError) as error:
            raise AblateError(f"{file}: TensorBoard cannot read this file ({format_error(error)})") from None


def _add_session(run: _EventRun, tag: str, content: bytes) -> None:
    """Add the parameters and the status that were written for the HParams plugin."""
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

    told = plugin_data_pb2.HParamsPluginData.FromString(content)
    if tag == _START:
        for name, value in told.session_start_info.hparams.items():
            kind = value.WhichOneof("kind")
            run.parameters[name] = getattr(value, kind) if kind else None
    elif tag == _END:
        run.has_failed = told.session_end_info.status == api_pb2.STATUS_FAILURE


def _get_number(value: Any) -> float:
    """Return the number of a scalar. TensorFlow 2 writes this number as a tensor, but torch does not."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    from tensorboard.util import tensor_util

    return float(tensor_util.make_ndarray(value.tensor).item())


def _make_run(top: Path, folder: Path, run: _EventRun) -> SourceRun:
    where = folder.relative_to(top)
    names = where.parts or (folder.name,)
    facts = dict(sorted(run.parameters.items()))
    add_facts(facts, "tensorboard", {f"folder_{level}": name for level, name in enumerate(names, start=1)})
    if run.last_step >= 0:
        add_facts(facts, "tensorboard", {"last_step": run.last_step})
    finished = RunStatus.FINISHED if run.metrics else RunStatus.NO_RESULT
    return SourceRun(
        source_run=str(where) if where.parts else folder.name,
        status=RunStatus.FAILED if run.has_failed else finished,
        parameters=facts,
        metrics=run.metrics,
    )
