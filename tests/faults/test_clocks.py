"""Clocks that jump and machines that sleep: durations stay right, and nothing that slept is a measurement."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ablate.data.datasets import find_dataset
from ablate.design.designs import lay_out
from ablate.design.runs import Run
from ablate.execution.executor import Conditions, Outcome
from ablate.execution.workers import Here
from ablate.records.folder import ReportFolder
from ablate.timing import blocks
from tests.conftest import CPU
from tests.experiment.test_conduct import Stub, conduct, runs_csv

HOUR = 3600.0


class Jumping:
    """A wall clock that is set back by an hour whenever it is read."""

    def __init__(self) -> None:
        self._now = 2e9

    def __call__(self) -> float:
        self._now -= HOUR
        return self._now


@pytest.fixture
def asleep(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """For how long the machine will say that it has slept, reading by reading; 0 s where that ends."""
    readings: list[float] = []
    monkeypatch.setattr(blocks, "seconds_asleep", lambda: readings.pop(0) if readings else 0.0)
    monkeypatch.setattr(blocks.ProcessorLoad, "share_of_others", lambda self: 0.0)
    return readings


def test_a_clock_that_steps_back_leaves_the_durations_of_runs_and_blocks_right(
    small, monkeypatch: pytest.MonkeyPatch
) -> None:
    conditions = Conditions(dataset=find_dataset("digits"), data_root=None, validation=240, device="cpu")
    run = Run(phase="confirm", arm=lay_out(small()).arms[0], setting={}, seed=0)
    monkeypatch.setattr(time, "time", Jumping())
    started = time.monotonic()
    (outcome,) = Here(conditions, threads=1).outcomes([run])
    block = blocks.measure_block("a", lambda count: count, 1, CPU, block=0, position=0)
    whole = time.monotonic() - started
    seconds = [point.train_seconds for point in outcome.record.epochs if point.train_seconds is not None]
    assert len(seconds) == 2
    assert all(epoch > 0 for epoch in seconds)
    assert 0 <= sum(seconds) + block.seconds <= whole


class Travelling(Stub):
    """Workers during whose runs the machine is carried round the earth."""

    def outcomes(self, runs: Sequence[Run]) -> Iterator[Outcome]:
        for number, outcome in enumerate(super().outcomes(runs)):
            with pytest.MonkeyPatch.context() as patched:
                patched.setenv("TZ", f"X{number % 24 - 12}")
                time.tzset()
                yield outcome
        time.tzset()


def test_a_change_of_time_zone_changes_nothing_on_record(small, tmp_path: Path) -> None:
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


def test_a_block_during_which_the_machine_slept_is_measured_again(asleep: list[float]) -> None:
    asleep += [5.0, 5.0 + HOUR, HOUR, HOUR]
    taken: list[int] = []
    block = blocks.measure_block("a", lambda count: taken.append(count) or count, 7, CPU, block=0, position=0)
    assert taken == [7, 7]
    assert not block.disturbed


def test_a_block_of_a_machine_that_keeps_falling_asleep_is_marked_disturbed(asleep: list[float]) -> None:
    asleep += [number * HOUR for number in range(100)]
    taken: list[int] = []
    block = blocks.measure_block("a", lambda count: taken.append(count) or count, 7, CPU, block=0, position=0)
    assert len(taken) == 1 + blocks.MEASURED_AGAIN
    assert block.disturbed


def test_a_block_without_sleep_is_measured_once(asleep: list[float]) -> None:
    taken: list[int] = []
    assert not blocks.measure_block(
        "a", lambda c: taken.append(c) or c, 7, CPU, block=0, position=0
    ).disturbed
    assert taken == [7]


@pytest.mark.parametrize("clock", ["the clock that counts sleep", "the wall clock"])
def test_sleep_is_seen_by_a_clock_that_it_does_not_stop(clock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = blocks.seconds_asleep()
    if clock == "the wall clock":
        monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
        before = blocks.seconds_asleep()
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + HOUR)
    else:
        real_clock = time.clock_gettime
        monkeypatch.setattr(
            time, "clock_gettime", lambda which: real_clock(which) + HOUR * (which == time.CLOCK_BOOTTIME)
        )
    assert blocks.seconds_asleep() - before == pytest.approx(HOUR, abs=60)
