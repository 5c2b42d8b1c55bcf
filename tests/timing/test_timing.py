"""Timing blocks of alternating arms, and the costs of an arm."""

import time

import pytest
import torch
from torch import nn

from ablate import models
from ablate.design.designs import lay_out
from ablate.design.runs import Run
from ablate.engines.loop import LoopTrainer
from ablate.timing import blocks, costs, machine
from tests.cpu import CPU


def test_every_block_has_all_arms_with_the_baseline_at_both_ends() -> None:
    order = list(blocks.alternate(["baseline", "a", "b", "c"], 6))
    rounds = [[arm for block, _, arm in order if block == number] for number in range(6)]
    for block in rounds:
        assert block[0] == block[-1] == "baseline"
        assert sorted(block[1:-1]) == ["a", "b", "c"]
    assert len({tuple(block) for block in rounds}) > 1  # shuffled
    assert order == list(blocks.alternate(["baseline", "a", "b", "c"], 6))


def test_a_block_counts_its_examples_and_its_own_time() -> None:
    def steps(count: int) -> int:
        time.sleep(0.01 * count)
        return 7 * count

    block = blocks.measure_block("a", steps, 5, CPU, block=2, position=1)
    assert (block.arm, block.block, block.position, block.examples) == ("a", 2, 1, 35)
    assert 0.05 <= block.seconds < 5


def test_a_block_with_load_from_other_programs_is_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([(0.0, 0.0, 0.0), (1.5, 2.0, 1.0)])  # of two cores' 2 s, 1.5 s busy, 1 s of it our own
    monkeypatch.setattr(blocks.ProcessorLoad, "_read", staticmethod(lambda: next(readings)))
    assert blocks.measure_block("a", lambda count: count, 1, CPU, block=0, position=0).disturbed


def test_a_block_of_our_own_work_is_not_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([(0.0, 0.0, 0.0), (2.0, 2.0, 1.9)])
    monkeypatch.setattr(blocks.ProcessorLoad, "_read", staticmethod(lambda: next(readings)))
    assert not blocks.measure_block("a", lambda count: count, 1, CPU, block=0, position=0).disturbed


def test_lenet_costs_833_040_flops_and_61_706_parameters(small, digits) -> None:
    trainer = LoopTrainer(Run(phase="confirm", arm=lay_out(small()).arms[0], setting={}, seed=0), digits, CPU)
    cost = costs.measure_cost(
        trainer.model,
        (1, 28, 28),
        lambda: trainer.step(torch.arange(64)),
        resident=[digits.images, digits.labels],
        device=CPU,
    )
    assert cost.flops_per_example == 833_040
    assert cost.parameters == 61_706
    assert trainer.model.training


def test_batch_norm_does_not_stop_the_count(small) -> None:
    network = models.build(
        "lenet", {"batch_norm": True}, input_shape=(1, 28, 28), classes=10, init="default", seed=0
    )
    assert costs.count_flops_per_example(network, (1, 28, 28)) == 833_040


def test_peak_memory_is_that_of_the_tensors_alive_at_once() -> None:
    layer = nn.Linear(1000, 1000, bias=False)  # 4 MB
    resident = torch.zeros(5_000_000)

    def step() -> None:
        a = torch.zeros(1_000_000)  # 4 MB
        b = a + resident[:1_000_000]  # 4 MB more
        del a
        c = b * 2  # takes the place of a
        del b, c

    cost = costs.measure_cost(layer, (1000,), step, resident=[resident], device=CPU)
    assert cost.peak_memory_bytes == pytest.approx(12e6, rel=0.01)


def test_inference_is_measured_with_one_image_and_with_1024(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that takes a second for each call and a millisecond for each image; its first calls take longer."""
    clock, calls = [0.0], []
    monkeypatch.setattr(costs.time, "perf_counter", lambda: clock[0])

    def network(images: torch.Tensor) -> None:
        calls.append(len(images))
        slow = 10.0 if calls.count(len(images)) <= 3 else 0.0
        clock[0] += 1 + 0.001 * len(images) + slow

    latency, rate = costs.measure_inference(network, torch.zeros(7, 1, 2, 2))
    assert latency == pytest.approx(1.001)
    assert rate == pytest.approx(1_024 / 2.024)
    assert calls == [1] * 100 + [1_024] * 10


def test_the_environment_names_hardware_versions_and_settings() -> None:
    described = machine.describe_machine(CPU, threads=2)
    assert described.device == "cpu"
    assert described.timing_threads == 2
    assert set(described.packages) >= {"torch", "optuna", "ablate"}
