"""Clocks that jump and machines that sleep. Durations stay right, and no timing block includes sleep."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ablate.data.datasets import find_dataset
from ablate.design.designs import lay_out
from ablate.design.runs import Run
from ablate.execution.executor import Conditions, Outcome
from ablate.execution.workers import ThisProcess
from ablate.records.folder import ReportFolder
from ablate.timing import blocks
from tests.cpu import CPU
from tests.experiment.test_conduct import Stub, conduct, runs_csv

HOUR = 3600.0


class Jumping:
    """A wall clock that is set back by an hour at every reading."""

    def __init__(self) -> None:
        self._now = 2e9

    def __call__(self) -> float:
        self._now -= HOUR
        return self._now


@pytest.fixture
def asleep(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of sleep that the machine reports at each reading; 0 s after the last entry."""
    readings: list[float] = []
    monkeypatch.setattr(blocks, "read_seconds_asleep", lambda: readings.pop(0) if readings else 0.0)
    monkeypatch.setattr(blocks.ProcessorLoad, "share_of_others", lambda self: 0.0)
    return readings


def test_durations_are_right_when_the_clock_is_set_back(small, monkeypatch: pytest.MonkeyPatch) -> None:
    conditions = Conditions(dataset=find_dataset("digits"), data_root=None, validation=240, device="cpu")
    run = Run(phase="confirm", arm=lay_out(small()).arms[0], setting={}, seed=0)
    monkeypatch.setattr(time, "time", Jumping())
    started = time.monotonic()
    (outcome,) = ThisProcess(conditions, threads=1).outcomes([run])
    block = blocks.measure_block("a", lambda count: count, 1, CPU, block=0, position=0)
    whole = time.monotonic() - started
    seconds = [point.train_seconds for point in outcome.record.epochs if point.train_seconds is not None]
    assert len(seconds) == 2
    assert all(epoch > 0 for epoch in seconds)
    assert 0 <= sum(seconds) + block.seconds <= whole


class Travelling(Stub):
    """Runs during which the time zone changes."""

    def outcomes(self, runs: Sequence[Run]) -> Iterator[Outcome]:
        for number, outcome in enumerate(super().outcomes(runs)):
            with pytest.MonkeyPatch.context() as patched:
                patched.setenv("TZ", f"X{number % 24 - 12}")
                time.tzset()
                yield outcome
        time.tzset()


def test_a_change_of_time_zone_changes_no_record(small, tmp_path: Path) -> None:
    spec = small("timing.blocks=0")
    _, whole = conduct(spec, tmp_path / "whole", Stub())
    first = Travelling(stop_after=9)
    with pytest.raises(KeyboardInterrupt):
        conduct(spec, tmp_path / "carried", first)
    second = Travelling()
    conduct(spec, tmp_path / "carried", second)
    time.tzset()
    assert runs_csv(ReportFolder(tmp_path / "carried")) == runs_csv(whole)
    assert not set(first.ran) & set(second.ran)


def test_a_timing_block_is_measured_again_if_the_machine_slept_during_it(asleep: list[float]) -> None:
    asleep += [5.0, 5.0 + HOUR, HOUR, HOUR]
    taken: list[int] = []
    block = blocks.measure_block("a", lambda count: taken.append(count) or count, 7, CPU, block=0, position=0)
    assert taken == [7, 7]
    assert not block.disturbed


def test_a_timing_block_is_marked_disturbed_if_the_machine_sleeps_at_every_attempt(
    asleep: list[float],
) -> None:
    asleep += [number * HOUR for number in range(100)]
    taken: list[int] = []
    block = blocks.measure_block("a", lambda count: taken.append(count) or count, 7, CPU, block=0, position=0)
    assert len(taken) == 1 + blocks.REPEATS_AFTER_SLEEP
    assert block.disturbed


def test_a_timing_block_without_sleep_is_measured_once(asleep: list[float]) -> None:
    taken: list[int] = []
    assert not blocks.measure_block(
        "a", lambda c: taken.append(c) or c, 7, CPU, block=0, position=0
    ).disturbed
    assert taken == [7]


@pytest.mark.parametrize("clock", ["the clock that counts sleep", "the wall clock"])
def test_sleep_is_detected_with_a_clock_that_runs_during_sleep(
    clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = blocks.read_seconds_asleep()
    if clock == "the wall clock":
        monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
        before = blocks.read_seconds_asleep()
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + HOUR)
    else:
        real_clock = time.clock_gettime
        monkeypatch.setattr(
            time, "clock_gettime", lambda which: real_clock(which) + HOUR * (which == time.CLOCK_BOOTTIME)
        )
    assert blocks.read_seconds_asleep() - before == pytest.approx(HOUR, abs=60)
