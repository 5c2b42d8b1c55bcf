"""Store finished runs in a SQLite file in the report folder. optuna-dashboard can open this file."""

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from ablate.errors import FolderError
from ablate.records.optuna_trials import (
    STORAGE_ERRORS,
    UNREADABLE,
    OptunaTrials,
    create_file,
    explain,
    name_confirm_study,
    open_file,
)
from ablate.records.provenance import ArmCost
from ablate.records.run_records import RunRecord, TimingBlock

FILE = "study.db"


class SqliteRecord:
    """A `Record` in one file. Only the process that has the folder's lock writes to the file."""

    shared = False

    def __init__(self, path: Path, name: str) -> None:
        """Open the file, or create it.

        Raises:
            FolderError: the file is damaged, belongs to another study, or cannot be written.
        """
        self._path = path
        is_new = not path.exists()
        if is_new:
            _create(path, name)
        try:
            if not is_new:
                _examine(path, name)
            self._trials = OptunaTrials(open_file(path, check_version=not is_new), name)
        except UNREADABLE as error:
            raise FolderError(
                f"{path}: contains no usable records ({explain(error)}): the file is left unchanged; "
                "--fresh renames its folder"
            ) from None

    @property
    def runs(self) -> Mapping[str, RunRecord]:
        """Finished runs by key."""
        return self._trials.runs

    @property
    def blocks(self) -> Mapping[str, TimingBlock]:
        """Timing blocks by key."""
        return self._trials.blocks

    def claim(self, *keys: str) -> list[str]:
        """Return the keys without a record. No reservation is needed, because the folder is locked."""
        return [key for key in keys if key not in self.runs]

    def release(self, key: str) -> None:
        """Do nothing. No other host uses the file."""

    def refresh(self) -> None:
        """Do nothing. No other host uses the file."""

    def add(self, records: Mapping[str, RunRecord | TimingBlock]) -> None:
        """Store finished runs and timing blocks by key. When it returns, they are committed."""
        try:
            self._trials.add(self._trials.begin(), records, shared=False)
        except STORAGE_ERRORS as error:
            raise FolderError(
                f"{self._path}: cannot be written ({explain(error)}): finished runs are kept"
            ) from None

    def find_timing_machine(self, machine: str) -> str:
        """Return `machine`, because no other machine does the timing."""
        return machine

    def set_timing_machine(self, machine: str) -> None:
        """Do nothing. No other machine does the timing."""

    def find_foreign_provenance(self, machine: str) -> Mapping[str, Any]:  # noqa: ARG002  # required by Record
        """Return an empty mapping, because no other machine does the timing."""
        return {}

    def read_shared_costs(self) -> Mapping[str, ArmCost]:
        """Return an empty mapping, because there are no other hosts."""
        return {}

    def share_study(self, study: str) -> None:
        """Do nothing, because the report folder has the study file."""

    def share_provenance(self, provenance: Mapping[str, Any]) -> None:
        """Do nothing, because the report folder has the provenance."""

    def close(self) -> None:
        """Close the file."""
        self._trials.close()


def _create(path: Path, name: str) -> None:
    """Create an empty file under a temporary name, and then rename it.

    So a half-written file never has the final name.
    """
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.unlink(missing_ok=True)
    try:
        create_file(half, name)
        half.replace(path)
    except STORAGE_ERRORS as error:
        raise FolderError(f"{path}: cannot be written ({explain(error)}): choose another --out") from None
    finally:
        half.unlink(missing_ok=True)


def _examine(path: Path, name: str) -> None:
    """Check the file before Optuna opens it. Optuna would add its tables to any database.

    Raises:
        sqlite3.Error: the file is not a database, or it is damaged.
        ValueError: the file is damaged or empty, or has no records of this study.
    """
    # The file is opened for writing. If a killed command left a transaction unfinished, SQLite must undo it.
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as database:
        (state,) = database.execute("pragma quick_check(1)").fetchone()
        if state != "ok":
            raise ValueError(state)
        tables = {table for (table,) in database.execute("select name from sqlite_master")}
        if not tables:
            raise ValueError("it is empty")
        studies = database.execute("select study_name from studies") if "studies" in tables else ()
        if name_confirm_study(name) not in {found for (found,) in studies}:
            raise ValueError(f"it contains no study {name}")
