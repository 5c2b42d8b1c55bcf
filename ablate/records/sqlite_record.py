"""The record as a SQLite file in the report folder. It opens in optuna-dashboard, too."""

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage

from ablate.errors import FolderError
from ablate.records.optuna_trials import (
    STORAGE_ERRORS,
    UNREADABLE,
    OptunaTrials,
    close_storage,
    create_studies,
    explain,
    name_confirm_study,
)
from ablate.records.run_records import RunRecord, TimingBlock

FILE = "study.db"


class SqliteRecord:
    """A `Record` in one file. The process that holds the report folder alone writes it."""

    shared = False

    def __init__(self, path: Path, name: str) -> None:
        """Open the file, or create it.

        Raises:
            FolderError: the file is not whole, belongs to another study, or cannot be written.
        """
        self._path = path
        if not path.exists():
            _create(path, name)
        try:
            _examine(path, name)
            self._trials = OptunaTrials(RDBStorage(f"sqlite:///{path}"), name)
        except UNREADABLE as error:
            raise FolderError(
                f"{path}: holds no usable record ({explain(error)}): it stays as it is; "
                "--fresh moves it aside"
            ) from None

    @property
    def runs(self) -> Mapping[str, RunRecord]:
        """Finished runs by key."""
        return self._trials.runs

    @property
    def blocks(self) -> Mapping[str, TimingBlock]:
        """Timing blocks by key."""
        return self._trials.blocks

    def claim(self, key: str) -> bool:
        """Whether the run is not on record yet: nobody else works in a folder that this process holds."""
        return key not in self.runs

    def release(self, key: str) -> None:
        """Do nothing: no other host waits for the key."""

    def refresh(self) -> None:
        """Do nothing: no other host writes the file."""

    def add_run(self, key: str, record: RunRecord) -> None:
        """Put a finished run on record, in one transaction."""
        self._write(partial(self._trials.add_run, key, record))

    def add_block(self, key: str, block: TimingBlock) -> None:
        """Put a timing block on record, in one transaction."""
        self._write(partial(self._trials.add_block, key, block))

    def find_timing_machine(self, machine: str) -> str:
        """This machine."""
        return machine

    def set_timing_machine(self, machine: str) -> None:
        """Do nothing: no other machine times."""

    def find_foreign_provenance(self, machine: str) -> Mapping[str, Any]:  # noqa: ARG002  # one of Record's
        """Empty: no other machine times."""
        return {}

    def share_study(self, study: str) -> None:
        """Do nothing: the folder has a file for it."""

    def share_provenance(self, provenance: Mapping[str, Any]) -> None:
        """Do nothing: the folder has a file for it."""

    def close(self) -> None:
        """Close the file."""
        self._trials.close()

    def _write(self, add: Callable[[], None]) -> None:
        try:
            add()
        except STORAGE_ERRORS as error:
            raise FolderError(
                f"{self._path}: cannot be written ({explain(error)}): what is on record stays"
            ) from None


def _create(path: Path, name: str) -> None:
    """Put an empty record in place in one step, so that a file that is there is a whole one."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.unlink(missing_ok=True)
    try:
        storage = RDBStorage(f"sqlite:///{half}")
        create_studies(storage, name)
        close_storage(storage)
        half.replace(path)
    except STORAGE_ERRORS as error:
        raise FolderError(f"{path}: cannot be written ({explain(error)}): choose another --out") from None
    finally:
        half.unlink(missing_ok=True)


def _examine(path: Path, name: str) -> None:
    """Check the file before Optuna opens it: Optuna would add its tables to whatever it finds.

    Raises:
        sqlite3.Error: the file is no database, or a torn one.
        ValueError: the file is empty or holds something else.
    """
    # Opened to write, although nothing is written: only so SQLite undoes a transaction that a kill cut short.
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as database:
        (state,) = database.execute("pragma quick_check(1)").fetchone()
        if state != "ok":
            raise ValueError(state)
        tables = {table for (table,) in database.execute("select name from sqlite_master")}
        if not tables:
            raise ValueError("it is empty")
        studies = database.execute("select study_name from studies") if "studies" in tables else ()
        if name_confirm_study(name) not in {found for (found,) in studies}:
            raise ValueError(f"it holds no study {name}")
