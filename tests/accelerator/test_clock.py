"""The device works while the host goes on, and only a wait brings their clocks together."""

import time

import pytest
import torch

from tests.accelerator.clock import read_seconds
from tests.accelerator.counters import count
from tests.accelerator.settings import play

SIM = "sim"
"""Tests name the device by its type, for the process that collects them does not have it."""
WAITS = [
    lambda x: torch.accelerator.synchronize(),
    lambda x: torch.accelerator.synchronize(torch.device(SIM, 0)),
    lambda x: torch.get_device_module(SIM).synchronize(),
    lambda x: torch.accelerator.current_stream().synchronize(),
    lambda x: torch.get_device_module(SIM).current_stream().record_event().synchronize(),
    lambda x: x[0, 0].item(),
    lambda x: x[0].cpu(),
    lambda x: torch.ones(1).to(SIM),
]


def work(x: torch.Tensor) -> None:
    for _ in range(3):
        x.add_(1)


@pytest.mark.parametrize("wait", WAITS)
def test_a_stopwatch_reads_the_time_of_the_work_only_if_the_host_waits(wait, monkeypatch):
    monkeypatch.setattr(time, "perf_counter", read_seconds)
    x = torch.zeros(250, 1000, device=SIM)
    with play(bytes_per_second=1e9, launch_seconds=1e-6):
        torch.accelerator.synchronize()
        started = time.perf_counter()
        work(x)
        assert time.perf_counter() - started == pytest.approx(3e-6)
        wait(x)
        assert time.perf_counter() - started == pytest.approx(3 * 2e6 / 1e9, rel=0.01)


def test_a_copy_that_does_not_block_arrives_at_the_next_wait():
    x = torch.ones(3, device=SIM)
    early = x.to("cpu", non_blocking=True)
    assert early.isnan().all()
    torch.accelerator.synchronize()
    assert early.tolist() == [1, 1, 1]


def test_an_upload_that_does_not_block_does_not_wait():
    torch.accelerator.synchronize()
    started = read_seconds()
    torch.ones(100_000).to(SIM, non_blocking=True)
    assert read_seconds() - started < 1e-5


def test_events_read_the_clock_of_the_device():
    x = torch.zeros(250, 1000, device=SIM)
    torch.accelerator.synchronize()
    start, end = (torch.Event(device=SIM, enable_timing=True) for _ in range(2))
    with play(bytes_per_second=1e9, launch_seconds=0.0):
        start.record()
        work(x)
        end.record()
    with pytest.raises(RuntimeError, match="device not ready"):
        start.elapsed_time(end)
    assert not end.query()
    end.synchronize()
    assert end.query()
    assert start.elapsed_time(end) == pytest.approx(6.0)


def test_streams_work_side_by_side_and_wait_for_each_other():
    x = torch.zeros(250, 1000, device=SIM)
    torch.accelerator.synchronize()
    first, second = torch.Stream(device=SIM), torch.Stream(device=SIM)
    with play(bytes_per_second=1e9, launch_seconds=0.0):
        with first:
            work(x)
        with torch.get_device_module(SIM).stream(second):
            assert torch.accelerator.current_stream() is second
            x.add_(1)
            assert second.ready_at - read_seconds() == pytest.approx(2e-3)
            second.wait_stream(first)
            x.add_(1)
    assert second.ready_at - read_seconds() == pytest.approx(8e-3)
    assert torch.accelerator.current_stream() is torch.get_device_module(SIM).default_stream()


def test_waits_are_counted():
    with count() as counts:
        torch.accelerator.synchronize()
        torch.accelerator.current_stream().synchronize()
    assert counts.synchronisations == {"synchronize": 1, "Stream.synchronize": 1}
