"""Runs from the folders that Weights & Biases (W&B) writes beside a training script.

No server is contacted.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ablate.errors import AblateError, did_you_mean
from ablate.judging.sources.files import read_json, read_yaml
from ablate.judging.sources.run_table import RunStatus, SourceRun, add_facts, make_run_table
from ablate.judging.sources.wandb_log import WandbRun, is_wandb_log, read_wandb_log

_SUMMARY, _CONFIG = "wandb-summary.json", "config.yaml"
_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How W&B writes numbers that JSON does not have."""
_OWN = ("_wandb", "wandb_version", "_timestamp")


def recognise(source: str) -> bool:
    """Return whether the source is a folder `wandb`, the folder above it, or the folder of a single run."""
    return bool(_find_runs(Path(source)))


def read_runs(source: str, *, experiment: str | None = None) -> pd.DataFrame:
    """Return one row per run, with its summary.

    If the folder of a run contains the file `run-ID.wandb`, only this file is read. Otherwise
    `files/config.yaml` and `files/wandb-summary.json` are read. A run that was resumed has several folders
    with the same ID. These folders give one row with the latest values.

    The columns after `source_run` (the ID) and `status` are: the run's `config`, `name`, `group`, `job_type`,
    `project`, and the summary (W&B adds `_step` and `_runtime`). Images and other media are left out. If the
    end of a run was not recorded, its status is `running`. Such a run goes on, or it was killed. If the exit
    code of a run is not 0, its status is `failed`.

    Args:
        source: the folder `wandb`, the folder above it, or the folder of one run.
        experiment: the name of W&B's project. This name can be omitted if there is only one project.

    Raises:
        AblateError: a file is damaged, or there are several projects and `experiment` is None.
    """
    runs: dict[str, WandbRun] = {}
    for folder in _find_runs(Path(source)):
        found = _read_run(folder)
        name = found.texts.setdefault("run_id", folder.name.rpartition("-")[2])
        before = runs.setdefault(name, WandbRun())
        before.texts |= found.texts
        before.config |= found.config
        before.summary |= found.summary
        before.exit_code = found.exit_code
    project = _choose(source, sorted({run.texts.get("project", "") for run in runs.values()}), experiment)
    return make_run_table(
        [_make_run(run) for run in runs.values() if run.texts.get("project", "") == project]
    )


def _find_runs(path: Path) -> list[Path]:
    """Find the folders of runs, the oldest first. The link `latest-run` is left out."""
    candidates = [path, *path.glob("*run-*"), *path.glob("wandb/*run-*")]
    found = {folder.resolve() for folder in candidates if _is_run(folder)}
    return sorted(found, key=lambda folder: (folder.name.partition("run-")[2], folder))


def _is_run(folder: Path) -> bool:
    return _find_log(folder) is not None or (folder / "files" / _SUMMARY).exists()


def _find_log(folder: Path) -> Path | None:
    return next((path for path in sorted(folder.glob("run-*.wandb")) if is_wandb_log(path)), None)


def _read_run(folder: Path) -> WandbRun:
    if log := _find_log(folder):
        return read_wandb_log(log)
    files = folder / "files"
    config = read_yaml(files / _CONFIG) if (files / _CONFIG).exists() else {}
    summary = read_json(files / _SUMMARY)
    return WandbRun(
        config={
            name: entry["value"] if isinstance(entry, dict) and "value" in entry else entry
            for name, entry in (config.items() if isinstance(config, dict) else ())
        },
        summary=summary if isinstance(summary, dict) else {},
        exit_code=0,
    )


def _choose(source: str, names: list[str], wanted: str | None) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return wanted
    if wanted is not None:
        raise AblateError(f"{source}: has no W&B project '{wanted}': {did_you_mean(wanted, names)}")
    raise AblateError(f"{source}: has {len(names)} W&B projects: name one of {', '.join(names)}")


def _make_run(run: WandbRun) -> SourceRun:
    facts: dict[str, Any] = {}
    add_facts(facts, "config", _clean(run.config))
    add_facts(facts, "run", {name: text for name, text in run.texts.items() if name != "run_id"})
    if run.exit_code is None:
        status = RunStatus.RUNNING
    else:
        status = RunStatus.FINISHED if run.exit_code == 0 else RunStatus.FAILED
    return SourceRun(
        source_run=run.texts["run_id"], status=status, parameters=facts, metrics=_clean(run.summary)
    )


def _clean(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out W&B's own entries and media, and replace the texts `NaN` and `Infinity` by numbers."""
    kept = {name: value for name, value in values.items() if name not in _OWN}
    return {
        name: _clean(value) if isinstance(value, dict) else _replace(value)
        for name, value in kept.items()
        if not (isinstance(value, dict) and "_type" in value)
    }


def _replace(value: Any) -> Any:
    return _NUMBERS.get(value, value) if isinstance(value, str) else value
