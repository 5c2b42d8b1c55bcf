"""The events of a running study. A progress display shows them, and a command reacts to them."""

from dataclasses import dataclass

from ablate.records.run_records import RunRecord


@dataclass(frozen=True, kw_only=True)
class Advanced:
    """One more run or timing block of a phase is done. `arm` and `detail` describe this run or block."""

    phase: str
    done: int
    total: int
    arm: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class FirstPair:
    """Every arm has its first confirmed run, so a preliminary report can be written."""


@dataclass(frozen=True, kw_only=True)
class Warned:
    """The first steps of the arms showed a reason to trust the answer less."""

    text: str


Event = Advanced | FirstPair | Warned


def describe_run(phase: str, done: int, total: int, record: RunRecord) -> Advanced:
    """Make the event of a finished run, with the run's accuracy, or the reason why there is none."""
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
