"""Runs from the folders of Hydra's jobs. Hydra itself is not needed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ablate.errors import AblateError
from ablate.judging.sources.files import (
    keep_last_values,
    read_csv_rows,
    read_json,
    read_json_lines,
    read_yaml,
)
from ablate.judging.sources.run_table import RunStatus, SourceRun, add_facts, make_run_table
from ablate.judging.sources.tensorboard_events import read_metrics

_OVERRIDES, _HYDRA, _CONFIG = "overrides.yaml", "hydra.yaml", "config.yaml"
RESULT_FILES = tuple(
    f"{stem}.{suffix}"
    for suffix in ("json", "jsonl", "csv", "yaml")
    for stem in ("results", "result", "metrics")
)
"""The names of result files, in the order in which ablate looks for them.

ablate looks in a job's folder and then in its subfolders. The first file that it finds counts.
"""


def recognise(source: str) -> bool:
    """Return whether the source is a folder that contains folders of Hydra's jobs."""
    return next(_find_jobs(Path(source)), None) is not None


def read_runs(source: str) -> pd.DataFrame:
    """Return one row per job of Hydra, with the numbers that the job wrote.

    The columns after `source_run` (the job's folder) and `status` are: the job's configuration
    (`config.yaml`), the overrides that choose a config group (`model=resnet`), and the numbers in the job's
    result file.

    Hydra itself writes no results. ablate looks in the job's folder and in its subfolders for a file that is
    called `results`, `result` or `metrics`, with the ending `.json`, `.jsonl`, `.csv` or `.yaml`. The first
    file that it finds counts. If this file has several rows, the last value of every column counts, and the
    column `result_rows` has the number of rows. If there is no such file, the scalars in TensorBoard's event
    files count, and `result_rows` is the last step + 1. Hydra does not record how a job ended. A job with a
    result counts as finished. A job without a result file, or with an incomplete one, has the status `no
    result`. Jobs that ended early have a smaller value of `result_rows`.

    Args:
        source: the folder of a multirun, of a job, or a folder that contains several.

    Raises:
        AblateError: a file is damaged, or no job has results.
    """
    top = Path(source)
    runs = [_read_job(top, job, settings) for job, settings in sorted(_find_jobs(top))]
    if not any(run.metrics for run in runs):
        raise AblateError(
            f"{source}: none of the {len(runs)} jobs of Hydra has results: ablate reads "
            f"{', '.join(RESULT_FILES)} and TensorBoard's files"
        )
    return make_run_table(runs)


def _find_jobs(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield each job's folder, and the folder of its configuration (`.hydra`, if it was not renamed)."""
    if path.is_dir():
        for overrides in path.rglob(_OVERRIDES):
            settings = overrides.parent
            if (settings / _HYDRA).exists() and (settings / _CONFIG).exists():
                yield settings.parent, settings


def _read_job(top: Path, job: Path, settings: Path) -> SourceRun:
    facts: dict[str, Any] = {}
    config = read_yaml(settings / _CONFIG)
    add_facts(facts, "config", config if isinstance(config, dict) else {})
    for name, value in _read_overrides(settings / _OVERRIDES):
        facts.setdefault(name, value)
    file = _find_result_file(job)
    metrics, rows = _read_result_file(file) if file else _read_event_files(job)
    if rows is not None:
        add_facts(facts, "hydra", {"result_rows": rows})
    return SourceRun(
        source_run=str(job.relative_to(top)) if job != top else job.name,
        status=RunStatus.FINISHED if metrics else RunStatus.NO_RESULT,
        parameters=facts,
        metrics=metrics,
    )


def _read_overrides(path: Path) -> Iterator[tuple[str, str]]:
    """Yield name and value of each override, such as `model=resnet` or `+trainer.epochs=3`."""
    overrides = read_yaml(path)
    for override in overrides if isinstance(overrides, list) else []:
        name, equals, value = str(override).partition("=")
        if equals and not name.startswith("~"):
            yield name.lstrip("+"), value


def _find_result_file(job: Path) -> Path | None:
    for folder in ("", "*/", "*/*/", "*/*/*/"):
        for name in RESULT_FILES:
            if found := sorted(job.glob(folder + name)):
                return found[-1]  # the last of Lightning's folders version_0, version_1 …
    return None


def _read_event_files(job: Path) -> tuple[dict[str, float], int | None]:
    """Return the scalars that the job wrote for TensorBoard, and the number of steps."""
    metrics, last_step = read_metrics(job)
    return metrics, last_step + 1 if metrics else None


def _read_result_file(path: Path) -> tuple[dict[str, Any], int | None]:
    """Return the metrics, and the number of rows if the file has a row for each epoch."""
    if path.suffix == ".csv":
        return keep_last_values(read_csv_rows(path))
    if path.suffix == ".jsonl":
        return keep_last_values(read_json_lines(path))
    try:
        content = read_json(path) if path.suffix == ".json" else read_yaml(path)
    except AblateError:  # the job was killed while it wrote the file
        return {}, None
    if isinstance(content, list) and all(isinstance(row, dict) for row in content):
        return keep_last_values(iter(content))
    if not isinstance(content, dict):
        raise AblateError(f"{path}: is not a mapping from a metric's name to its value")
    return content, None
