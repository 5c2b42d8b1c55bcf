import importlib
import math
import subprocess
from collections.abc import Mapping
from statistics import median
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ablate.data import loading
from ablate.data.datasets import find_dataset
from ablate.design.runs import Arm, Run
from ablate.engines import lanes_library
from ablate.engines.choice import choose_trainer
from ablate.engines.lanes import LanesTrainer, reason_against
from ablate.engines.lanes_blocks import split_into_blocks
from ablate.engines.loop import LoopTrainer, build_initial_model
from ablate.engines.training import NotCovered, Trainer, train
from ablate.errors import ModelError
from ablate.models import layers
from ablate.study.recipe import Recipe

CPU = torch.device("cpu")
DIGITS = loading.load(find_dataset("digits"), None, CPU)
IMAGE_SHAPE = (1, 28, 28)

needs_compiler = pytest.mark.skipif(
    isinstance(lanes_library.load_library(), str),
    reason=f"no lanes engine here: {lanes_library.load_library()}",
)


NETWORKS: dict[str, dict[str, Any]] = {
    "D2L's LeNet": {},
    "ReLU, max pooling": {"activation": "relu", "pooling": "max"},
    "3×3 kernels": {"kernel_size": 3, "activation": "elu", "pooling": "max"},
    "7×7 kernels": {"kernel_size": 7, "padding": [3, 0], "activation": "leaky_relu", "pooling": "max"},
    "12 and 20 channels": {"channels": [12, 20], "activation": "tanh", "pooling": "max"},
    "one convolution": {"conv_layers": 1, "channels": 8, "dense_layers": 2, "hidden": 64, "activation": "relu"},
    "three convolutions": {"conv_layers": 3, "activation": "selu"},
    "four convolutions, one dense layer": {"conv_layers": 4, "dense_layers": 1, "activation": "silu", "pooling": "max"},
    "no pooling, stride 2": {"pooling": "none", "stride": 2, "activation": "gelu"},
    "odd in every way": {
        "conv_layers": 3,
        "channels": [5, 7, 9],
        "kernel_size": [5, 3, 3],
        "stride": [1, 2, 1],
        "padding": [1, 2, 1],
        "dilation": [1, 2, 1],
        "dense_layers": 4,
        "hidden": [50, 33, 21],
        "activation": "softplus",
        "pooling": "max",
    },
    "gelu, max pooling": {"activation": "gelu", "pooling": "max"},
    "mish, max pooling": {"activation": "mish", "pooling": "max"},
    "hardswish": {"activation": "hardswish"},
    "identity, tanh on the logits": {"activation": "identity", "output_activation": "tanh"},
    "global average in place of dense layers": {"head": "global_average", "activation": "tanh", "pooling": "max"},
    "a last convolution of one pixel": {"conv_layers": 3, "kernel_size": [5, 5, 5], "padding": [2, 0, 0], "activation": "tanh"},
    "16 and 32 channels, three convolutions": {"channels": [16, 32], "conv_layers": 3},
}  # fmt: skip


def run_of(keywords: Mapping[str, Any], seed: int = 0, **recipe: Any) -> Run:
    arm = Arm(name="arm", model="lenet", keywords=keywords, recipe=Recipe(**recipe), factors={})
    return Run(phase="confirm", arm=arm, setting={}, seed=seed)


def flat(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().double().flatten() for parameter in model.parameters()])


def random_batches(steps: int, sizes: list[int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [
        torch.randint(0, len(DIGITS.images), (sizes[i % len(sizes)],), generator=generator)
        for i in range(steps)
    ]


def update_errors(run: Run, batches: list[Tensor]) -> tuple[float, float]:
    """Distance of the loop's and the engine's parameters to float64, relative to the distance trained."""
    exact = build_initial_model(run, IMAGE_SHAPE, 10).double()
    start = flat(exact)
    recipe = run.recipe
    optimizer = torch.optim.SGD(
        exact.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
    )
    trainers: list[Trainer] = [LoopTrainer(run, DIGITS, CPU), LanesTrainer(run, DIGITS, CPU)]
    for batch in batches:
        optimizer.zero_grad()
        F.cross_entropy(exact(DIGITS.images[batch].double()), DIGITS.labels[batch]).backward()
        optimizer.step()
        for trainer in trainers:
            trainer.step(batch)
    way = (flat(exact) - start).norm()
    loop, lanes = (float((flat(trainer.model) - flat(exact)).norm() / way) for trainer in trainers)
    return loop, lanes


KINKED = ("relu", "leaky_relu")
"""Activations whose derivative is discontinuous at zero."""


@needs_compiler
@pytest.mark.parametrize("keywords", NETWORKS.values(), ids=NETWORKS)
def test_forty_steps_are_as_near_to_float64_as_the_loop(keywords):
    rate = 0.5 if keywords.get("activation", "sigmoid") == "sigmoid" else 0.01
    run = run_of(keywords, batch_size=24, learning_rate=rate, momentum=0.5, weight_decay=5e-4)
    batches = random_batches(40, [24, 24, 13])
    # Rounding can move a value across ReLU's kink at zero. Then the error jumps in that one step.
    # Measured for ReLU with max pooling: lanes jumped in 5 of 16 sequences of 40 steps, the loop in 2 of them;
    # in all others both had the same error. The median over five restarts leaves such jumps out.
    restarts = 5 if keywords.get("activation") in KINKED else 1
    length = len(batches) // restarts
    errors = [update_errors(run, batches[i * length : (i + 1) * length]) for i in range(restarts)]
    loop, lanes = (median(engine) for engine in zip(*errors, strict=True))
    # The floor: at a kink or a tie, two float32 engines may differ by this much.
    assert lanes <= max(5 * loop, 1e-4)


def per_layer(low: int, high: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(low, high), min_size=2, max_size=2)


@needs_compiler
@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    keywords=st.fixed_dictionaries(
        {
            "activation": st.sampled_from(
                ["sigmoid", "tanh", "gelu", "silu", "mish", "softplus", "identity"]
            ),
            "pooling": st.sampled_from(["avg", "max", "none"]),
            "conv_layers": st.integers(2, 4),
            "channels": per_layer(1, 9),
            "kernel_size": per_layer(1, 7),
            "stride": per_layer(1, 3),
            "padding": per_layer(0, 3),
            "dilation": per_layer(1, 3),
            "dense_layers": st.integers(1, 4),
            "hidden": st.integers(1, 70),
        }
    ),
    batch_size=st.sampled_from([1, 7, 16, 17, 33]),
)
def test_any_geometry_and_batch_size_is_trained_like_float64(keywords, batch_size):
    run = run_of(keywords, batch_size=batch_size, learning_rate=0.02)
    try:
        build_initial_model(run, IMAGE_SHAPE, 10)
    except ModelError:
        assume(False)
    loop, lanes = update_errors(run, random_batches(5, [batch_size]))
    assert lanes <= max(5 * loop, 1e-4)


@needs_compiler
@pytest.mark.parametrize(
    "recipe",
    [
        {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-2},
        {"optimizer": "adam", "learning_rate": 1e-3},
        {"optimizer": "adam", "learning_rate": 1e-3, "weight_decay": 1e-2},
        {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 1e-1},
    ],
    ids=lambda recipe: ", ".join(f"{name} {value}" for name, value in recipe.items()),
)
def test_every_optimiser_takes_torchs_steps(recipe):
    run = run_of({"activation": "tanh"}, batch_size=32, **recipe)
    loop, lanes = LoopTrainer(run, DIGITS, CPU), LanesTrainer(run, DIGITS, CPU)
    start = flat(loop.model)
    for batch in random_batches(30, [32]):
        loop.step(batch)
        lanes.step(batch)
    way = (flat(loop.model) - start).norm()
    # Adam divides by the root of its second moment. Where this is near zero, rounding decides a step's sign.
    assert (flat(lanes.model) - flat(loop.model)).norm() <= 3e-4 * way


@needs_compiler
@pytest.mark.parametrize("hidden", [[], [50, 33]])
def test_a_perceptron_is_trained_like_float64(hidden):
    recipe = Recipe(batch_size=24, learning_rate=0.05)
    arm = Arm(name="arm", model="mlp", keywords={"hidden": hidden}, recipe=recipe, factors={})
    loop, lanes = update_errors(
        Run(phase="confirm", arm=arm, setting={}, seed=0), random_batches(20, [24, 13])
    )
    assert lanes <= max(5 * loop, 1e-5)


@needs_compiler
def test_dropout_draws_the_loops_own_masks():
    run = run_of({"dropout": 0.4, "activation": "tanh"}, batch_size=50, learning_rate=0.05)
    trainers: list[Trainer] = [LoopTrainer(run, DIGITS, CPU), LanesTrainer(run, DIGITS, CPU)]
    start = flat(trainers[0].model)
    for trainer in trainers:
        torch.manual_seed(7)
        for batch in random_batches(20, [50, 13]):
            trainer.step(batch)
    loop, lanes = (flat(trainer.model) for trainer in trainers)
    assert (lanes - loop).norm() <= 1e-5 * (loop - start).norm()
    without = LanesTrainer(run_of({"activation": "tanh"}, batch_size=50, learning_rate=0.05), DIGITS, CPU)
    for batch in random_batches(20, [50, 13]):
        without.step(batch)
    assert (flat(without.model) - loop).norm() > 0.1 * (loop - start).norm()


@needs_compiler
def test_nothing_is_dropped_in_evaluation():
    run = run_of({"dropout": 0.9}, batch_size=50)
    loop, lanes = LoopTrainer(run, DIGITS, CPU), LanesTrainer(run, DIGITS, CPU)
    lanes.step(torch.arange(50))
    loop.model.load_state_dict(lanes.model.state_dict())
    scores = loop.predict(DIGITS.test_images)
    assert (lanes.predict(DIGITS.test_images) - scores).norm() <= 1e-5 * scores.norm()


@needs_compiler
def test_totals_and_accuracy_are_the_loops():
    run = run_of({"activation": "tanh", "pooling": "max"}, batch_size=50, learning_rate=0.05)
    loop, lanes = LoopTrainer(run, DIGITS, CPU), LanesTrainer(run, DIGITS, CPU)
    assert torch.equal(flat(loop.model), flat(lanes.model))
    for number, batch in enumerate(random_batches(30, [50, 50, 13])):
        if number == 10:
            loop.reset()
            lanes.reset()
        loop.step(batch)
        lanes.step(batch)
    (loss, correct), (lanes_loss, lanes_correct) = loop.totals().tolist(), lanes.totals().tolist()
    assert lanes_loss == pytest.approx(loss, rel=1e-4)
    assert lanes_correct == pytest.approx(correct, abs=2)
    scores = loop.predict(DIGITS.test_images)
    assert (lanes.predict(DIGITS.test_images) - scores).norm() <= 1e-4 * scores.norm()


@needs_compiler
def test_totals_read_earlier_do_not_move_with_later_steps():
    lanes = LanesTrainer(run_of({}, batch_size=8), DIGITS, CPU)
    lanes.step(torch.arange(8))
    before = lanes.totals()
    kept = before.clone()
    lanes.step(torch.arange(8))
    assert torch.equal(before, kept)
    assert lanes.totals()[0] > kept[0]


@needs_compiler
def test_the_models_own_forward_pass_sees_what_was_trained():
    lanes = LanesTrainer(run_of({"activation": "relu"}, batch_size=64, learning_rate=0.05), DIGITS, CPU)
    for batch in random_batches(40, [64]):
        lanes.step(batch)
    fresh = build_initial_model(run_of({"activation": "relu"}), IMAGE_SHAPE, 10)
    fresh.load_state_dict(lanes.model.state_dict())
    with torch.no_grad():
        scores = fresh(DIGITS.test_images)
    assert (scores.argmax(1) == DIGITS.test_labels).double().mean() > 0.3
    assert (lanes.predict(DIGITS.test_images) - scores).norm() <= 1e-5 * scores.norm()


@needs_compiler
def test_the_same_run_twice_is_the_same_to_the_bit():
    def trained() -> Tensor:
        lanes = LanesTrainer(run_of({}, batch_size=33, optimizer="adam", learning_rate=0.01), DIGITS, CPU)
        for batch in random_batches(10, [33, 20]):
            lanes.step(batch)
        lanes.predict(DIGITS.test_images)
        lanes.step(torch.arange(33))
        return flat(lanes.model)

    assert torch.equal(trained(), trained())


@needs_compiler
def test_torch_keeps_its_denormals_after_a_step():
    lanes = LanesTrainer(run_of({}, batch_size=16), DIGITS, CPU)
    lanes.step(torch.arange(16))
    assert float(torch.tensor(1e-40) * 1.0) > 0


@needs_compiler
def test_evaluating_between_steps_changes_nothing():
    def trained(*, evaluated: bool) -> Tensor:
        lanes = LanesTrainer(run_of({"pooling": "max", "conv_layers": 3}, batch_size=20), DIGITS, CPU)
        for batch in random_batches(6, [20, 3]):
            lanes.step(batch)
            if evaluated:
                lanes.predict(DIGITS.test_images)
        return flat(lanes.model)

    assert torch.equal(trained(evaluated=True), trained(evaluated=False))


@needs_compiler
@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "gelu", "silu", "identity", "mish"])
def test_divergence_shows_in_the_loss_as_in_the_loop(activation, pooling):
    run = run_of({"activation": activation, "pooling": pooling}, batch_size=32, learning_rate=1e6)
    for trainer in LoopTrainer(run, DIGITS, CPU), LanesTrainer(run, DIGITS, CPU):
        for batch in random_batches(20, [32]):
            trainer.step(batch)
        assert not math.isfinite(trainer.totals()[0]), trainer.name


@needs_compiler
@pytest.mark.parametrize("poison", [math.nan, math.inf])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "elu", "gelu", "hardswish"])
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_a_parameter_that_is_no_number_shows_in_the_loss_as_in_the_loop(activation, pooling, poison):
    run = run_of({"activation": activation, "pooling": pooling}, batch_size=32)
    for trainer in LoopTrainer(run, DIGITS, CPU), LanesTrainer(run, DIGITS, CPU):
        with torch.no_grad():
            next(trainer.model.parameters())[0, 0, 2, 2] = poison
            list(trainer.model.parameters())[-1][3] = poison
        trainer.step(torch.arange(32))
        assert not math.isfinite(trainer.totals()[0]), trainer.name


@needs_compiler
def test_a_diverged_run_is_recorded_as_diverged():
    run = run_of({"activation": "relu"}, epochs=2, batch_size=64, learning_rate=1e6)
    ended = train(run, LanesTrainer(run, DIGITS, CPU), DIGITS, validation=300)
    assert (ended.record.status, ended.predictions) == ("diverged", None)


@needs_compiler
@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (torch.arange(17), ValueError, "1 to 16 examples, not 17"),
        (torch.arange(0), ValueError, "not 0"),
        (torch.arange(4, dtype=torch.int32), ValueError, "not 4 values of torch.int32"),
        (
            torch.tensor([0, 1_437]),
            IndexError,
            "an index for which there is no image, or a label without a class",
        ),
        (torch.tensor([-1]), IndexError, "an index for which there is no image, or a label without a class"),
    ],
)
def test_a_batch_that_cannot_be_is_refused_and_nothing_is_trained(batch, error, message):
    lanes = LanesTrainer(run_of({}, batch_size=16), DIGITS, CPU)
    start = flat(lanes.model)
    with pytest.raises(error, match=message):
        lanes.step(batch)
    assert torch.equal(flat(lanes.model), start)
    normed = LanesTrainer(run_of({"input_norm": True}, batch_size=16), DIGITS, CPU)
    before = [value.clone() for value in normed.model.state_dict().values()]
    with pytest.raises(error):
        normed.step(batch)
    assert all(map(torch.equal, before, normed.model.state_dict().values()))


def test_what_is_not_covered_says_why_and_gets_the_loop():
    run, reason = run_of({}, precision="bfloat16"), "it does not compute in bfloat16"
    assert reason in str(reason_against(run, DIGITS, CPU))
    assert choose_trainer(run, DIGITS, CPU).name == "loop"
    with pytest.raises(ValueError, match=reason):
        LanesTrainer(run, DIGITS, CPU)


def network(*first: nn.Module) -> nn.Sequential:
    return nn.Sequential(*first, nn.Flatten(), nn.Linear(4, 10))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (network(nn.Conv2d(1, 4, (3, 5))), "square kernels, strides and paddings, not \\(3, 5\\)"),
        (network(nn.Conv2d(1, 4, 3, padding=(0, 1))), "square kernels, strides and paddings"),
        (network(nn.Conv2d(1, 4, 3, padding="same")), "padding other than a number of zeros"),
        (network(nn.Conv2d(4, 4, 3, groups=2)), "grouped"),
        (
            network(nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect")),
            "padding other than a number of zeros",
        ),
        (network(nn.Conv2d(1, 4, 3, bias=False)), "bias"),
        (
            network(nn.Conv2d(1, 4, 3), nn.GELU(approximate="tanh")),
            "supports GELU only with approximate=none",
        ),
        (network(nn.Conv2d(1, 4, 3), nn.LeakyReLU(0.2)), "supports LeakyReLU only with negative_slope=0.01"),
        (network(nn.Conv2d(1, 4, 3), nn.PReLU()), "not support PReLU"),
        (
            network(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2, padding=1)),
            "it does not support padding, dilation, ceil_mode or divisor_override in pooling",
        ),
        (network(nn.Conv2d(1, 4, 3), nn.AvgPool2d(2, ceil_mode=True)), "ceil_mode"),
        (network(nn.Conv2d(1, 4, 3), nn.AvgPool2d(2, divisor_override=3)), "divisor_override"),
        (
            network(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ReLU()),
            "not support ReLU in this position of the network",
        ),
        (network(nn.Conv2d(1, 4, 3), nn.Dropout()), "not support Dropout in this position of the network"),
        (network(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(2)), "adaptive pooling only to a single pixel"),
        (nn.Sequential(nn.Conv2d(1, 4, 3)), "must end with a flat vector of logits"),
        (nn.Sequential(nn.Flatten(0), nn.Linear(4, 10)), "Flatten only with its default dimensions"),
        (network(nn.Conv2d(1, 4, 3)).double(), "float32"),
    ],
)
def test_a_layer_with_an_option_the_engine_lacks_is_named(model, reason):
    with pytest.raises(NotCovered, match=reason):
        split_into_blocks(model)


@needs_compiler
@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(3, 2), nn.AvgPool2d(3, 1), nn.MaxPool2d(2, 3), nn.AvgPool2d(3)], ids=str
)
def test_overlapping_windows_and_pixels_in_none_are_trained_like_torch(monkeypatch, pool):
    def size_after(layer: str, size: tuple[int, int], **geometry: int) -> tuple[int, int]:
        if layer.startswith("pool"):
            geometry |= {"kernel": pool.kernel_size, "stride": pool.stride}
        return layers.compute_size(layer, size, **geometry)

    lenet_module = importlib.import_module("ablate.models.lenet")  # the package has a function of that name
    monkeypatch.setattr(lenet_module, "POOLINGS", {"avg": lambda _: pool})
    monkeypatch.setattr(lenet_module, "compute_size", size_after)
    run = run_of({"activation": "tanh", "kernel_size": 3, "padding": 1}, batch_size=20, learning_rate=0.05)
    loop, lanes = update_errors(run, random_batches(10, [20]))
    assert lanes <= max(5 * loop, 1e-5)


def test_another_device_or_another_dtype_gets_a_reason():
    assert "not on meta" in str(reason_against(run_of({}), DIGITS, torch.device("meta")))
    half = loading.Dataset(**{**vars(DIGITS), "images": DIGITS.images.double()})
    assert "float32" in str(reason_against(run_of({}), half, CPU))


@needs_compiler
def test_the_environment_can_force_the_loop(monkeypatch):
    monkeypatch.delenv("ABLATE_ENGINE", raising=False)
    assert choose_trainer(run_of({}), DIGITS, CPU).name == "lanes"
    monkeypatch.setenv("ABLATE_ENGINE", "loop")
    assert choose_trainer(run_of({}), DIGITS, CPU).name == "loop"


@pytest.fixture
def undecided(monkeypatch, tmp_path):
    """Make the engine look for a compiler again, with an empty cache."""
    monkeypatch.setattr(lanes_library, "locate_cache", lambda: tmp_path)
    lanes_library.load_library.cache_clear()
    yield tmp_path
    lanes_library.load_library.cache_clear()


@pytest.mark.parametrize(
    ("compiler", "reason"), [("no-such-compiler", "no C\\+\\+ compiler"), ("false", "does not compile it")]
)
def test_a_compiler_that_is_missing_or_fails_is_a_reason(monkeypatch, undecided, compiler, reason):
    monkeypatch.setenv("CXX", compiler)
    with pytest.raises(ValueError, match=reason):
        LanesTrainer(run_of({}), DIGITS, CPU)
    assert choose_trainer(run_of({}), DIGITS, CPU).name == "loop"
    assert list(undecided.rglob("*.so")) == []


@needs_compiler
@pytest.mark.thorough
def test_it_is_compiled_once_and_leaves_nothing_half_made(monkeypatch, undecided):
    calls = []
    run = subprocess.run
    # This compiles in a fraction of the time.
    monkeypatch.setattr(lanes_library, "FLAGS", (*lanes_library.FLAGS, "-O0"))
    monkeypatch.setattr(
        subprocess, "run", lambda command, **how: calls.append(command) or run(command, **how)
    )
    for _ in range(2):
        lanes_library.load_library.cache_clear()
        assert not isinstance(lanes_library.load_library(), str)
    assert sum("-shared" in command for command in calls) == 1
    assert sorted(path.suffix for path in (undecided / "lanes").iterdir()) == [".lock", ".so"]


@needs_compiler
@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("activation", layers.ACTIVATIONS)
def test_every_activation_is_torchs(activation, pooling):
    run = run_of({"activation": activation, "pooling": pooling}, batch_size=64, learning_rate=0.02)
    batches = random_batches(3, [64])
    # Rounding can decide which of two nearly equal pixels is a window's maximum. Then the error jumps in that step.
    # Measured in 60 sequences of three steps: lanes jumped in 5 of them, the loop in 3, and in all others both had
    # the same error. The median over three steps leaves a jump out.
    parts = [batches[i : i + 1] for i in range(3)] if pooling == "max" else [batches]
    errors = [update_errors(run, part) for part in parts]
    loop, lanes = (median(engine) for engine in zip(*errors, strict=True))
    assert lanes <= max(5 * loop, 1e-5)


@needs_compiler
def test_a_whole_run_reaches_the_loops_accuracy():
    run = run_of({}, epochs=4, batch_size=32, optimizer="adam", learning_rate=3e-3)
    loop, lanes = (
        train(run, kind(run, DIGITS, CPU), DIGITS, validation=200).record
        for kind in (LoopTrainer, LanesTrainer)
    )
    assert lanes.engine == "lanes"
    assert lanes.test_accuracy > 0.6
    assert lanes.test_accuracy == pytest.approx(loop.test_accuracy, abs=0.03)
    assert lanes.train_loss == pytest.approx(loop.train_loss, rel=0.05)
