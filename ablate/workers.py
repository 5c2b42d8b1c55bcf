"""Where runs execute: in this process, or in long-lived local processes of one thread each."""

import io
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import Protocol

import torch
from pebble import ProcessExpired, ProcessPool

from ablate import data
from ablate.engines import trainer_for
from ablate.engines.training import settle_process, train
from ablate.results import RunRecord, Status
from ablate.space import Run, setting_name

ATTEMPTS = 2
"""A run whose worker died is tried once more before it counts as failed."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What all runs of a study share; small enough to send with each."""

    dataset: str
    data_root: Path | None
    validation: int
    device: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A run's record and, for an arm's first confirmed seed, its parameters as torch.save wrote them."""

    run: Run
    record: RunRecord
    checkpoint: bytes | None = None


class Workers(Protocol):
    """Takes runs, gives outcomes in the order in which they end."""

    def outcomes(self, runs: Sequence[Run]) -> Iterator[Outcome]:
        """Train all `runs`."""

    def close(self) -> None:
        """Stop at once, whatever is in flight."""


class Here:
    """Runs one after another in this very process: on a GPU, which gains nothing from a second one."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions

    def outcomes(self, runs: Sequence[Run]) -> Iterator[Outcome]:
        for run in runs:
            yield execute(run, self._conditions)

    def close(self) -> None:
        """Nothing to stop."""


class LocalProcesses:
    """One worker, one thread a run; a worker's death costs one run, its parent's death ends it."""

    def __init__(self, conditions: Conditions, jobs: int) -> None:
        self._conditions = conditions
        self._jobs = jobs
        # Spawned: a fork would copy torch's thread pools in an unknown state.
        self._pool = ProcessPool(max_workers=jobs, context=get_context("spawn"), initializer=_begin_worker)

    def outcomes(self, runs: Sequence[Run]) -> Iterator[Outcome]:
        waiting = [(run, 1) for run in reversed(runs)]
        flying: dict[Future[Outcome], tuple[Run, int]] = {}
        while waiting or flying:
            # Few in the queue, so that an interruption abandons only what is being trained.
            while waiting and len(flying) < self._jobs:
                run, attempt = waiting.pop()
                flying[self._pool.schedule(execute, args=(run, self._conditions))] = run, attempt
            done, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in done:
                run, attempt = flying.pop(future)
                try:
                    yield future.result()
                except ProcessExpired as death:
                    if attempt < ATTEMPTS:
                        waiting.append((run, attempt + 1))
                    else:
                        yield _failure(run, f"its worker died twice ({death})")

    def close(self) -> None:
        self._pool.stop()
        self._pool.join()


def open_workers(conditions: Conditions, jobs: int) -> Workers:
    """Processes on a CPU, this process on a GPU."""
    return LocalProcesses(conditions, jobs) if conditions.device == "cpu" else Here(conditions)


def execute(run: Run, conditions: Conditions) -> Outcome:
    """Train one run; what goes wrong inside it becomes its record."""
    device = torch.device(conditions.device)
    dataset = data.load(conditions.dataset, conditions.data_root, device)
    try:
        trainer = trainer_for(run, dataset, device)
        record = train(run, trainer, dataset, validation=conditions.validation)
    except torch.OutOfMemoryError as error:
        return _failure(run, str(error).splitlines()[0], status="oom")
    except (RuntimeError, ValueError, MemoryError) as error:
        # What torch raises for a run that cannot be trained; recorded as such, never as a number.
        return _failure(run, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    checkpoint = None
    if run.phase == "confirm" and run.seed == 0:
        buffer = io.BytesIO()
        torch.save({name: tensor.cpu() for name, tensor in trainer.model.state_dict().items()}, buffer)
        checkpoint = buffer.getvalue()
    return Outcome(run=run, record=record, checkpoint=checkpoint)


def _failure(run: Run, cause: str, status: Status = "failed") -> Outcome:
    record = RunRecord(
        phase=run.phase,
        arm=run.arm.name,
        setting=setting_name(run.setting),
        seed=run.seed,
        values={**run.arm.factors, **run.setting},
        status=status,
        engine="",
        cause=cause,
    )
    return Outcome(run=run, record=record)


def _begin_worker() -> None:
    """Make this process a worker: one thread, deaf to Ctrl-C, gone when its parent is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interruption means
    settle_process(threads=1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
