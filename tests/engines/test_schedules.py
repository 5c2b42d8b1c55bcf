"""Learning-rate schedules: their rates are torch's, and training follows them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import lr_scheduler

from ablate.data.loading import Dataset
from ablate.design.runs import Arm, Run
from ablate.engines.loop import LoopTrainer
from ablate.engines.schedules import CYCLE_START, WARM_UP_START, is_scheduled, list_rates
from ablate.engines.training import Course, train
from ablate.study.recipe import Recipe
from tests.cpu import CPU

STEPS = 7
"""Steps per epoch."""
RATE = 0.3
Scheduler = Callable[[torch.optim.Optimizer, int], lr_scheduler.LRScheduler]


def warm_up_for(steps: int, then: Scheduler) -> Scheduler:
    """torch's own warm-up for some steps, and a scheduler after it."""
    return lambda optimizer, total: lr_scheduler.SequentialLR(
        optimizer,
        [
            lr_scheduler.LinearLR(optimizer, WARM_UP_START, 1, total_iters=steps),
            then(optimizer, total - steps),
        ],
        [steps],
    )


def cosine(optimizer: torch.optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.CosineAnnealingLR(optimizer, steps)


def step(optimizer: torch.optim.Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.StepLR(optimizer, 2 * STEPS, gamma=0.3)


SCHEDULES: dict[str, tuple[dict[str, Any], Scheduler]] = {
    "constant": ({}, lambda optimizer, _: lr_scheduler.ConstantLR(optimizer, 1)),
    "step": ({"schedule": "step", "step_epochs": 2, "step_factor": 0.3}, step),
    "a third of the epochs": (
        {"schedule": "step"},
        lambda optimizer, _: lr_scheduler.StepLR(optimizer, 2 * STEPS),
    ),
    "cosine": ({"schedule": "cosine"}, cosine),
    "linear": (
        {"schedule": "linear"},
        lambda optimizer, steps: lr_scheduler.LinearLR(optimizer, 1, 0, total_iters=steps),
    ),
    "one_cycle": (
        {"schedule": "one_cycle"},
        lambda optimizer, steps: lr_scheduler.OneCycleLR(
            optimizer, RATE, total_steps=steps, cycle_momentum=False
        ),
    ),
    "warm-up, cosine": ({"schedule": "cosine", "warmup_epochs": 2}, warm_up_for(2 * STEPS, cosine)),
    "warm-up of half an epoch, step": (
        {"schedule": "step", "step_epochs": 2, "step_factor": 0.3, "warmup_epochs": 0.5},
        warm_up_for(round(STEPS / 2), step),
    ),
}


def list_torchs_rates(make: Scheduler, steps: int) -> Iterator[float]:
    """The rates of torch's own scheduler, which makes a step after each step of an optimiser."""
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], RATE)
    scheduler = make(optimizer, steps)
    for _ in range(steps):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("epochs", [5, 6])
@pytest.mark.parametrize(("keys", "make"), SCHEDULES.values(), ids=SCHEDULES)
def test_rates_are_those_of_torchs_schedulers(keys, make, epochs) -> None:
    recipe = Recipe(epochs=epochs, learning_rate=RATE, **keys)
    ours = [rate for epoch in range(epochs) for rate in list_rates(recipe, epoch, STEPS)]
    theirs = list(list_torchs_rates(make, epochs * STEPS))
    assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-12)
    assert is_scheduled(recipe) == (len(set(theirs)) > 1)


def test_a_run_of_one_step_has_torchs_rate_in_every_schedule() -> None:
    for name in ("constant", "cosine", "linear", "one_cycle"):
        keys, make = SCHEDULES[name]
        recipe = Recipe(epochs=1, learning_rate=RATE, **keys)
        assert list_rates(recipe, 0, 1) == pytest.approx([*list_torchs_rates(make, 1)])


def run_of(**recipe: Any) -> Run:
    usual = {"batch_size": 64, "train_images": 160, "learning_rate": 0.05}
    arm = Arm(name="a", model="mlp", keywords={"hidden": []}, recipe=Recipe(**usual | recipe), factors={})
    return Run(phase="confirm", arm=arm, setting={}, seed=0)


def flat(trainer: LoopTrainer) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_run_trains_as_with_torchs_optimiser_and_scheduler(optimizer: str, digits: Dataset) -> None:
    run = run_of(epochs=3, schedule="one_cycle", optimizer=optimizer, weight_decay=0.01)
    trainer = LoopTrainer(run, digits, CPU)
    record = train(run, trainer, digits, validation=240).record
    plain = LoopTrainer(run, digits, CPU)
    course = Course(run, digits, validation=240)
    kind = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[optimizer]
    theirs = kind(plain.model.parameters(), lr=0.05, weight_decay=0.01)
    scheduler = lr_scheduler.OneCycleLR(theirs, 0.05, epochs=3, steps_per_epoch=3, cycle_momentum=False)
    assert theirs.param_groups[0]["lr"] == pytest.approx(0.05 * CYCLE_START)
    for _ in range(3):
        for batch in course.draw_order().split(64):
            theirs.zero_grad()
            scores = plain.model(digits.images[batch])
            torch.nn.functional.cross_entropy(scores, digits.labels[batch]).backward()
            theirs.step()
            scheduler.step()
    assert record.status == "complete"
    torch.testing.assert_close(flat(trainer), flat(plain), rtol=1e-5, atol=1e-7)
    constant = LoopTrainer(run_of(epochs=3, optimizer=optimizer, weight_decay=0.01), digits, CPU)
    train(run_of(epochs=3), constant, digits, validation=240)
    assert (flat(constant) - flat(plain)).norm() > 0.01 * flat(plain).norm()
