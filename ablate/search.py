"""Optuna, imported here alone: the storage of what ran, and the sampler that proposes candidates."""

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import StorageInternalError
from optuna.importance import (
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
    get_param_importances,
)
from optuna.trial import TrialState, create_trial
from sqlalchemy.exc import SQLAlchemyError

from ablate.errors import FolderError
from ablate.exploration import Candidate, Tried, baseline, drawn
from ablate.results import RunRecord, TimingBlock
from ablate.seeds import derived_seed
from ablate.spec import Range, StudySpec, as_written

optuna.logging.set_verbosity(optuna.logging.WARNING)

_KEY, _RECORD = "ablate:key", "ablate:record"
PHASES = ("search", "tune", "confirm", "time")
STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
DRAWS_PER_CANDIDATE = 20
"""So often a proposal that is not new or cannot be built is drawn anew; then the space counts as tried."""


class RecordStore:
    """The records of one study in one SQLite file, by key; written by the parent process alone.

    Nothing is ever stored as running: a kill leaves nothing to sweep, and what has no record is run again.
    """

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
            self._storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
            self._studies = _studies(self._storage, name)
            self.runs: dict[str, RunRecord] = {}
            self.blocks: dict[str, TimingBlock] = {}
            for phase in PHASES:
                for trial in self._studies[phase].get_trials(deepcopy=False):
                    self._remember(phase, trial.user_attrs)
        except (
            sqlite3.Error,
            SQLAlchemyError,
            StorageInternalError,
            RuntimeError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:
            reason = " ".join(str(error.__cause__ or error).split())[:120]
            raise FolderError(
                f"{path}: no usable record ({reason}): it is left as it is; --fresh moves it aside"
            ) from None

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
        reason = " ".join(str(error.__cause__ or error).split())[:120]
        raise FolderError(f"{path}: cannot be written ({reason}): choose another --out") from None
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


def propose(study: StudySpec, tried: Sequence[Tried], generation: int, size: int) -> list[Candidate]:
    """The next generation: a function of the study and of what the generations before it came to.

    Multi-objective TPE over every factor and nuisance: validation accuracy up, FLOPs an example down.
    Fewer than `size` once the space holds nothing new; the baseline opens the first generation.
    """
    sampler = optuna.samplers.TPESampler(
        seed=derived_seed(generation, f"search {study.name}") % 2**32,
        n_startup_trials=study.search.generation,
        multivariate=True,
    )
    sampling = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for one in tried:
        if one.candidate.drawn is not None and one.record.validation_accuracy is not None:
            values = [one.record.validation_accuracy, float(one.candidate.flops_per_example)]
            told = {**one.candidate.drawn, "values": values}
            sampling.add_trial(create_trial(state=TrialState.COMPLETE, **told))
    found = [] if tried else [baseline(study)]
    known = [(one.candidate.arm.name, one.candidate.setting) for one in tried]
    for _ in range(DRAWS_PER_CANDIDATE * size):
        if len(found) == size:
            break
        trial = sampling.ask()
        candidate = drawn(study, _Drawing(trial))
        new = candidate is not None and (candidate.arm.name, candidate.setting) not in [
            *known,
            *((other.arm.name, other.setting) for other in found),
        ]
        if candidate is not None and new:
            given = {"params": trial.params, "distributions": trial.distributions}
            found.append(replace(candidate, drawn=given))
        # Told or not, the sampler's constant liar keeps the next draw away from this one; told as failed, a
        # point without a network would be forgotten and drawn for ever.
    return found


def importance(study: StudySpec, tried: Sequence[Tried]) -> list[dict[str, Any]]:
    """How much of the spread of validation accuracy each factor and nuisance goes with, by two evaluators.

    PED-ANOVA looks at what the best tenth has in common (Watanabe et al., 2023), fANOVA at the whole range
    (Hutter et al., 2014). Shares of what one search happened to try: a screening, no test.
    """
    # What was stopped has the accuracy of an early epoch: beside final ones it would show who starts slowly.
    scored = [t for t in tried if t.record.status == "complete" and t.record.validation_accuracy is not None]
    values: list[dict[str, Any]] = [{**t.candidate.arm.factors, **t.candidate.setting} for t in scored]
    names = [
        name
        for name in [*study.factors, *study.tuning.ranges]
        if all(name in row for row in values) and len({as_written(row[name]) for row in values}) > 1
    ]
    if len(scored) < 2 * study.search.generation or not names:
        return []
    distributions: dict[str, BaseDistribution] = {}
    for name in names:
        given = [row[name] for row in values]
        if name in study.factors:
            distributions[name] = CategoricalDistribution(sorted({as_written(value) for value in given}))
        else:
            log = study.tuning.ranges[name][0].log
            distributions[name] = FloatDistribution(min(given), max(given), log=log)
    screening = optuna.create_study(direction="maximize")
    for one, row in zip(scored, values, strict=True):
        params = {n: as_written(row[n]) if n in study.factors else float(row[n]) for n in names}
        screening.add_trial(
            create_trial(value=one.record.validation_accuracy, params=params, distributions=distributions)
        )
    shares = {
        "ped_anova": get_param_importances(screening, evaluator=PedAnovaImportanceEvaluator()),
        "fanova": get_param_importances(screening, evaluator=FanovaImportanceEvaluator(seed=0)),
    }
    return [{"factor": name, **{by: float(share[name]) for by, share in shares.items()}} for name in names]


class _Drawing:
    """Optuna's trial as what draws a candidate."""

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial

    def choice(self, name: str, labels: Sequence[str]) -> int:
        # Labels, for Optuna takes True, 1 and 1.0 for one; the choices in the name, for they may depend on
        # other factors and Optuna wants a name's choices to stay.
        return labels.index(self._trial.suggest_categorical(f"{name}: {' | '.join(labels)}", list(labels)))

    def number(self, name: str, span: Range) -> float:
        return self._trial.suggest_float(
            f"{name} {span.low:g} {span.high:g}", span.low, span.high, log=span.log
        )
