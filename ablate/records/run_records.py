"""The records of a run, of a timing block and of a tuned parameter."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """What a run is for."""

    SEARCH = "search"
    TUNE = "tune"
    CONFIRM = "confirm"


class Status(StrEnum):
    """How a run ended."""

    COMPLETE = "complete"
    FAILED = "failed"
    """It crashed."""
    DIVERGED = "diverged"
    """Its loss became infinite or not a number."""
    OOM = "oom"
    """Its device ran out of memory."""
    PRUNED = "pruned"
    """A search stopped it early."""


CRASHED = (Status.FAILED, Status.OOM)
"""Missing data: nothing is known about the arm from such a run."""
TRAINED = (Status.COMPLETE, Status.DIVERGED)
"""Outcomes: the run trained, to its end or to its divergence."""


@dataclass(frozen=True, kw_only=True)
class EpochPoint:
    """One of five points per epoch of a training curve. Only the last has times and validation accuracy."""

    epoch: float
    train_loss: float
    train_accuracy: float
    validation_accuracy: float | None = None
    train_seconds: float | None = None
    examples_per_second: float | None = None


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The record of one run. The run's key determines everything but `epochs` and `cause`."""

    phase: Phase
    arm: str
    setting: str
    seed: int
    values: dict[str, Any]
    """The value of every factor and nuisance, for the tables."""
    status: Status
    engine: str
    train_loss: float | None = None
    train_accuracy: float | None = None
    validation_accuracy: float | None = None
    test_accuracy: float | None = None
    epochs: tuple[EpochPoint, ...] = ()
    cause: str | None = field(default=None, compare=False)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "RunRecord":
        raw = json.loads(text)
        return cls(
            **{
                **raw,
                "phase": Phase(raw["phase"]),
                "status": Status(raw["status"]),
                "epochs": tuple(EpochPoint(**point) for point in raw["epochs"]),
            }
        )


@dataclass(frozen=True, kw_only=True)
class TimingBlock:
    """One arm's steps timed between two device synchronisations."""

    arm: str
    block: int
    position: int
    examples: int
    seconds: float
    disturbed: bool


@dataclass(frozen=True, kw_only=True)
class TuningOutcome:
    """The result of tuning one parameter of one arm."""

    arm: str
    parameter: str
    best: float
    chosen: float
    low: float
    high: float
    at_edge: bool
    extended: bool
    trials: int
    failed: int
    diverged: int
