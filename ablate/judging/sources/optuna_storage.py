"""Runs from an Optuna storage: a SQLite file, a journal file or a PostgreSQL server."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from ablate.errors import AblateError, did_you_mean
from ablate.judging.sources.databases import explain, find_sqlite_file, is_postgresql, list_tables
from ablate.judging.sources.files import read_start
from ablate.judging.sources.run_table import RunStatus, SourceRun, add_facts, make_run_table

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

_STATUS = {
    "COMPLETE": RunStatus.FINISHED,
    "FAIL": RunStatus.FAILED,
    "PRUNED": RunStatus.PRUNED,
    "RUNNING": RunStatus.RUNNING,
    "WAITING": RunStatus.WAITING,
}
_TABLES = {"studies", "trials", "trial_values", "trial_params"}
_OWN_PREFIX = "ablate:"
"""The prefix of the attributes that contain ablate's own records. These attributes are no parameters."""


def recognise(source: str) -> bool:
    """Return whether the source is a database with Optuna's tables or a file of Optuna's journal."""
    if is_postgresql(source) or find_sqlite_file(source):
        return list_tables(source) >= _TABLES
    return _is_journal(Path(source))


def read_runs(source: str, *, experiment: str | None = None) -> pd.DataFrame:
    """Return one row per trial of an Optuna study.

    The columns after `source_run` (the trial's number) and `status` are: the trial's parameters, its user
    attributes (such as a `seed` that was set with `set_user_attr`), and its values. A single value is called
    `value`. Several values are called `value_0`, `value_1` and so on. Names that were set with
    `set_metric_names` replace these names. A failed, pruned, running or waiting trial has no values.

    Args:
        source: the path of a SQLite file or a journal file, or a URL that begins with `sqlite:///` or
            `postgresql://`. The storage is only read.
        experiment: the name of the Optuna study. This name can be omitted if the storage has only one study.

    Raises:
        AblateError: the storage cannot be read, the study does not exist, or there are several studies and
            `experiment` is None.
    """
    with _open(source) as storage:
        studies = sorted(study.study_name for study in storage.get_all_studies())
        study = storage.get_study_id_from_name(_choose(source, studies, experiment))
        names = storage.get_study_system_attrs(study).get("study:metric_names")
        trials = storage.get_all_trials(study, deepcopy=False)
        return make_run_table([_make_run(trial, names) for trial in trials])


def _choose(source: str, names: list[str], wanted: str | None) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names:
        return wanted
    if wanted is not None:
        raise AblateError(f"{source}: has no Optuna study '{wanted}': {did_you_mean(wanted, names)}")
    if not names:
        raise AblateError(f"{source}: is an Optuna storage without studies: nothing to judge")
    raise AblateError(f"{source}: has {len(names)} Optuna studies: name one of {', '.join(names)}")


def _make_run(trial: "FrozenTrial", names: list[str] | None) -> SourceRun:
    values = trial.values or []
    if names is None:
        names = ["value"] if len(values) == 1 else [f"value_{place}" for place in range(len(values))]
    facts = dict(trial.params)
    attributes = sorted(trial.user_attrs.items())
    add_facts(facts, "user_attr", {name: one for name, one in attributes if not name.startswith(_OWN_PREFIX)})
    return SourceRun(
        source_run=str(trial.number),
        status=_STATUS[trial.state.name],
        parameters=facts,
        metrics=dict(zip(names, values, strict=False)),
    )


@contextmanager
def _open(source: str) -> Iterator["BaseStorage"]:
    """Open the storage for reading, and close it.

    Raises:
        AblateError: the storage is damaged, was written by another version of Optuna, or does not answer.
    """
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    from ablate.records.optuna_trials import UNREADABLE, close_storage, open_file
    from ablate.records.postgresql_record import parse_address

    storage: BaseStorage | None = None
    try:
        if is_postgresql(source):
            url = parse_address(source, place="the URL").render_as_string(hide_password=False)
            storage = RDBStorage(url, skip_table_creation=True)
        elif file := find_sqlite_file(source):
            storage = open_file(file)
        else:
            storage = JournalStorage(JournalFileBackend(source))
        yield storage
    except UNREADABLE as error:
        raise AblateError(f"{source}: Optuna cannot read this storage ({explain(error)})") from None
    finally:
        if isinstance(storage, RDBStorage):
            close_storage(storage)


def _is_journal(path: Path) -> bool:
    try:
        first = json.loads(read_start(path).partition("\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and {"op_code", "worker_id"} <= first.keys()
