"""The record of what ran: Optuna's storage, in a file of the report folder or on a server."""

import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from ablate.errors import FolderError
from ablate.records.run_records import RunRecord, TimingBlock

optuna.logging.set_verbosity(optuna.logging.WARNING)

_KEY, _RECORD = "ablate:key", "ablate:record"
PHASES = ("search", "tune", "confirm", "time")
TIMING = "timing"
"""What whoever times claims: one machine's figures, and nobody else's."""
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
UNREADABLE = (
    sqlite3.Error,
    SQLAlchemyError,
    StorageInternalError,
    RuntimeError,
    KeyError,
    TypeError,
    ValueError,
)
"""What opening a record that is none may raise."""


class RecordStore:
    """The records of one study in one SQLite file, by key; written by the parent process alone.

    Nothing is ever stored as running: a kill leaves nothing to sweep, and what has no record is run again.
    """

    shared = False
    """Whether other hosts read and write it, too."""

    def __init__(self, path: Path, name: str) -> None:
        """Open or create the file.

        Raises:
            FolderError: the file is not whole, not this study's, or cannot be written.
        """
        self._path = path
        if not path.exists():
            _create(path, name)
        try:
            _examine(path, name)
            self._open(optuna.storages.RDBStorage(f"sqlite:///{path}"), name)
        except UNREADABLE as error:
            raise FolderError(
                f"{path}: no usable record ({reason(error)}): it is left as it is; --fresh moves it aside"
            ) from None

    def _open(self, storage: optuna.storages.RDBStorage, name: str) -> None:
        """Make the studies that are not there yet, and read what is on record."""
        self._storage = storage
        self._studies = _studies(storage, name)
        self.runs: dict[str, RunRecord] = {}
        self.blocks: dict[str, TimingBlock] = {}
        self._seen = dict.fromkeys(PHASES, 0)
        self._read(crashed=False)  # a crash is missing data: this command tries that run again

    def _read(self, *, crashed: bool) -> None:
        """Look at what has come since last time; `crashed` runs count, too, where another host did them."""
        for phase in PHASES:
            trials = self._studies[phase].get_trials(deepcopy=False)
            for trial in trials[self._seen[phase] :]:
                self._remember(phase, trial.user_attrs, crashed=crashed)
            self._seen[phase] = len(trials)

    def claim(self, key: str) -> bool:
        """Whether this process is to do the run of that key: it is not on record, nobody else is at it."""
        return key not in self.runs

    def release(self, key: str) -> None:
        """Let another host have what was claimed; a folder has one alone."""

    def refresh(self) -> None:
        """Read what others have put on record since; nobody else writes into a folder that is held."""

    def machine(self, mine: str) -> str:
        """Whose timings count: this machine's, but where another has timed them all."""
        return mine

    def time_here(self, mine: str) -> None:
        """From now on this machine's timings count."""

    def elsewhere(self, mine: str) -> Mapping[str, Any]:  # noqa: ARG002  # for those that are shared
        """The environment of another machine that has timed the arms; empty where this one has, or none."""
        return {}

    def keep(self, *, study: str | None = None, environment: Mapping[str, Any] | None = None) -> None:
        """Put beside the runs what a report needs besides them; a folder has files for it."""

    def add_run(self, key: str, record: RunRecord) -> None:
        """Put a finished run on record, in one transaction of Optuna's."""
        value = record.validation_accuracy if record.test_accuracy is None else record.test_accuracy
        tuned = {k: float(v) for k, v in record.values.items() if f"{k}=" in record.setting}
        curve = {
            round(point.epoch): point.validation_accuracy
            for point in record.epochs
            if point.validation_accuracy is not None
        }
        described = {
            "arm": record.arm,
            "setting": record.setting,
            "seed": record.seed,
            "status": record.status,
        }
        self._add(record.phase, key, record.to_json(), value, described, tuned, curve)
        self.runs[key] = record

    def add_block(self, key: str, block: TimingBlock) -> None:
        """Put a timing block on record; its value is examples per second."""
        described = {"arm": block.arm, "block": block.block, "position": block.position}
        self._add("time", key, json.dumps(asdict(block)), block.examples / block.seconds, described, {}, {})
        self.blocks[key] = block

    def close(self) -> None:
        """Let go of the file."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def _add(
        self,
        phase: str,
        key: str,
        record: str,
        value: float | None,
        described: Mapping[str, Any],
        tuned: Mapping[str, float],
        curve: Mapping[int, float],
    ) -> None:
        # Optuna checks that a value lies in its distribution; ours are records, not proposals.
        distributions: dict[str, BaseDistribution] = {k: FloatDistribution(v, v) for k, v in tuned.items()}
        state = STATES.get(described.get("status", "complete"), TrialState.FAIL)
        if value is None:
            state = TrialState.FAIL
        trial = create_trial(
            state=state,
            value=None if state == TrialState.FAIL else value,
            params=dict(tuned),
            distributions=distributions,
            user_attrs={_KEY: key, _RECORD: record, **described},
            intermediate_values=dict(curve),
        )
        self._put(phase, trial)

    def _put(self, phase: str, trial: FrozenTrial) -> None:
        try:
            self._studies[phase].add_trial(trial)
        except (SQLAlchemyError, StorageInternalError) as error:
            raise FolderError(
                f"{self._path}: cannot be written ({reason(error)}): what is on record stays"
            ) from None

    def _remember(self, phase: str, attributes: Mapping[str, Any], *, crashed: bool) -> None:
        key, record = attributes[_KEY], attributes[_RECORD]
        if phase == "time":
            self.blocks[key] = TimingBlock(**json.loads(record))
        else:
            run = RunRecord.from_json(record)
            if crashed or run.status not in ("failed", "oom"):
                self.runs[key] = run


def _create(path: Path, name: str) -> None:
    """Put an empty record in place in one step: what is there is whole, or something happened to it."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.unlink(missing_ok=True)
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{half}")
        _studies(storage, name)
        storage.remove_session()
        storage.engine.dispose()
        half.replace(path)
    except (SQLAlchemyError, StorageInternalError) as error:
        raise FolderError(f"{path}: cannot be written ({reason(error)}): choose another --out") from None
    finally:
        half.unlink(missing_ok=True)


def _examine(path: Path, name: str) -> None:
    """Look through the file before Optuna opens it, which would add its tables to whatever it finds.

    Raises:
        sqlite3.Error: it is no database, or a torn one.
        ValueError: it is empty or holds something else.
    """
    # Read and write, and yet nothing is written: a transaction cut short by a kill can only so be undone.
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as database:
        (sound,) = database.execute("pragma quick_check(1)").fetchone()
        if sound != "ok":
            raise ValueError(sound)
        tables = {table for (table,) in database.execute("select name from sqlite_master")}
        if not tables:
            raise ValueError("it is empty")
        named = database.execute("select study_name from studies") if "studies" in tables else ()
        if f"{name} confirm" not in {found for (found,) in named}:
            raise ValueError(f"it holds no study {name}")


def _studies(storage: optuna.storages.RDBStorage, name: str) -> dict[str, optuna.Study]:
    """Optuna's studies by phase; those that are not there yet are made."""
    return {
        phase: optuna.create_study(
            storage=storage, study_name=f"{name} {phase}", direction="maximize", load_if_exists=True
        )
        for phase in PHASES
    }


def reason(error: Exception) -> str:
    """What is behind an error of the storage, on a line."""
    return " ".join(str(error.__cause__ or error).split())[:120]
