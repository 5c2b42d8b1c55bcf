"""Measurements of time and memory wait for the device, and ask it for what it knows."""

import gc
import time
from collections.abc import Callable

import pytest
import torch

from ablate.data import loading
from ablate.data.datasets import find_dataset
from ablate.data.loading import Dataset
from ablate.devices.memory import read_allocated_bytes
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import train
from ablate.timing import blocks
from ablate.timing.costs import measure_cost
from tests.accelerator.clock import read_seconds
from tests.accelerator.counters import count
from tests.accelerator.settings import play
from tests.accelerator.step_costs import make_lenet_run
from tests.cpu import CPU

SIM = "sim:0"


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return loading.load(find_dataset("digits"), None, CPU)


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the time that is measured be the simulated one."""
    monkeypatch.setattr(time, "perf_counter", read_seconds)


def make_steps() -> Callable[[int], int]:
    """Steps of which each reads and writes a megabyte."""
    x = torch.zeros(250, 1000, device=SIM)

    def steps(number: int) -> int:
        for _ in range(number):
            x.add_(1)
        return number

    return steps


@pytest.mark.usefixtures("stopwatch")
def test_a_timing_block_is_the_time_of_the_device_for_its_own_steps() -> None:
    steps = make_steps()
    with play(bytes_per_second=1e9, launch_seconds=1e-6):
        steps(50)  # still in the queue when the block begins
        with count() as counts:
            block = blocks.measure_block("arm", steps, 10, torch.device(SIM), block=0, position=0)
    assert block.seconds == pytest.approx(10 * 2e6 / 1e9, rel=1e-3)
    assert counts.synchronisations == {"synchronize": 2}


@pytest.mark.usefixtures("stopwatch")
def test_the_number_of_steps_in_a_block_is_that_of_the_device() -> None:
    steps = make_steps()
    with play(bytes_per_second=1e9, launch_seconds=1e-6):
        assert blocks.count_steps_per_block(steps, 0.02, torch.device(SIM)) == 10


@pytest.mark.usefixtures("stopwatch")
def test_the_seconds_of_an_epoch_are_those_of_the_device(digits) -> None:
    run = make_lenet_run(batch_size=64, epochs=1, train_images=256)
    here = digits.to(torch.device(SIM))
    with play(kernel_seconds=1e-3, bytes_per_second=1e15, launch_seconds=1e-6), count() as counts:
        record = train(run, LoopTrainer(run, here, torch.device(SIM)), here, validation=60).record
    assert record.epochs[-1].train_seconds > 4 * 40 * 1e-3  # four steps of about 41 kernels
    assert record.epochs[-1].train_seconds < counts.kernel_count * 1e-3


def test_the_peak_memory_is_the_devices_own_or_else_counted(digits) -> None:
    run, device = make_lenet_run(batch_size=64), torch.device(SIM)
    gc.collect()
    here = digits.to(device)
    of_another_size = torch.zeros(10_000_000, device=device)
    resident = [here.images, here.labels, here.test_images, here.test_labels]
    before = read_allocated_bytes(device)
    trainer = LoopTrainer(run, here, device)
    batch = torch.arange(64, device=device)
    peaks = []
    for has_memory_statistics in (True, False):
        with play(has_memory_statistics=has_memory_statistics):
            cost = measure_cost(
                trainer.model,
                here.images.shape[1:],
                lambda: trainer.step(batch),
                resident=resident,
                device=device,
                before=before,
            )
            peaks.append(cost.peak_memory_bytes)
    assert of_another_size.nbytes > peaks[0]
    assert peaks[1] == pytest.approx(peaks[0], rel=0.05)
    assert peaks[1] > 64 * 6 * 28 * 28 * 4  # one output of the first convolution
