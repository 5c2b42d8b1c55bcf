"""Store records as Optuna trials: one Optuna study per phase, one trial per finished run or timing block."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from ablate.records.run_records import CRASHED, Phase, RunRecord, Status, TimingBlock
from ablate.records.trial_rows import add_trials, lock_studies, read_attributes

optuna.logging.set_verbosity(optuna.logging.WARNING)

_KEY, _RECORD = "ablate:key", "ablate:record"
_PHASES = ("search", "tune", "confirm", "time")
_STATES = {Status.COMPLETE: TrialState.COMPLETE, Status.PRUNED: TrialState.PRUNED}
STORAGE_ERRORS = (SQLAlchemyError, StorageInternalError, sqlite3.Error)
"""The errors of a storage that cannot be read or written."""
UNREADABLE = (*STORAGE_ERRORS, RuntimeError, KeyError, TypeError, ValueError)
"""The errors that occur if a damaged storage is opened, or a storage that contains no records."""


class OptunaTrials:
    """The finished runs and timing blocks of one study in an Optuna storage."""

    def __init__(self, storage: RDBStorage, name: str) -> None:
        """Create the Optuna studies that are missing, and read all records except those of crashed runs."""
        self._storage = storage
        self._studies = create_studies(storage, name)
        self._numbers = {phase: storage.get_study_id_from_name(f"{name} {phase}") for phase in _PHASES}
        self.runs: dict[str, RunRecord] = {}
        self.blocks: dict[str, TimingBlock] = {}
        self._read = dict.fromkeys(self._numbers.values(), 0)
        """Maps the id of an Optuna study to the id of the last trial that was read."""
        with storage.engine.connect() as connection:
            self.read_new(connection, include_crashed=False)  # this command repeats crashed runs

    def read_attributes(self) -> Mapping[str, Any]:
        """Return the texts that `set_attribute` stored, by name."""
        return self._studies[Phase.CONFIRM].user_attrs

    def set_attribute(self, name: str, value: str) -> None:
        """Store a text under a name, in addition to the runs."""
        self._studies[Phase.CONFIRM].set_user_attr(name, value)

    def read_new(self, connection: Connection, *, include_crashed: bool) -> None:
        """Read the trials that were added since the last call. Skip crashed runs unless `include_crashed`."""
        for study, trial, name, text in read_attributes(connection, self._read, (_KEY, _RECORD)):
            key, record = json.loads(name), json.loads(text)
            self._read[study] = trial
            if study == self._numbers["time"]:
                self.blocks[key] = TimingBlock(**json.loads(record))
                continue
            run = RunRecord.from_json(record)
            if include_crashed or run.status not in CRASHED:
                self.runs[key] = run

    def add(
        self,
        transaction: AbstractContextManager[Connection],
        added: Mapping[str, RunRecord | TimingBlock],
        *,
        shared: bool,
    ) -> None:
        """Add finished runs and timing blocks as trials, all in one transaction.

        Args:
            transaction: a context for `with`. The context gives a connection. At its end, the transaction is
                committed.
            added: the records by key.
            shared: whether other processes add records, too. If they do, keys that already have a record are
                left out. Other processes wait until the transaction ends, so no key is added twice.
        """
        trials: dict[int, list[FrozenTrial]] = {}
        studies = {key: self._numbers[_name_phase(one)] for key, one in added.items()}
        with transaction as connection:
            lock_studies(connection, sorted(set(studies.values())))
            if shared:
                self.read_new(connection, include_crashed=True)
            new = {key: one for key, one in added.items() if key not in self.runs and key not in self.blocks}
            for key, one in new.items():
                trials.setdefault(studies[key], []).append(_make_trial(key, one))
            last = {study: add_trials(connection, study, some) for study, some in trials.items()}
        self._read |= last
        for key, one in new.items():
            if isinstance(one, RunRecord):
                self.runs[key] = one
            else:
                self.blocks[key] = one

    def begin(self) -> AbstractContextManager[Connection]:
        """Return a context for `with` that opens a connection and begins a transaction."""
        return self._storage.engine.begin()

    def close(self) -> None:
        """Close the storage."""
        close_storage(self._storage)


def open_file(path: Path, *, check_version: bool = True) -> RDBStorage:
    """Open a SQLite file that contains Optuna's tables. Return it as an Optuna storage.

    The URL for Optuna does not contain the path, because `?`, `%`, `{` and other characters have a special
    meaning in such a URL.

    Args:
        path: the file.
        check_version: whether to check that the installed Optuna can use these tables.
    """
    connect = partial(sqlite3.connect, path.absolute(), check_same_thread=False)
    return RDBStorage(
        "sqlite:///study.db",
        engine_kwargs={"creator": connect},
        skip_compatibility_check=not check_version,
        skip_table_creation=True,
    )


def create_file(path: Path, name: str) -> None:
    """Create a SQLite file that contains Optuna's tables, and an Optuna study without trials for each phase.

    The database is made in memory and then copied to the file. Without this detour, Optuna would write to the
    file in about 50 small transactions.
    """
    with closing(_open_memory()) as database, closing(sqlite3.connect(path.absolute())) as file:
        _make_tables().backup(database)
        storage = _use_memory(database, skip_table_creation=True)
        create_studies(storage, name)
        storage.remove_session()
        database.backup(file)


@cache
def _make_tables() -> sqlite3.Connection:
    """Return a database in memory that contains Optuna's tables. Optuna needs 0.1 s to make these tables."""
    database = _open_memory()
    _use_memory(database).remove_session()
    return database


def _open_memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False)


def _use_memory(database: sqlite3.Connection, *, skip_table_creation: bool = False) -> RDBStorage:
    """Return an Optuna storage that uses only this connection."""
    return RDBStorage(
        "sqlite://",
        engine_kwargs={"creator": lambda: database, "poolclass": StaticPool},
        skip_compatibility_check=True,
        skip_table_creation=skip_table_creation,
    )


def create_studies(storage: RDBStorage, name: str) -> dict[str, optuna.Study]:
    """Open or create the Optuna study of each phase. Return the studies by phase."""
    return {
        phase: optuna.create_study(
            storage=storage, study_name=f"{name} {phase}", direction="maximize", load_if_exists=True
        )
        for phase in _PHASES
    }


def name_confirm_study(name: str) -> str:
    """Return the name of the Optuna study for the phase confirm.

    Every storage with records of the study `name` contains this Optuna study.
    """
    return f"{name} confirm"


def close_storage(storage: RDBStorage) -> None:
    """Close the connections of an Optuna storage."""
    storage.remove_session()
    storage.engine.dispose()


def explain(error: Exception) -> str:
    """Return the cause of a storage error, on one line."""
    return " ".join(str(error.__cause__ or error).split())[:120]


def _name_phase(record: RunRecord | TimingBlock) -> str:
    return record.phase if isinstance(record, RunRecord) else "time"


def _make_trial(key: str, record: RunRecord | TimingBlock) -> FrozenTrial:
    return _make_run_trial(key, record) if isinstance(record, RunRecord) else _make_block_trial(key, record)


def _make_run_trial(key: str, record: RunRecord) -> FrozenTrial:
    value = record.validation_accuracy if record.test_accuracy is None else record.test_accuracy
    state = TrialState.FAIL if value is None else _STATES.get(record.status, TrialState.FAIL)
    names = {part.partition("=")[0] for part in record.setting.split(",")}
    tuned = {k: float(v) for k, v in record.values.items() if k in names}
    # Optuna requires a distribution that contains the value. The bounds of the distribution have no meaning
    # here.
    distributions: dict[str, BaseDistribution] = {k: FloatDistribution(v, v) for k, v in tuned.items()}
    return create_trial(
        state=state,
        value=None if state == TrialState.FAIL else value,
        params=tuned,
        distributions=distributions,
        user_attrs={
            _KEY: key,
            _RECORD: record.to_json(),
            "arm": record.arm,
            "setting": record.setting,
            "seed": record.seed,
            "status": record.status,
        },
        intermediate_values={
            round(point.epoch): point.validation_accuracy
            for point in record.epochs
            if point.validation_accuracy is not None
        },
    )


def _make_block_trial(key: str, block: TimingBlock) -> FrozenTrial:
    return create_trial(
        state=TrialState.COMPLETE,
        value=block.examples / block.seconds,
        params={},
        distributions={},
        user_attrs={
            _KEY: key,
            _RECORD: json.dumps(asdict(block)),
            "arm": block.arm,
            "block": block.block,
            "position": block.position,
        },
        intermediate_values={},
    )
