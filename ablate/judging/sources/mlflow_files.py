"""Read runs from MLflow's file store, a folder `mlruns`.

The folder `mlruns` contains a folder for each experiment. The folder of an experiment contains a folder for
each run.

MLflow no longer develops this store. MLflow's own client reads such folders only with the environment
variable `MLFLOW_ALLOW_FILE_STORE=true`. The files are plain text:
https://mlflow.org/docs/latest/tracking/backend-stores
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablate.errors import AblateError
from ablate.judging.sources.files import parse_number, read_start, read_yaml
from ablate.judging.sources.mlflow_run import MlflowRun

_META = "meta.yaml"
_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
"""Maps MLflow's codes for the status of a run to the names in MLflow's public enumeration `RunStatus`."""
_DELETED = "deleted"


def is_file_store(path: Path) -> bool:
    """Return whether the folder is a file store of MLflow."""
    return next(_find_experiments(path), None) is not None


def list_experiments(path: Path) -> dict[str, str]:
    """Map the name of every experiment that was not deleted to the name of its folder."""
    found: dict[str, str] = {}
    for folder in _find_experiments(path):
        meta = _read_meta(folder)
        if meta.get("lifecycle_stage") != _DELETED:
            found[str(meta.get("name", folder.name))] = folder.name
    return found


def read_experiment(path: Path, folder: str) -> list[MlflowRun]:
    """Return the runs of an experiment that were not deleted.

    If the file `meta.yaml` of a run is missing or incomplete, the run is listed with an unknown status. The
    reason is that MLflow empties this file for a moment whenever it changes the file (mlflow/mlflow#6339).
    """
    runs = []
    for params in sorted((path / folder).glob("*/params")):
        meta = _read_meta(params.parent)
        if meta.get("lifecycle_stage") != _DELETED:
            runs.append(_read_run(params.parent, meta))
    return runs


def _find_experiments(path: Path) -> Iterator[Path]:
    if path.is_dir():
        for meta in sorted(path.glob(f"*/{_META}")):
            start = read_start(meta)
            if "experiment_id:" in start and "artifact_location:" in start:
                yield meta.parent


def _read_meta(folder: Path) -> dict[str, Any]:
    try:
        meta = read_yaml(folder / _META)
    except AblateError:
        return {}
    return meta if isinstance(meta, dict) else {}


def _read_run(folder: Path, meta: dict[str, Any]) -> MlflowRun:
    tags = _read_texts(folder / "tags")
    if name := meta.get("run_name"):
        tags["mlflow.runName"] = str(name)
    return MlflowRun(
        run_id=folder.name,
        status=_STATUS.get(meta.get("status", 0), "unknown"),
        parameters=_read_texts(folder / "params"),
        metrics=dict(_read_metrics(folder / "metrics")),
        tags=tags,
    )


def _read_texts(folder: Path) -> dict[str, str]:
    """Map the name of every file below a folder to the content of the file.

    A name contains slashes if the file is in a subfolder.
    """
    return {
        file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8", errors="replace")
        for file in folder.rglob("*")
        if file.is_file()
    }


def _read_metrics(folder: Path) -> Iterator[tuple[str, float]]:
    """Yield the name and the last value of each metric.

    Each line of a metric's file has a time, a value and a step. The last value is the value with the highest
    step. If several values have this step, the latest one counts. An incomplete line is left out
    (mlflow/mlflow#3052).
    """
    for name, text in _read_texts(folder).items():
        points = []
        for line in text.splitlines():
            time, value, step = [*map(parse_number, line.split()[:3]), None, None, None][:3]
            if time is not None and value is not None:
                points.append((step or 0.0, time, value))
        if points:
            yield name, max(points)[2]
