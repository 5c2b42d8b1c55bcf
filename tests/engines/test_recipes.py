"""Every engine trains by every recipe as a plain loop with torch's own optimisers and schedulers does."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.data.loading import Dataset
from ablate.design.runs import Arm, Run
from ablate.engines.cohort import Cohort
from ablate.engines.lanes import LanesTrainer, reason_against
from ablate.engines.loop import LoopTrainer, build_initial_model
from ablate.engines.schedules import list_rates
from ablate.engines.training import Trainer
from ablate.study.recipe import Recipe
from tests.cpu import CPU

BATCH, STEPS = 24, 30
EXAMPLES = BATCH * STEPS - 11
"""The last batch is smaller."""

torch_schedulers = torch.optim.lr_scheduler
Plain = tuple[Callable[[Any], torch.optim.Optimizer], Callable[[torch.optim.Optimizer], Any] | None]
RECIPES: dict[str, tuple[Mapping[str, Any], Plain]] = {
    "SGD": (
        {"learning_rate": 0.05, "momentum": 0.5, "weight_decay": 0.01},
        (lambda p: torch.optim.SGD(p, 0.05, 0.5, weight_decay=0.01), None),
    ),
    "Nesterov": (
        {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "schedule": "cosine"},
        (
            lambda p: torch.optim.SGD(p, 0.05, 0.9, nesterov=True, weight_decay=0.01),
            lambda o: torch_schedulers.CosineAnnealingLR(o, STEPS),
        ),
    ),
    "RMSprop": (
        {"optimizer": "rmsprop", "learning_rate": 0.001, "weight_decay": 0.01},
        (lambda p: torch.optim.RMSprop(p, 0.001, weight_decay=0.01), None),
    ),
    "RMSprop with momentum": (
        {"optimizer": "rmsprop", "learning_rate": 0.001, "momentum": 0.5, "schedule": "linear"},
        (
            lambda p: torch.optim.RMSprop(p, 0.001, momentum=0.5),
            lambda o: torch_schedulers.LinearLR(o, 1, 0, STEPS),
        ),
    ),
    "Adam": (
        {"optimizer": "adam", "learning_rate": 0.01, "weight_decay": 0.01, "schedule": "one_cycle"},
        (
            lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.01),
            lambda o: torch_schedulers.OneCycleLR(o, 0.01, STEPS, cycle_momentum=False),
        ),
    ),
    "AdamW": (
        {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.1, "schedule": "step", "step_epochs": 1},
        (lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1), None),  # one epoch has no step down
    ),
}  # fmt: skip
LOSSES = {
    "plain": {},
    "smoothed labels": {"label_smoothing": 0.2},
    "a clipped gradient": {"gradient_clip": 0.3},
    "smoothed labels and a clipped gradient": {"label_smoothing": 0.1, "gradient_clip": 0.7},
}
CASES = [
    ("SGD", "smoothed labels"),
    ("SGD", "a clipped gradient"),
    ("Nesterov", "smoothed labels and a clipped gradient"),
    ("RMSprop", "plain"),
    ("RMSprop with momentum", "a clipped gradient"),
    ("Adam", "smoothed labels and a clipped gradient"),
    ("AdamW", "plain"),
]


@pytest.fixture(scope="module")
def exact(digits: Dataset) -> Dataset:
    return replace(digits, images=digits.images.double(), test_images=digits.test_images.double())


def run_of(recipe: Mapping[str, Any]) -> Run:
    conditions = Recipe(epochs=1, batch_size=BATCH, **recipe)
    arm = Arm(name="a", model="mlp", keywords={"hidden": [12]}, recipe=conditions, factors={})
    return Run(phase="confirm", arm=arm, setting={}, seed=0)


def draw_order(dataset: Dataset) -> Tensor:
    return torch.randint(0, len(dataset.images), (EXAMPLES,), generator=torch.Generator().manual_seed(3))


def flat(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().double().flatten() for parameter in model.parameters()])


def train_plainly(run: Run, plain: Plain, loss: Mapping[str, float], exact: Dataset) -> tuple[Tensor, float]:
    """Train with torch alone, in float64. Return the parameters and the summed loss without smoothing."""
    model = build_initial_model(run, exact.images.shape[1:], len(exact.classes)).double()
    optimizer = plain[0](model.parameters())
    scheduler = plain[1](optimizer) if plain[1] else None
    total = 0.0
    for batch in draw_order(exact).split(BATCH):
        optimizer.zero_grad()
        logits, labels = model(exact.images[batch]), exact.labels[batch]
        F.cross_entropy(logits, labels, label_smoothing=loss.get("label_smoothing", 0.0)).backward()
        if clip := loss.get("gradient_clip"):
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        if scheduler:
            scheduler.step()
        total += F.cross_entropy(logits, labels, reduction="sum").item()
    return flat(model), total


def follow(trainer: Trainer, run: Run, order: Tensor) -> Tensor:
    """Train an epoch with this trainer. Return the parameters."""
    for batch, rate in zip(order.split(BATCH), list_rates(run.recipe, 0, STEPS), strict=True):
        trainer.set_rate(rate)
        trainer.step(batch)
    return flat(trainer.model)


@pytest.mark.parametrize(("recipe", "loss"), CASES)
def test_engines_train_as_torchs_own_optimisers(
    recipe: str, loss: str, digits: Dataset, exact: Dataset
) -> None:
    keys, plain = RECIPES[recipe]
    run = run_of({**keys, **LOSSES[loss]})
    order = draw_order(digits)
    theirs, total = train_plainly(run, plain, LOSSES[loss], exact)

    loop = LoopTrainer(run, exact, CPU)
    loop.model.double()
    start = flat(loop.model)
    torch.testing.assert_close(follow(loop, run, order), theirs, rtol=0, atol=1e-11)
    assert loop.totals()[0].item() == pytest.approx(total, rel=1e-5)

    cohort = Cohort(run, exact, examples=EXAMPLES, places=2)
    other = run_of({**keys, **{key: value / 2 for key, value in LOSSES[loss].items()}})
    rates = [list_rates(run.recipe, 0, STEPS), list_rates(other.recipe, 0, STEPS)]
    for place, member in enumerate((other, run)):
        cohort.seat(place, member)
        cohort.load(place, order, [], rates[place])
    totals = cohort.epoch()[-1]
    torch.testing.assert_close(cohort.parameters[1], theirs, rtol=0, atol=1e-10)
    assert totals[1, 0].item() == pytest.approx(total, rel=1e-9)
    if LOSSES[loss]:
        assert not torch.allclose(cohort.parameters[0], theirs, rtol=0, atol=1e-4)

    if reason_against(run, digits, CPU) is None:
        way = (theirs - start).norm()
        rounded, lanes = LoopTrainer(run, digits, CPU), LanesTrainer(run, digits, CPU)
        errors = [(follow(one, run, order) - theirs).norm() / way for one in (rounded, lanes)]
        assert errors[1] <= max(5 * errors[0], 1e-5)
        assert lanes.totals()[0].item() == pytest.approx(total, rel=1e-5)
