"""The fast engines train D2L's other networks as the loop does, or say why they do not."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ablate.data import loading
from ablate.data.datasets import find_dataset
from ablate.design.runs import Arm, Run
from ablate.engines import cohort, lanes, lanes_library
from ablate.engines.augmentation import Augmentation
from ablate.engines.choice import choose_trainer
from ablate.engines.lanes import LanesTrainer
from ablate.engines.loop import LoopTrainer, build_initial_model
from ablate.engines.replicas import Replicas
from ablate.engines.training import train
from ablate.study.recipe import Recipe
from tests.cpu import CPU

DIGITS = loading.load(find_dataset("digits"), None, CPU)
EXACT = replace(DIGITS, images=DIGITS.images.double(), test_images=DIGITS.test_images.double())
STEM = {"stem_kernel": 5, "stem_stride": 1, "stem_padding": 2}
SMALL: dict[str, dict[str, Any]] = {
    "alexnet": {"width": 0.05, **STEM},
    "vgg": {"width": 0.05, "blocks": 4},
    "nin": {"width": 0.05, **STEM},
    "googlenet": {"width": 0.1, "stages": [1, 1]},
}

needs_compiler = pytest.mark.skipif(
    isinstance(lanes_library.load_library(), str),
    reason=f"no lanes engine here: {lanes_library.load_library()}",
)


def run_of(model: str, keywords: dict[str, Any], seed: int = 0, **recipe: Any) -> Run:
    conditions = Recipe(**{"batch_size": 20, "learning_rate": 0.02, "init": "kaiming_uniform", **recipe})
    arm = Arm(name="arm", model=model, keywords={**SMALL[model], **keywords}, recipe=conditions, factors={})
    return Run(phase="confirm", arm=arm, setting={}, seed=seed)


def flat(model: torch.nn.Module) -> Tensor:
    return torch.cat([parameter.detach().double().flatten() for parameter in model.parameters()])


def batches(steps: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [
        torch.randint(0, len(DIGITS.images), ((20, 20, 13)[i % 3],), generator=generator)
        for i in range(steps)
    ]


COVERED: dict[str, tuple[str, dict[str, Any]]] = {
    "AlexNet: overlapping windows, dropout of dense layers": ("alexnet", {}),
    "AlexNet with a smooth activation and means": ("alexnet", {"pooling": "avg", "activation": "tanh"}),
    "AlexNet with a steep stem and a single pooling": ("alexnet", {"conv_layers": 1, "stem_kernel": 11, "stem_stride": 4, "stem_padding": 1}),
    "AlexNet with a global average": ("alexnet", {"head": "global_average", "dropout": 0}),
    "VGG: convolutions without pooling between them": ("vgg", {}),
    "VGG whose last convolutions have padded single pixels": ("vgg", {"blocks": [1, 1, 1, 2], "kernel_size": 5, "activation": "gelu"}),
    "NiN: 1×1 convolutions": ("nin", {"dropout": 0}),
    "NiN with a dense head": ("nin", {"head": "dense", "hidden": [40]}),
    "NiN without 1×1 convolutions": ("nin", {"dropout": 0, "pointwise_layers": 0, "pooling": "avg"}),
}  # fmt: skip


@needs_compiler
@pytest.mark.parametrize(("model", "keywords"), COVERED.values(), ids=COVERED)
def test_lanes_train_what_they_cover_like_the_loop(model: str, keywords: dict[str, Any]) -> None:
    run = run_of(model, keywords)
    assert lanes.reason_against(run, DIGITS, CPU) is None
    loop, fast = LoopTrainer(run, DIGITS, CPU), LanesTrainer(run, DIGITS, CPU)
    for number, batch in enumerate(batches(10)):
        # Start each step from equal parameters: otherwise rounding near a ReLU kink would separate the engines.
        start = flat(loop.model)
        fast.model.load_state_dict(loop.model.state_dict())
        for trainer in (loop, fast):
            torch.manual_seed(number)  # dropout's stream
            trainer.step(batch)
        assert (flat(fast.model) - flat(loop.model)).norm() <= 1e-4 * (flat(loop.model) - start).norm()
    loss, correct = loop.totals().tolist()
    assert fast.totals().tolist() == [pytest.approx(loss, rel=1e-4), pytest.approx(correct, abs=2)]
    scores = loop.predict(DIGITS.test_images)
    assert (fast.predict(DIGITS.test_images) - scores).norm() <= 1e-4 * scores.norm()


@pytest.mark.parametrize(
    ("model", "keywords", "reason"),
    [
        (
            "alexnet",
            {"head": "global_average"},
            "it does not support Dropout in this position of the network",
        ),
        ("nin", {}, "it does not support Dropout in this position of the network"),
        ("googlenet", {}, "it does not support padding, dilation, ceil_mode or divisor_override in pooling"),
    ],
)
def test_lanes_say_why_they_leave_a_network_to_the_loop(
    model: str, keywords: dict[str, Any], reason: str
) -> None:
    run = run_of(model, keywords)
    assert reason in str(lanes.reason_against(run, DIGITS, CPU))
    assert choose_trainer(run, DIGITS, CPU).name == "tailored"


COHORTS: dict[str, tuple[str, dict[str, Any]]] = {
    "AlexNet": ("alexnet", {"dropout": 0}),
    "VGG": ("vgg", {"dropout": 0}),
    "VGG with a global average": ("vgg", {"dropout": 0, "head": "global_average", "pooling": "avg"}),
    "NiN": ("nin", {"dropout": 0}),
    "GoogLeNet": ("googlenet", {}),
    "GoogLeNet by means, without a path, with a dense head": ("googlenet", {"pooling": "avg", "without_path": "5x5", "head": "dense", "hidden": [20], "activation": "tanh"}),
}  # fmt: skip


@pytest.mark.parametrize(("model", "keywords"), COHORTS.values(), ids=COHORTS)
def test_a_cohort_trains_them_like_the_loop_to_ten_digits(model: str, keywords: dict[str, Any]) -> None:
    runs = [run_of(model, keywords, seed, learning_rate=rate) for seed, rate in enumerate((0.01, 0.05))]
    assert cohort.reason_against(runs[0], EXACT) is None
    together = cohort.Cohort(runs[0], EXACT, examples=130, places=2)
    orders = [torch.cat(batches(8))[:130], torch.cat(batches(9))[-130:]]
    for place, (run, order) in enumerate(zip(runs, orders, strict=True)):
        together.seat(place, run)
        nothing = Augmentation(run.recipe.augmentation, run.seed)
        together.load(place, order, [nothing.draw(len(batch)) for batch in order.split(20)])
    together.epoch()
    for place, (run, order) in enumerate(zip(runs, orders, strict=True)):
        loop = LoopTrainer(run, EXACT, CPU)
        loop.model.double()
        start = flat(loop.model)
        for batch in order.split(20):
            loop.step(batch)
        assert (flat(loop.model) - start).norm() > 1e-3
        assert torch.allclose(together.parameters[place], flat(loop.model), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("model", "keywords"),
    [("alexnet", {}), ("vgg", {}), ("nin", {}), ("googlenet", {"dropout": 0.4})],
)
def test_a_cohort_drops_units_of_all_of_them_anew_in_every_place(
    model: str, keywords: dict[str, Any]
) -> None:
    runs = [run_of(model, keywords, seed=0) for _ in range(2)]
    replicas = Replicas(build_initial_model(runs[0], (1, 28, 28), 10), 2)
    parameters = torch.stack([flat(build_initial_model(run, (1, 28, 28), 10)).float() for run in runs])
    images = DIGITS.images[:8].expand(2, -1, -1, -1, -1)
    seeds, steps = torch.tensor([[1], [2]]), torch.tensor([[0], [0]])
    dropped, other = replicas(parameters, images, (seeds, steps))
    assert not torch.allclose(dropped, other)
    evaluated, again = replicas(parameters, images)
    torch.testing.assert_close(evaluated, again)
    torch.testing.assert_close(evaluated, build_initial_model(runs[0], (1, 28, 28), 10).eval()(images[0]))


@pytest.mark.parametrize("model", SMALL)
def test_a_cohort_says_why_it_leaves_batch_norm_to_the_loop(model: str) -> None:
    reason = "BatchNorm2d uses statistics of the whole batch"
    assert cohort.reason_against(run_of(model, {"batch_norm": True}), DIGITS) == reason


@pytest.mark.parametrize("model", SMALL)
def test_whatever_trains_them_they_learn_the_digits(model: str) -> None:
    run = run_of(model, {"dropout": 0}, epochs=3, optimizer="adam", learning_rate=0.003)
    record = train(run, choose_trainer(run, DIGITS, CPU), DIGITS, validation=200).record
    assert record.status == "complete"
    assert record.test_accuracy is not None
    assert record.test_accuracy > 0.4
