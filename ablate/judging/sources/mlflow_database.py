"""Read runs from MLflow's database: a SQLite file (`mlflow.db`) or a PostgreSQL server.

ablate reads five tables of the database without MLflow's own client. This client refuses a database of
another version of MLflow, and asks the user to change the database (mlflow/mlflow#21053). The columns of the
five tables have been the same since MLflow 1.3.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from ablate.errors import AblateError
from ablate.judging.sources.databases import explain, find_sqlite_file, is_postgresql, list_tables
from ablate.judging.sources.mlflow_run import MlflowRun

if TYPE_CHECKING:
    from sqlalchemy import Connection

_TABLES = {"experiments", "runs", "params", "latest_metrics", "tags"}
_EXPERIMENTS = "select name, experiment_id from experiments where lifecycle_stage = 'active'"
_ACTIVE = "from runs where experiment_id = :experiment and lifecycle_stage = 'active'"
_OF_RUNS = f"where run_uuid in (select run_uuid {_ACTIVE})"


def is_database(source: str) -> bool:
    """Return whether the source is a database with MLflow's tables."""
    return bool(is_postgresql(source) or find_sqlite_file(source)) and list_tables(source) >= _TABLES


def list_experiments(source: str) -> dict[str, str]:
    """Map the name of every experiment that was not deleted to the experiment's number."""
    with _connect(source) as connection:
        return {name: str(number) for name, number in _fetch(connection, _EXPERIMENTS)}


def read_experiment(source: str, number: str) -> list[MlflowRun]:
    """Return the runs of an experiment that were not deleted."""
    with _connect(source) as connection:
        fetch = partial(_fetch, connection, experiment=int(number))
        runs = {
            run: MlflowRun(run_id=run, status=status, tags={"mlflow.runName": name} if name else {})
            for run, status, name in fetch(f"select run_uuid, status, name {_ACTIVE}")
        }
        for run, key, value in fetch(f"select run_uuid, key, value from params {_OF_RUNS}"):
            runs[run].parameters[key] = value
        for run, key, value in fetch(f"select run_uuid, key, value from tags {_OF_RUNS}"):
            runs[run].tags[key] = value
        for run, key, value, is_nan in fetch(
            f"select run_uuid, key, value, is_nan from latest_metrics {_OF_RUNS}"
        ):
            runs[run].metrics[key] = float("nan") if is_nan else float(value)
    return list(runs.values())


def _fetch(connection: "Connection", query: str, **values: int) -> Sequence[Any]:
    from sqlalchemy import text

    return connection.execute(text(query), values).fetchall()


@contextmanager
def _connect(source: str) -> Iterator["Connection"]:
    """Connect to the database, and close it.

    Raises:
        AblateError: the database is damaged, lacks a column, or does not answer.
    """
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    from ablate.records.postgresql_record import parse_address

    if file := find_sqlite_file(source):
        engine = sqlalchemy.create_engine("sqlite://", creator=partial(sqlite3.connect, file))
    else:
        engine = sqlalchemy.create_engine(parse_address(source, place="the URL"))
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise AblateError(f"{source}: MLflow's tables cannot be read ({explain(error)})") from None
    finally:
        engine.dispose()
