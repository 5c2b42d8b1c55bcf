"""MLflow's file store: a folder `mlruns`, with a folder for each experiment and in it one for each run.

MLflow's own client reads such folders only with `MLFLOW_ALLOW_FILE_STORE=true`, since they are no longer
developed. The files are plain: https://mlflow.org/docs/latest/tracking/backend-stores
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablate.errors import AblateError
from ablate.judging.sources.files import parse_number, read_start, read_yaml
from ablate.judging.sources.mlflow_run import MlflowRun

_META = "meta.yaml"
_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
"""The numbers of MLflow's public `RunStatus`."""
_DELETED = "deleted"


def is_file_store(path: Path) -> bool:
    """Return whether the folder is a file store of MLflow."""
    return next(_find_experiments(path), None) is not None


def list_experiments(path: Path) -> dict[str, str]:
    """Return the name of the folder of every experiment that was not deleted, by the experiment's name."""
    found: dict[str, str] = {}
    for folder in _find_experiments(path):
        meta = _read_meta(folder)
        if meta.get("lifecycle_stage") != _DELETED:
            found[str(meta.get("name", folder.name))] = folder.name
    return found


def read_experiment(path: Path, folder: str) -> list[MlflowRun]:
    """Return the runs of an experiment that were not deleted.

    A run whose `meta.yaml` is missing or torn stays, with an unknown status: MLflow empties the file for a
    moment whenever it changes it (mlflow/mlflow#6339).
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
    """Return the content of every file by its name. A name with slashes is a path."""
    return {
        file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8", errors="replace")
        for file in folder.rglob("*")
        if file.is_file()
    }


def _read_metrics(folder: Path) -> Iterator[tuple[str, float]]:
    """Yield the last value of each metric: that of the highest step, of these the one written last.

    A line is a time, a value and a step. A line that is torn is left out (mlflow/mlflow#3052).
    """
    for name, text in _read_texts(folder).items():
        points = []
        for line in text.splitlines():
            time, value, step = [*map(parse_number, line.split()[:3]), None, None, None][:3]
            if time is not None and value is not None:
                points.append((step or 0.0, time, value))
        if points:
            yield name, max(points)[2]
