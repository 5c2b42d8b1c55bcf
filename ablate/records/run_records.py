"""Three types of records: the record of a run, of a timing block, and of a tuned parameter."""

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """The purpose of a run."""

    SEARCH = "search"
    """Try a candidate of `design: search`."""
    TUNE = "tune"
    """Score a setting by its validation accuracy. The scores decide which setting an arm gets."""
    CONFIRM = "confirm"
    """Measure an arm with its chosen setting on the test images. The seed was not used before."""


class Status(StrEnum):
    """How a run ended."""

    COMPLETE = "complete"
    FAILED = "failed"
    """The run crashed."""
    DIVERGED = "diverged"
    """The run's loss became infinite or not a number."""
    OOM = "oom"
    """The run's device ran out of memory."""
    PRUNED = "pruned"
    """A search stopped the run early."""


CRASHED = (Status.FAILED, Status.OOM)
"""The statuses of a run that counts as missing data. Such a run says nothing about its arm."""
TRAINED = (Status.COMPLETE, Status.DIVERGED)
"""The statuses of a run that counts as a result. That a run diverged is a result, too."""


@dataclass(frozen=True, kw_only=True)
class EpochPoint:
    """A point of a training curve. An epoch has five points.

    Only the last point of an epoch has a time and a validation accuracy.
    """

    epoch: float
    train_loss: float
    train_accuracy: float
    validation_accuracy: float | None = None
    train_seconds: float | None = None
    examples_per_second: float | None = None


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The record of one run. Runs with the same key have equal records, except for times and `cause`."""

    phase: Phase
    arm: str
    setting: str
    seed: int
    values: dict[str, Any]
    """The value of every factor and of every tuned parameter, for the tables."""
    status: Status
    engine: str
    train_loss: float | None = None
    train_accuracy: float | None = None
    validation_accuracy: float | None = None
    test_accuracy: float | None = None
    test_balanced_accuracy: float | None = None
    """None in records of older versions of ablate, which did not compute this accuracy."""
    validation_metrics: dict[str, float] = field(default_factory=dict)
    """The metrics on the validation images, by name. Empty if no validation images are held out.

    Records of older versions of ablate have no metrics.
    """
    test_metrics: dict[str, float] = field(default_factory=dict)
    """The metrics on the test images, by name. Empty if the phase of the run is not confirm.

    Records of older versions of ablate have no metrics.
    """
    test_by_class: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Maps a class to two numbers: its correctly classified test images, and all its test images."""
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
                "test_by_class": {
                    label: (right, images) for label, (right, images) in raw.get("test_by_class", {}).items()
                },
            }
        )


@dataclass(frozen=True, kw_only=True)
class TimingBlock:
    """The time that one arm took for some training steps.

    The device is synchronised before and after these steps, so that the time covers all work of the device.
    """

    arm: str
    block: int
    position: int
    examples: int
    seconds: float
    disturbed: bool
    joules: float | None = None
    """The energy that the processors and the GPU used meanwhile. None if it was not counted."""


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
