"""What ran, kept in Optuna's storage: one trial a run, one a timing block. The only importer of Optuna."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from ablate.errors import FolderError
from ablate.results import RunRecord, TimingBlock

optuna.logging.set_verbosity(optuna.logging.WARNING)

_KEY, _RECORD = "ablate:key", "ablate:record"
PHASES = ("tune", "confirm", "time")


class RecordStore:
    """The records of one study in one SQLite file, by key; written by the parent process alone.

    Nothing is ever stored as running: a kill leaves nothing to sweep, and what has no record is run again.
    """

    def __init__(self, path: Path, name: str) -> None:
        """Open or create the file.

        Raises:
            FolderError: the file is no database of Optuna's, or cannot be written.
        """
        self._path = path
        try:
            storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
            self._studies = {
                phase: optuna.create_study(
                    storage=storage, study_name=f"{name} {phase}", direction="maximize", load_if_exists=True
                )
                for phase in PHASES
            }
            self._storage = storage
            self.runs: dict[str, RunRecord] = {}
            self.blocks: dict[str, TimingBlock] = {}
            for phase in PHASES:
                for trial in self._studies[phase].get_trials(deepcopy=False):
                    self._remember(phase, trial.user_attrs)
        except (
            SQLAlchemyError,
            StorageInternalError,
            RuntimeError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            reason = " ".join(str(error).split())[:120]
            raise FolderError(f"{path}: no usable record ({reason}): start over with --fresh") from None

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
        complete = described.get("status", "complete") == "complete" and value is not None
        trial = create_trial(
            state=TrialState.COMPLETE if complete else TrialState.FAIL,
            value=value if complete else None,
            params=dict(tuned),
            distributions=distributions,
            user_attrs={_KEY: key, _RECORD: record, **described},
            intermediate_values=dict(curve),
        )
        try:
            self._studies[phase].add_trial(trial)
        except (SQLAlchemyError, StorageInternalError) as error:
            reason = " ".join(str(error.__cause__ or error).split())[:120]
            raise FolderError(
                f"{self._path}: cannot be written ({reason}): what is on record stays"
            ) from None

    def _remember(self, phase: str, attributes: Mapping[str, Any]) -> None:
        key, record = attributes[_KEY], attributes[_RECORD]
        if phase == "time":
            self.blocks[key] = TimingBlock(**json.loads(record))
        else:
            run = RunRecord.from_json(record)
            # A crash is missing data: the next command tries that run again.
            if run.status not in ("failed", "oom"):
                self.runs[key] = run
