"""Runs from MLflow: a folder `mlruns`, a database or a tracking server."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd

from ablate.errors import AblateError, did_you_mean
from ablate.judging.sources import mlflow_database, mlflow_files, mlflow_server
from ablate.judging.sources.databases import hide_password
from ablate.judging.sources.mlflow_run import MlflowRun, make_mlflow_table


def recognise(source: str) -> bool:
    """Return whether the source is a folder `mlruns`, a database with MLflow's tables, or a web address."""
    return (
        mlflow_server.is_server(source)
        or mlflow_files.is_file_store(Path(source))
        or mlflow_database.is_database(source)
    )


def read_runs(source: str, *, experiment: str | None = None) -> pd.DataFrame:
    """Return one row per run of an experiment, with the last value of every metric.

    The columns after `source_run` (the run's ID) and `status` are: the parameters, the tags that people set,
    `run_name`, `parent_run` (the ID of the run that a nested run belongs to), and the metrics. A parameter is
    a number if it is a number in all runs. Deleted runs are left out.

    Args:
        source: the folder `mlruns`, a SQLite file, or a URL that begins with `sqlite:///`, `postgresql://`,
            `http://` or `https://`. Only `http://` and `https://` need MLflow.
        experiment: the experiment's name. This name can be omitted if only one experiment has runs.

    Raises:
        AblateError: the store cannot be read, the experiment does not exist, or there are several experiments
            and `experiment` is None.
    """
    experiments, read = _open(source)
    if experiment is not None:
        if experiment not in experiments:
            known = did_you_mean(experiment, sorted(experiments))
            raise AblateError(f"{hide_password(source)}: has no MLflow experiment '{experiment}': {known}")
        return make_mlflow_table(read(experiments[experiment]))
    found = {name: runs for name, number in experiments.items() if (runs := read(number))}
    if not found:
        raise AblateError(f"{hide_password(source)}: MLflow has no runs there")
    if len(found) > 1:
        names = ", ".join(sorted(found))
        raise AblateError(
            f"{hide_password(source)}: has {len(found)} MLflow experiments: name one of {names}"
        )
    return make_mlflow_table(next(iter(found.values())))


def _open(source: str) -> tuple[dict[str, str], Callable[[str], list[MlflowRun]]]:
    """Return the experiments by name, and the function that reads the runs of one experiment."""
    if mlflow_server.is_server(source):
        return mlflow_server.list_experiments(source), partial(mlflow_server.read_experiment, source)
    path = Path(source)
    if mlflow_files.is_file_store(path):
        return mlflow_files.list_experiments(path), partial(mlflow_files.read_experiment, path)
    return mlflow_database.list_experiments(source), partial(mlflow_database.read_experiment, source)
