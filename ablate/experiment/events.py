"""The events of a running study. The progress display shows them, and commands react to them."""

from dataclasses import dataclass

from ablate.records.run_records import RunRecord


@dataclass(frozen=True, kw_only=True)
class Advanced:
    """The progress of a phase of the study. `done` of `total` runs or timing blocks are finished.

    The progress display shows the other fields.
    """

    phase: str
    done: int
    total: int
    arm: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class FirstPair:
    """Says that every arm now has a confirmed run with the first seed. So a first report can be written."""


@dataclass(frozen=True, kw_only=True)
class Warned:
    """A warning from before the training, for example that a network ignores the seed."""

    text: str


Event = Advanced | FirstPair | Warned


def describe_run(phase: str, done: int, total: int, record: RunRecord) -> Advanced:
    """Make the event that reports a finished run: its accuracy, or the reason why it has no accuracy."""
    accuracy = record.validation_accuracy if record.test_accuracy is None else record.test_accuracy
    failure = f"{record.status}, {record.cause}" if record.cause else record.status
    outcome = failure if accuracy is None else f"accuracy {accuracy:.3f}"
    return Advanced(
        phase=phase,
        done=done,
        total=total,
        arm=record.arm,
        detail=f"{record.setting} seed {record.seed}: {outcome}",
    )
