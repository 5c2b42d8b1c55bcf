"""Runs from the folder of a Ray Tune experiment. Ray itself is not needed."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ablate.errors import AblateError, did_you_mean
from ablate.judging.sources.files import keep_last_values, read_csv_rows, read_json, read_json_lines
from ablate.judging.sources.run_table import RunStatus, SourceRun, make_run_table

_PARAMETERS, _RESULTS, _PROGRESS, _ERROR = "params.json", "result.json", "progress.csv", "error.txt"
_STATUS = {
    "TERMINATED": RunStatus.FINISHED,
    "ERROR": RunStatus.FAILED,
    "RUNNING": RunStatus.RUNNING,
    "PAUSED": RunStatus.RUNNING,
    "PENDING": RunStatus.WAITING,
}
_NOT_METRICS = {
    "config", "trial_id", "trial_name", "experiment_id", "experiment_tag", "pid", "hostname", "node_ip",
    "date", "timestamp", "done", "should_checkpoint", "checkpoint_dir_name", "time_since_restore",
    "time_this_iter_s", "iterations_since_restore", "timesteps_since_restore", "warmup_time",
}  # fmt: skip
"""Entries that Ray adds to every result, and that are no metrics.

Ray also adds `training_iteration` and `time_total_s`, which are kept as metrics.
"""


def recognise(source: str) -> bool:
    """Return whether the source is a folder of trials of Ray Tune, a trial, or a folder of experiments."""
    return bool(_find_trials(Path(source)))


def read_runs(source: str, *, experiment: str | None = None) -> pd.DataFrame:
    """Return one row per trial, with the numbers that the trial reported last.

    The columns after `source_run` (the trial's folder) and `status` are: the trial's `config`
    (`params.json`), and the numbers in the last line of `result.json`. If there is no `result.json`,
    `progress.csv` is read. The status comes from the newest file `experiment_state-*.json`. If there is no
    such file, the status follows from the trial's folder. A trial that a scheduler stopped early counts as
    finished, because Ray records it as ended. Such a trial has a smaller `training_iteration`.

    Args:
        source: the folder of an experiment, or a folder of several experiments.
        experiment: the name of the experiment's folder. This name can be omitted if there is only one
            experiment.

    Raises:
        AblateError: a file is damaged, or there are several experiments and `experiment` is None.
    """
    trials = _find_trials(Path(source))
    folder = _choose(source, sorted({trial.parent for trial in trials}), experiment)
    states = _read_states(folder)
    return make_run_table([_read_trial(trial, states) for trial in trials if trial.parent == folder])


def _find_trials(path: Path) -> list[Path]:
    """Find the folders of trials: the path itself, or folders one or two levels below it."""
    for pattern in ("", "*/", "*/*/"):
        found = [one.parent for one in sorted(path.glob(pattern + _PARAMETERS)) if _is_trial(one.parent)]
        if found:
            return found
    return []


def _is_trial(folder: Path) -> bool:
    """Return whether a folder with `params.json` is the folder of a trial.

    A trial that waits has no file of results yet.
    """
    return any((folder / name).exists() for name in (_RESULTS, _PROGRESS, _ERROR, "params.pkl"))


def _choose(source: str, folders: list[Path], wanted: str | None) -> Path:
    names = [folder.name for folder in folders]
    if wanted is not None:
        if wanted not in names:
            raise AblateError(f"{source}: has no experiment '{wanted}': {did_you_mean(wanted, names)}")
        return folders[names.index(wanted)]
    if len(folders) > 1:
        raise AblateError(f"{source}: has {len(folders)} experiments: name one of {', '.join(names)}")
    if not folders:
        raise AblateError(f"{source}: has no trials of Ray Tune")
    return folders[0]


def _read_trial(folder: Path, states: Mapping[str, str]) -> SourceRun:
    results, last = _read_last(folder)
    config = read_json(folder / _PARAMETERS)
    return SourceRun(
        source_run=folder.name,
        status=_find_status(folder, last, states, has_results=results > 0),
        parameters=config if isinstance(config, dict) else {},
        metrics={name: value for name, value in last.items() if name not in _NOT_METRICS},
    )


def _read_last(folder: Path) -> tuple[int, dict[str, Any]]:
    """Return the number of results, and the last result.

    A restored trial writes the results since its checkpoint a second time. The last line is the last result
    also then.
    """
    last: dict[str, Any] = {}
    count = 0
    if (folder / _RESULTS).exists():
        for count, last in enumerate(read_json_lines(folder / _RESULTS), start=1):  # noqa: B007
            pass
    if not count and (folder / _PROGRESS).exists():
        row, count = keep_last_values(read_csv_rows(folder / _PROGRESS))
        last = {name.replace("/", "."): value for name, value in row.items()}  # names as from result.json
    return count, last


def _find_status(
    folder: Path, last: Mapping[str, Any], states: Mapping[str, str], *, has_results: bool
) -> RunStatus:
    state = states.get(folder.name) or states.get(str(last.get("trial_id")))
    if state in _STATUS:
        status = _STATUS[state]
        return status if has_results or status != RunStatus.FINISHED else RunStatus.NO_RESULT
    if (folder / _ERROR).exists():
        return RunStatus.FAILED
    if not has_results:
        return RunStatus.NO_RESULT
    return RunStatus.FINISHED if last.get("done") in (True, "True") else RunStatus.RUNNING


def _read_states(folder: Path) -> dict[str, str]:
    """Map the folder and the ID of every trial to Ray's word for the state of the trial.

    A resumed experiment writes another file of states. The newest file is read. The newest file has the last
    name, because the names contain the time.
    """
    files = sorted(folder.glob("experiment_state-*.json"))
    if not files:
        return {}
    content = read_json(files[-1])
    states: dict[str, str] = {}
    for trial in _list_trials(content):
        state = str(trial.get("status"))
        names = (trial.get("relative_logdir"), trial.get("trial_id"))
        states |= {str(name): state for name in names if name}
    return states


def _list_trials(content: Any) -> Iterator[dict[str, Any]]:
    """Yield the trials in a file of states. Ray 2.x writes a pair of JSON texts for each trial."""
    pairs = content.get("trial_data", []) if isinstance(content, dict) else []
    for pair in pairs:
        try:
            trial = json.loads(pair[0])
        except (TypeError, ValueError, LookupError):
            continue
        if isinstance(trial, dict):
            yield trial
