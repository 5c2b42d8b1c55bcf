"""A GPU's memory and clock: cohorts that do not fit, and timing that waits for the device.

These tests need a GPU, and are skipped without one.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from ablate.data.datasets import DATASETS, find_dataset
from ablate.data.loading import Dataset, make_noise
from ablate.design.runs import Arm, Run
from ablate.engines.cohort_runs import train_together
from ablate.engines.loop import LoopTrainer
from ablate.execution.executor import Conditions, execute_group
from ablate.records.run_records import Phase
from ablate.study.recipe import Recipe
from ablate.timing import costs
from ablate.timing.blocks import measure_block

pytestmark = pytest.mark.gpu
RUNS = 32


def make_runs() -> list[Run]:
    """Make runs whose steps need some hundred megabytes of memory together."""
    recipe = Recipe(epochs=1, batch_size=256, train_images=1_024)
    arm = Arm(name="arm", model="lenet", keywords={}, recipe=recipe, factors={})
    return [Run(phase=Phase.CONFIRM, arm=arm, setting={}, seed=seed) for seed in range(RUNS)]


@pytest.fixture
def noise(device: torch.device) -> Dataset:
    """Random images of Fashion-MNIST's shape, on the device."""
    noise = make_noise(DATASETS["fashion_mnist"], images=2_048).to(device)
    return replace(noise, test_images=noise.images, test_labels=noise.labels)


def measure_reserved(noise: Dataset, places: int) -> int:
    """Measure the most bytes that torch reserves while a cohort trains."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    list(train_together(make_runs(), noise, validation=0, places=places))
    return torch.cuda.max_memory_reserved()


@contextmanager
def limit_memory(most_bytes: float, device: torch.device) -> Iterator[None]:
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(most_bytes / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def test_out_of_memory_halves_the_cohort_and_loses_no_run(noise, gpu) -> None:
    enough, too_much = measure_reserved(noise, 16), measure_reserved(noise, 32)
    assert enough < 0.8 * too_much
    conditions = Conditions(
        dataset=find_dataset("fashion_mnist"), data_root=None, validation=0, device="cuda"
    )
    with limit_memory((enough + too_much) / 2, gpu):
        outcomes = list(execute_group(make_runs(), conditions, noise))
    assert sorted(outcome.run.seed for outcome in outcomes) == list(range(RUNS))
    assert {outcome.record.status for outcome in outcomes} == {"complete"}
    assert {outcome.record.engine for outcome in outcomes} == {"cohort of 16"}


def test_a_timing_block_waits_for_the_device_at_both_ends(gpu) -> None:
    matrix = torch.rand(8_192, 8_192, device=gpu)
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def multiply(count: int) -> int:
        before.record()
        for _ in range(count):
            torch.mm(matrix, matrix)
        after.record()
        return count

    multiply(3)  # libraries load at their first call
    torch.cuda.synchronize()
    started = time.perf_counter()
    multiply(50)
    queued = time.perf_counter() - started  # this work is still waiting when the block begins
    block = measure_block("arm", multiply, 5, gpu, block=0, position=0)
    on_device = before.elapsed_time(after) / 1e3
    assert block.seconds >= on_device
    assert block.seconds < 5 * on_device, "the block did not wait for earlier work before its clock started"
    assert queued < 10 * on_device, "the device is not asynchronous: the test above shows nothing"


def test_an_arms_peak_memory_is_that_of_its_step_alone(noise, gpu) -> None:
    run = make_runs()[0]
    trainer = LoopTrainer(run, noise, gpu)
    batch = torch.arange(256, device=gpu)
    resident = [noise.images, noise.labels, noise.test_images, noise.test_labels]
    cost = costs.measure_cost(
        trainer.model, noise.images.shape[1:], lambda: trainer.step(batch), resident=resident, device=gpu
    )
    images = noise.images[:256].nbytes
    # A library's workspace counts too: some ten megabytes.
    assert images < cost.peak_memory_bytes < 250 * images
