"""The events of a running study. The progress display shows them, and commands react to them."""

from dataclasses import dataclass

from ablate.records.run_records import RunRecord


@dataclass(frozen=True, kw_only=True)
class Advanced:
    """The progress of a phase: `done` of `total` runs or timing blocks. The other fields are for display."""

    phase: str
    done: int
    total: int
    arm: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class FirstPair:
    """Every arm has a confirmed run of the first seed. So a preliminary report can be written."""


@dataclass(frozen=True, kw_only=True)
class Warned:
    """When the arms were tried before training, something was found that makes the answer less reliable."""

    text: str


Event = Advanced | FirstPair | Warned


def describe_run(phase: str, done: int, total: int, record: RunRecord) -> Advanced:
    """Make the event of a finished run. It has the run's accuracy, or the reason why there is no accuracy."""
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
