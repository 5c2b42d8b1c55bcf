"""Batch norm in the lanes engine is torch's, in training, in evaluation, and in what a run leaves behind."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import nn

from ablate.engines import lanes, loop
from ablate.engines.choice import choose_trainer
from ablate.engines.lanes import LanesTrainer
from ablate.engines.lanes_blocks import split_into_blocks
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import NotCovered
from tests.cpu import CPU
from tests.engines.test_lanes import DIGITS, flat, needs_compiler, random_batches, run_of, update_errors

NETWORKS: dict[str, dict[str, Any]] = {
    "D2L's LeNet": {},
    "max pooling": {"pooling": "max", "activation": "tanh"},
    "three convolutions, the last of one pixel": {"conv_layers": 3, "kernel_size": 5, "activation": "gelu", "padding": [2, 0, 0]},
    "global average, strides, dropout": {"head": "global_average", "stride": [1, 2], "kernel_size": 3, "activation": "silu"},
}  # fmt: skip


def trainers(monkeypatch: pytest.MonkeyPatch, network: nn.Module) -> tuple[LoopTrainer, LanesTrainer]:
    """Both engines, each with its own copy of this network."""
    for module in (loop, lanes):
        monkeypatch.setattr(module, "build_initial_model", lambda *_: deepcopy(network))
    run = run_of({}, batch_size=40, learning_rate=0.05)
    return LoopTrainer(run, DIGITS, CPU), LanesTrainer(run, DIGITS, CPU)


def custom_network() -> nn.Sequential:
    """A network with one-dimensional batch norm, other constants, and a layer without batch norm between."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 5, 5, stride=2),
        nn.BatchNorm2d(5, eps=1e-2, momentum=0.3),
        nn.Tanh(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(5, 6, 3),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.Linear(54, 20),
        nn.BatchNorm1d(20),
        nn.Tanh(),
        nn.Dropout(0.2),
        nn.Linear(20, 10),
        nn.BatchNorm1d(10, momentum=1.0),
    )


@needs_compiler
@pytest.mark.parametrize("keywords", NETWORKS.values(), ids=NETWORKS)
def test_batch_norm_is_trained_as_near_to_float64_as_by_the_loop(keywords: dict[str, Any]) -> None:
    run = run_of({**keywords, "batch_norm": True}, batch_size=24, learning_rate=0.1, momentum=0.5)
    assert choose_trainer(run, DIGITS, CPU).name == "lanes"
    by_loop, by_lanes = update_errors(run, random_batches(20, [24, 13, 1]))
    assert by_lanes <= max(5 * by_loop, 1e-5)


@needs_compiler
def test_a_networks_own_batch_norm_leaves_the_loops_parameters_and_statistics(monkeypatch) -> None:
    by_loop, by_lanes = trainers(monkeypatch, custom_network())
    kept = dict(by_lanes.model.named_buffers())
    start = flat(by_loop.model)
    for number, batch in enumerate(random_batches(12, [40, 13, 2])):
        for trainer in (by_loop, by_lanes):
            torch.manual_seed(number)  # dropout's stream
            trainer.step(batch)
        by_lanes.predict(DIGITS.test_images)
    assert (flat(by_lanes.model) - flat(by_loop.model)).norm() <= 1e-4 * (flat(by_loop.model) - start).norm()
    for name, buffer in by_loop.model.named_buffers():
        assert kept[name] is by_lanes.model.get_buffer(name)
        torch.testing.assert_close(kept[name], buffer, rtol=1e-4, atol=1e-5)
    assert int(kept["1.num_batches_tracked"]) == 12
    scores = by_loop.predict(DIGITS.test_images)
    assert (by_lanes.predict(DIGITS.test_images) - scores).norm() <= 1e-4 * scores.norm()
    by_lanes.model.eval()
    assert (by_lanes.model(DIGITS.test_images) - scores).norm() <= 1e-4 * scores.norm()


@needs_compiler
@pytest.mark.parametrize("augmentation", ["none", "flip_crop_brightness"])
@pytest.mark.parametrize("keywords", [{}, {"batch_norm": True}, {"pooling": "max", "activation": "relu"}])
def test_normalised_images_are_the_loops(keywords: dict[str, Any], augmentation: str) -> None:
    run = run_of(
        {**keywords, "input_norm": True}, batch_size=40, learning_rate=0.1, augmentation=augmentation
    )
    assert choose_trainer(run, DIGITS, CPU).name == "lanes"
    by_loop, by_lanes = LoopTrainer(run, DIGITS, CPU), LanesTrainer(run, DIGITS, CPU)
    start = flat(by_loop.model)
    for batch in random_batches(12, [40, 13, 2]):
        for trainer in (by_loop, by_lanes):
            trainer.step(batch)
    assert (flat(by_lanes.model) - flat(by_loop.model)).norm() <= 1e-3 * (flat(by_loop.model) - start).norm()
    assert torch.allclose(by_lanes.totals(), by_loop.totals().double(), rtol=1e-4)
    for name in ("running_mean", "running_var"):
        assert torch.equal(
            *(trainer.model.get_buffer(f"input_norm.{name}") for trainer in (by_loop, by_lanes))
        )
    scores = by_loop.predict(DIGITS.test_images)
    assert (by_lanes.predict(DIGITS.test_images) - scores).norm() <= 1e-3 * scores.norm()


@needs_compiler
@pytest.mark.parametrize("keywords", [{"batch_norm": True, "conv_layers": 3}, {"input_norm": True}])
def test_evaluating_between_steps_changes_nothing(keywords: dict[str, Any]) -> None:
    def train(*, evaluated: bool) -> list[torch.Tensor]:
        trainer = LanesTrainer(run_of(keywords, batch_size=20), DIGITS, CPU)
        for batch in random_batches(4, [20, 3]):
            trainer.step(batch)
            if evaluated:
                trainer.predict(DIGITS.test_images)
        return list(trainer.model.state_dict().values())

    pairs = zip(train(evaluated=True), train(evaluated=False), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@needs_compiler
def test_a_large_mean_costs_the_variance_no_digits(monkeypatch) -> None:
    network = custom_network()
    with torch.no_grad():
        network[0].bias.fill_(1_000)  # type: ignore[union-attr, operator]
    by_loop, by_lanes = trainers(monkeypatch, network)
    batch = torch.arange(40)
    exact = deepcopy(network[:2]).double()
    exact(DIGITS.images[batch].double())
    for trainer in (by_loop, by_lanes):
        trainer.step(batch)
    wanted, *measured = (
        model.get_buffer("1.running_var").double() for model in (exact, by_loop.model, by_lanes.model)
    )
    errors = [float((variance - wanted).norm()) for variance in measured]
    assert errors[1] <= max(5 * errors[0], 1e-6)


@needs_compiler
def test_a_single_value_per_channel_is_refused_and_nothing_is_trained(monkeypatch) -> None:
    by_loop, by_lanes = trainers(monkeypatch, custom_network())
    start = [value.clone() for value in by_lanes.model.state_dict().values()]
    for trainer in (by_loop, by_lanes):
        with pytest.raises(ValueError, match="more than 1 value per channel when training"):
            trainer.step(torch.tensor([3]))
    assert all(map(torch.equal, start, by_lanes.model.state_dict().values()))


@pytest.mark.parametrize(
    ("norm", "reason"),
    [
        (nn.BatchNorm2d(4, affine=False), "only with weights, running statistics and a momentum"),
        (
            nn.BatchNorm2d(4, track_running_stats=False),
            "only with weights, running statistics and a momentum",
        ),
        (nn.BatchNorm2d(4, momentum=None), "only with weights, running statistics and a momentum"),
        (nn.BatchNorm2d(4).double(), "batch norm only with float32"),
        (nn.GroupNorm(2, 4), "not support GroupNorm"),
    ],
)
def test_other_normalisations_are_left_to_the_loop(norm: nn.Module, reason: str) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(4, 10))
    with pytest.raises(NotCovered, match=reason):
        split_into_blocks(network)
