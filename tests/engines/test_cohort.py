"""A cohort trains each member as the loop would, whatever the other members are."""

import gc
import io
import math
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ablate.data import loading
from ablate.data.datasets import find_dataset
from ablate.data.loading import Dataset
from ablate.design.designs import lay_out
from ablate.design.runs import Arm, Run
from ablate.devices import graphs
from ablate.engines import lanes
from ablate.engines.augmentation import Augmentation
from ablate.engines.choice import choose_trainer, trains_in_cohorts
from ablate.engines.cohort import Cohort, make_cohort_key, reason_against
from ablate.engines.cohort_runs import FinishedRun, train_together
from ablate.engines.loop import LoopTrainer, build_initial_model
from ablate.engines.replica_layers import make_dropout_keys
from ablate.engines.replicas import Replicas
from ablate.engines.schedules import list_rates
from ablate.engines.training import NotCovered, train
from ablate.errors import ModelError
from ablate.execution import executor, workers
from ablate.execution.executor import Conditions, Outcome
from ablate.execution.workers import LocalProcesses, ThisProcess, open_workers
from ablate.experiment.conduct import Conduct
from ablate.records.folder import ReportFolder
from ablate.records.run_records import EpochPoint, RunRecord
from ablate.study.recipe import Recipe
from tests.cpu import CPU

DIGITS = loading.load(find_dataset("digits"), None, CPU)
EXACT = replace(DIGITS, images=DIGITS.images.double(), test_images=DIGITS.test_images.double())
CONDITIONS = Conditions(dataset=find_dataset("digits"), data_root=None, validation=240, device="cpu")
RELU = {"activation": "relu", "pooling": "max"}
RATES = [{"learning_rate": rate} for rate in (0.1, 0.5, 0.9)]


def run_of(keywords: Mapping[str, Any], seed: int = 0, *, model: str = "lenet", **recipe: Any) -> Run:
    arm = Arm(name="arm", model=model, keywords=keywords, recipe=Recipe(**recipe), factors={})
    return Run(phase="confirm", arm=arm, setting={}, seed=seed)


def orders(runs: Sequence[Run], examples: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(0, len(DIGITS.images), (examples,), generator=generator) for _ in runs]


def seated(runs: Sequence[Run], dataset: Dataset, examples: int, places: int | None = None) -> Cohort:
    """A cohort of these runs, with one epoch of each run loaded."""
    cohort = Cohort(runs[0], dataset, examples=examples, places=places or len(runs))
    steps = -(-examples // runs[0].recipe.batch_size)
    for place, (run, order) in enumerate(zip(runs, orders(runs, examples), strict=True)):
        augmentation = Augmentation(run.recipe.augmentation, run.seed)
        batches = order.split(run.recipe.batch_size)
        cohort.seat(place, run)
        rates = list_rates(run.recipe, 0, steps)
        cohort.load(place, order, [augmentation.draw(len(batch)) for batch in batches], rates)
    return cohort


def flat(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def assert_trained_like_the_loop(runs: Sequence[Run], steps: int) -> None:
    """A cohort's parameters and totals are those of each run's own loop, in float64."""
    size = runs[0].recipe.batch_size
    examples = (steps - 1) * size + max(1, size // 2)  # the last batch is smaller
    cohort = seated(runs, EXACT, examples)
    totals = cohort.epoch()[-1]
    for place, (run, order) in enumerate(zip(runs, orders(runs, examples), strict=True)):
        loop = LoopTrainer(run, EXACT, CPU)
        loop.model.double()
        start = flat(loop.model)
        batches = order.split(size)
        for batch, rate in zip(batches, list_rates(run.recipe, 0, len(batches)), strict=True):
            loop.set_rate(rate)
            loop.step(batch)
        assert not torch.equal(flat(loop.model), start)
        assert torch.allclose(cohort.parameters[place], flat(loop.model), rtol=0, atol=1e-10)
        loss, correct = loop.totals().tolist()
        assert totals[place].tolist() == [pytest.approx(loss, rel=1e-5), correct]


NETWORKS: dict[str, tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]] = {
    "LeNet-5 of D2L": ({}, {}, RATES),
    "ReLU, max pooling, momentum and weight decay": (
        RELU,
        {},
        [
            {"learning_rate": 0.01, "momentum": 0.9},
            {"learning_rate": 0.05, "weight_decay": 5e-4},
            {"learning_rate": 0.02, "momentum": 0.5, "weight_decay": 1e-2},
        ],
    ),
    "three odd convolutions by Adam": (
        {**RELU, "conv_layers": 3, "kernel_size": [5, 3, 3], "stride": [1, 2, 1], "dilation": [1, 2, 1]},
        {"optimizer": "adam"},
        [{"learning_rate": 1e-3}, {"learning_rate": 1e-2, "weight_decay": 1e-2}],
    ),
    "a global average by AdamW": (
        {"head": "global_average", "activation": "tanh"},
        {"optimizer": "adamw"},
        [{"learning_rate": 1e-3}, {"learning_rate": 1e-2, "weight_decay": 1e-1}],
    ),
    "schedules": (
        RELU,
        {"learning_rate": 0.05},
        [
            {"schedule": "cosine", "epochs": 1},
            {"schedule": "linear", "epochs": 1, "warmup_epochs": 0.3},
            {"schedule": "one_cycle", "epochs": 1},
            {"schedule": "step", "epochs": 3, "warmup_epochs": 0.5},
        ],
    ),
    "flipped and cropped images": (RELU, {"augmentation": "flip_crop"}, [{"learning_rate": 0.05}] * 2),
    "images cropped only": ({}, {"augmentation": "crop"}, RATES[:2]),
    "other ways to begin": ({}, {}, [{"init": init} for init in ("kaiming_normal", "orthogonal", "default")]),
}  # fmt: skip


@pytest.mark.parametrize(("keywords", "recipe", "members"), NETWORKS.values(), ids=NETWORKS)
def test_forty_steps_are_the_loops_to_ten_digits(keywords, recipe, members) -> None:
    runs = [run_of(keywords, i, batch_size=8, **recipe, **member) for i, member in enumerate(members)]
    assert_trained_like_the_loop(runs, steps=40)


@pytest.mark.parametrize("hidden", [[], [32], [24, 16]], ids=str)
def test_forty_steps_of_a_perceptron_are_the_loops_to_ten_digits(hidden) -> None:
    runs = [
        run_of({"hidden": hidden}, i, model="mlp", batch_size=16, **member) for i, member in enumerate(RATES)
    ]
    assert_trained_like_the_loop(runs, steps=40)


def per_layer(low: int, high: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(low, high), min_size=2, max_size=2)


@settings(deadline=None, max_examples=15, derandomize=True)
@given(
    keywords=st.fixed_dictionaries(
        {
            "activation": st.sampled_from(["sigmoid", "relu", "leaky_relu", "gelu", "softplus", "hardswish"]),
            "pooling": st.sampled_from(["avg", "max", "none"]),
            "conv_layers": st.integers(2, 4),
            "channels": per_layer(1, 6),
            "kernel_size": per_layer(1, 6),
            "stride": per_layer(1, 3),
            "padding": per_layer(0, 3),
            "dilation": per_layer(1, 3),
            "dense_layers": st.integers(1, 3),
            "hidden": st.integers(1, 40),
            "head": st.sampled_from(["dense", "global_average"]),
            "output_activation": st.sampled_from([None, "tanh"]),
        }
    ),
    batch_size=st.sampled_from([1, 5, 8]),
)
def test_any_geometry_and_batch_size_is_trained_like_the_loop(keywords, batch_size) -> None:
    runs = [run_of(keywords, seed, batch_size=batch_size, learning_rate=0.02 * (seed + 1)) for seed in (0, 1)]
    try:
        build_initial_model(runs[0], (1, 28, 28), 10)
    except ModelError:
        assume(False)
    assert_trained_like_the_loop(runs, steps=3)


class Branches(nn.Module):
    """Parallel convolutions as in GoogLeNet, which nn.Sequential cannot express."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(4, 3, 1)
        self.wide = nn.Sequential(nn.Conv2d(4, 3, 3, padding="same", bias=False), nn.GroupNorm(3, 3))
        self.scale = nn.Parameter(torch.full((1,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.narrow(x), self.scale * self.wide(x)], 1) + x.mean(0).mean()


class Centred(nn.Module):
    """No parameters, but the output for an example depends on the whole batch."""

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


def odd_network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, (3, 5), stride=(2, 1), padding=(0, 2), bias=False),
        nn.Sequential(nn.PReLU(4), nn.MaxPool2d(3, 2, padding=1)),
        Branches(),
        nn.Conv2d(6, 6, 3, groups=3),
        nn.LocalResponseNorm(3),
        nn.Flatten(2),
        nn.Linear(12, 5, bias=False),
        Centred(),
        nn.Flatten(),
        nn.Linear(30, 10),
    )


def test_a_network_of_any_modules_is_each_replicas_own() -> None:
    images = torch.randn(3, 6, 1, 21, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.arange(18).view(3, 6) % 10
    networks = [odd_network(seed) for seed in range(3)]
    for network in networks:
        network.double()
    parameters = torch.stack([flat(network) for network in networks]).requires_grad_()
    replicas = Replicas(networks[0], 3)
    logits = replicas(parameters, images)
    with torch.inference_mode():
        assert torch.equal(replicas(parameters, images), logits)
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view(3, 6).mean(1)
    (gradient,) = torch.autograd.grad(losses.sum(), parameters)
    for replica, network in enumerate(networks):
        F.cross_entropy(network(images[replica]), labels[replica]).backward()
        own = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
        assert own.abs().max() > 0.01
        assert torch.allclose(gradient[replica], own, rtol=0, atol=1e-12)
        assert torch.allclose(logits[replica], network(images[replica]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
@pytest.mark.parametrize("keywords", [{}, {**RELU, "dropout": 0.5}], ids=str)
@pytest.mark.parametrize(
    "recipe", [{"optimizer": "sgd"}, {"optimizer": "adam", "gradient_clip": 1.0, "label_smoothing": 0.1}]
)
def test_a_member_that_breaks_leaves_the_others_alone_to_the_bit(keywords, recipe, poison) -> None:
    runs = [run_of(keywords, seed, batch_size=16, learning_rate=0.01, **recipe) for seed in range(4)]

    def trained(broken: str) -> tuple[Tensor, Tensor]:
        cohort = seated(runs, DIGITS, 100)
        if broken == "parameters":
            cohort.parameters[1, 3] = poison
            cohort.parameters[1, -1] = poison
        elif broken == "recipe":
            recipe = runs[1].recipe.model_copy(update={"learning_rate": poison, "weight_decay": poison})
            cohort.seat(1, replace(runs[1], arm=replace(runs[1].arm, recipe=recipe)))
        totals = cohort.epoch()[-1]
        return cohort.parameters.clone(), totals

    whole, whole_totals = trained("nothing")
    others = [0, 2, 3]
    for broken in ("parameters", "recipe"):
        parameters, totals = trained(broken)
        assert not math.isfinite(totals[1, 0])
        assert torch.equal(parameters[others], whole[others])
        assert torch.equal(totals[others], whole_totals[others])


def timeless(points: Sequence[EpochPoint]) -> list[EpochPoint]:
    return [replace(point, train_seconds=None, examples_per_second=None) for point in points]


def without_clock(record: RunRecord) -> RunRecord:
    return replace(record, epochs=tuple(timeless(record.epochs)))


def together(runs: Sequence[Run], places: int = 4, dataset: Dataset = DIGITS) -> dict[int, FinishedRun]:
    """The outcomes of the runs by seed."""
    finished = list(train_together(runs, dataset, validation=240, places=places))
    assert len(finished) == len(runs)
    return {one.run.seed: one for one in finished}


def small_runs(count: int, **recipe: Any) -> list[Run]:
    given = {"epochs": 2, "batch_size": 32, "train_images": 160, "optimizer": "adam", "learning_rate": 3e-3}
    return [run_of(RELU, seed, **{**given, **recipe}) for seed in range(count)]


def same(ours: FinishedRun, theirs: FinishedRun) -> bool:
    return without_clock(ours.record) == without_clock(theirs.record) and all(
        torch.equal(ours.state[name], theirs.state[name]) for name in theirs.state
    )


def test_the_same_cohort_twice_is_the_same_to_the_bit() -> None:
    runs = [
        run_of({**RELU, "dropout": 0.3}, seed, batch_size=50, train_images=300, epochs=1) for seed in range(3)
    ]
    first, second = together(runs), together(runs)
    assert all(same(first[seed], second[seed]) for seed in first)


def test_a_members_result_does_not_depend_on_who_is_beside_it_or_where_it_sits() -> None:
    runs = small_runs(8)
    here, there = together(runs[:4]), together([runs[5], runs[2], runs[7], runs[0]])
    assert same(here[0], there[0])
    assert same(here[2], there[2])
    assert same(here[2], together([runs[2]])[2])


@pytest.mark.thorough
def test_a_place_that_becomes_free_is_taken_and_serves_as_if_it_were_new() -> None:
    runs = small_runs(5)
    runs[0] = small_runs(1, epochs=1)[0]  # ends first; the fifth run gets its place in the second epoch
    finished = list(train_together(runs, DIGITS, validation=240, places=4))
    assert [one.run.seed for one in finished] == [0, 1, 2, 3, 4]
    assert {one.record.status for one in finished} == {"complete"}
    assert same(finished[-1], together([runs[4]])[4])


@pytest.mark.parametrize(
    ("phase", "augmentation", "schedule"),
    [
        ("confirm", "flip_crop", "one_cycle"),
        pytest.param("confirm", "none", "constant", marks=pytest.mark.thorough),
        pytest.param("tune", "crop", "constant", marks=pytest.mark.thorough),
        pytest.param("search", "none", "linear", marks=pytest.mark.thorough),
    ],
)
def test_records_are_the_loops(phase, augmentation, schedule) -> None:
    runs = [replace(run, phase=phase) for run in small_runs(3, augmentation=augmentation, schedule=schedule)]
    for run, finished in zip(runs, together(runs, dataset=EXACT).values(), strict=True):
        loop = LoopTrainer(run, EXACT, CPU)
        loop.model.double()
        theirs = train(run, loop, EXACT, validation=240).record
        assert without_clock(finished.record) == replace(
            theirs,
            engine="cohort of 4",
            train_loss=pytest.approx(theirs.train_loss, rel=1e-6),
            validation_metrics=pytest.approx(theirs.validation_metrics, abs=1e-3),  # rounded to float16
            test_metrics=pytest.approx(theirs.test_metrics, abs=1e-3),
            epochs=tuple(
                replace(point, train_loss=pytest.approx(point.train_loss, rel=1e-6))
                for point in timeless(theirs.epochs)
            ),
        )
        for ours, loops in zip(finished.record.epochs, theirs.epochs, strict=True):
            assert (ours.train_seconds is None) == (loops.train_seconds is None)
            assert (ours.examples_per_second is None) == (loops.examples_per_second is None)


@pytest.mark.thorough
def test_float32_records_are_the_loops_within_rounding() -> None:
    runs = [
        run_of({"activation": "tanh"}, seed, batch_size=32, epochs=2, learning_rate=0.05) for seed in range(3)
    ]
    for run, finished in zip(runs, together(runs).values(), strict=True):
        theirs = train(run, LoopTrainer(run, DIGITS, CPU), DIGITS, validation=240).record
        assert finished.record.train_loss == pytest.approx(theirs.train_loss, rel=1e-4)
        assert finished.record.train_accuracy == pytest.approx(theirs.train_accuracy, abs=0.002)
        assert finished.record.validation_accuracy == pytest.approx(theirs.validation_accuracy, abs=0.005)
        assert finished.record.test_accuracy == pytest.approx(theirs.test_accuracy, abs=0.003)
        assert finished.record.test_accuracy > 0.3


def test_the_parameters_come_back_under_the_models_own_names() -> None:
    run = small_runs(1)[0]
    loop = LoopTrainer(run, DIGITS, CPU)
    train(run, loop, DIGITS, validation=240)
    state = together([run])[0].state
    assert list(state) == list(loop.model.state_dict())
    for name, tensor in loop.model.state_dict().items():
        assert torch.allclose(state[name], tensor, atol=1e-4), name


def test_a_member_that_diverges_gives_up_its_place_and_takes_nobody_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vacate, vacated = Cohort.vacate, []
    monkeypatch.setattr(
        Cohort, "vacate", lambda cohort, place: vacated.append(place) or vacate(cohort, place)
    )
    runs = small_runs(5, optimizer="sgd", learning_rate=0.02)
    wild = small_runs(2, optimizer="sgd", learning_rate=1e9)[1]
    finished = together([runs[0], wild, *runs[2:]])
    assert vacated == [1, 0, 2, 3, 1]
    record = finished[1].record
    assert (record.status, record.train_loss, record.test_accuracy) == ("diverged", None, None)
    assert record.cause == "the loss became infinite or no number"
    assert {finished[seed].record.status for seed in (0, 2, 3, 4)} == {"complete"}
    assert same(finished[0], together(runs[:4])[0])


def test_a_member_below_its_floor_is_stopped_where_the_loop_would_stop_it() -> None:
    searching = [replace(run, phase="search") for run in small_runs(3, epochs=3)]
    whole = together(searching)
    reached = [p.validation_accuracy for p in whole[1].record.epochs if p.validation_accuracy is not None]
    stopped = together([searching[0], replace(searching[1], floor=(0.0, math.nextafter(reached[1], 1)))])
    assert stopped[1].record.status == "pruned"
    assert timeless(stopped[1].record.epochs) == timeless(whole[1].record.epochs)[:10]
    assert stopped[1].record.validation_accuracy == reached[1]
    assert same(stopped[0], whole[0])


def test_an_empty_place_stays_empty() -> None:
    runs = [run_of(RELU, seed, batch_size=16, optimizer="adamw", weight_decay=0.1) for seed in range(3)]
    cohort = seated(runs, DIGITS, 80, places=4)
    cohort.parameters[1, 0] = math.nan
    cohort.epoch()
    cohort.vacate(1)
    cohort.epoch()
    assert not cohort.parameters[[1, 3]].any()
    assert cohort.parameters[[0, 2]].isfinite().all()


def test_fewer_examples_than_a_batch_are_one_step() -> None:
    runs = small_runs(2, batch_size=1_000, train_images=50)
    for run, finished in zip(runs, together(runs).values(), strict=True):
        theirs = train(run, LoopTrainer(run, DIGITS, CPU), DIGITS, validation=240).record
        assert finished.record.train_loss == pytest.approx(theirs.train_loss, rel=1e-5)
        assert [point.epoch for point in finished.record.epochs] == [1, 2]


class Recording:
    """A fake CUDA graph: it records the calls during capture, and repeats them at replay."""

    listening: "Recording | None" = None

    def __init__(self) -> None:
        self.steps: list[int] = []

    def __enter__(self) -> None:
        Recording.listening = self

    def __exit__(self, *_: object) -> None:
        Recording.listening = None


def test_recorded_steps_are_replayed_as_they_would_have_been_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = small_runs(2)
    plain = seated(runs, DIGITS, 32 * 43 + 5)
    totals = plain.epoch()

    step = Cohort._step
    replayed: list[int] = []

    def noted(cohort: Cohort, size: int) -> None:
        if Recording.listening:
            Recording.listening.steps.append(size)
        else:
            step(cohort, size)

    def replay(graph: Recording) -> None:
        replayed.append(len(graph.steps))
        for size in graph.steps:
            step(recorded, size)

    class Stream:
        def wait_stream(self, other: object) -> None: ...

    monkeypatch.setattr(Recording, "replay", replay, raising=False)
    monkeypatch.setattr(Cohort, "_step", noted)
    device = SimpleNamespace(
        Stream=Stream,
        current_stream=Stream,
        stream=lambda _: Recording.__new__(Quiet),
        graph_pool_handle=lambda: "pool",
        CUDAGraph=Recording,
        graph=lambda graph, pool: graph,
    )
    monkeypatch.setattr(torch, "get_device_module", lambda _: device)
    monkeypatch.setattr(graphs, "is_accelerator", lambda _: True)

    recorded = Cohort(runs[0], DIGITS, examples=32 * 43 + 5, places=2)
    for place, (run, order) in enumerate(zip(runs, orders(runs, 32 * 43 + 5), strict=True)):
        recorded.seat(place, run)
        recorded.load(place, order, [])
    assert torch.equal(recorded.epoch(), totals)
    assert torch.equal(recorded.parameters, plain.parameters)
    assert sum(replayed) == 44
    assert replayed.count(8) == 5


class Quiet(Recording):
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def dropped(seeds: list[int], step: int, share: float, units: int = 20_000, layer: int = 0) -> Tensor:
    """The units of each replica that dropout sets to zero, `(R, units)`."""
    network = nn.Sequential(*[nn.Identity()] * layer, nn.Dropout(share), nn.Linear(1, 1))
    layers = Replicas(network, len(seeds))._layers
    keys = make_dropout_keys(torch.tensor(seeds)[:, None], torch.full((len(seeds), 1), step))
    return (layers[layer]([], torch.ones(len(seeds), units), keys) == 0).view(len(seeds), units)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_dropout_zeroes_its_share_and_raises_the_rest(share) -> None:
    assert torch.allclose(
        dropped([1, 2, 2**62 + 5], 3, share).double().mean(1), torch.tensor(share).double(), atol=0.012
    )
    network = Replicas(nn.Sequential(nn.Dropout(share), nn.Linear(1, 1)), 1)
    kept = network._layers[0](
        [], torch.ones(1, 100), make_dropout_keys(torch.tensor([[1]]), torch.tensor([[1]]))
    )
    assert kept.unique().tolist() == [0, pytest.approx(1 / (1 - share))]


def test_dropout_differs_by_member_step_and_layer_and_not_by_neighbour() -> None:
    masks = [dropped([1], 0, 0.5), dropped([2], 0, 0.5), dropped([1], 1, 0.5), dropped([1], 0, 0.5, layer=1)]
    masks += [dropped([1 + 2**32], 0, 0.5), dropped([1 << 32], 0, 0.5)]
    for number, mask in enumerate(masks):
        for other in masks[:number]:  # independent halves agree in half of the units
            assert (mask == other).double().mean() == pytest.approx(0.5, abs=0.02)
    assert torch.equal(dropped([7, 1, 9], 0, 0.5)[1], masks[0][0])


def test_dropout_of_neighbouring_units_is_independent() -> None:
    mask = dropped([5], 9, 0.5, units=40_000)[0]
    for apart in (1, 2, 84, 120, 1 << 12):
        agreeing = (mask[apart:] == mask[:-apart]).double().mean()
        assert agreeing == pytest.approx(0.5, abs=0.015), apart


def test_evaluation_drops_nothing_and_training_does() -> None:
    runs = [run_of({"hidden": [64], "dropout": 0.5}, seed, model="mlp", batch_size=20) for seed in (0, 1)]
    cohort = seated(runs, DIGITS, 40)
    images = DIGITS.images[:40].unflatten(0, (2, 20))
    evaluated = cohort._replicas(cohort.parameters, images)
    for place, run in enumerate(runs):
        alone = build_initial_model(run, (1, 28, 28), 10).eval()
        assert torch.allclose(evaluated[place], alone(images[place]), atol=1e-5)
    stream = torch.tensor([[1], [2]]), torch.tensor([[0], [0]])
    assert not torch.allclose(evaluated, cohort._replicas(cohort.parameters, images, stream), atol=0.01)


def test_a_members_dropout_follows_its_seed_and_not_its_place() -> None:
    runs = [run_of({"hidden": [64], "dropout": 0.5}, seed, model="mlp", batch_size=20) for seed in (0, 1, 0)]
    cohort = seated(runs, DIGITS, 60)
    for place in (1, 2):  # equal except for the seed of dropout
        cohort.parameters[place] = cohort.parameters[0]
        cohort.load(place, orders(runs, 60)[0], [])
    cohort.epoch()
    assert torch.equal(cohort.parameters[0], cohort.parameters[2])
    assert not torch.allclose(cohort.parameters[0], cohort.parameters[1], atol=1e-3)


class Restless(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))


def frozen() -> nn.Linear:
    return nn.Linear(4, 4).requires_grad_(False)


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.BatchNorm1d(4), "BatchNorm1d uses statistics of the whole batch"),
        (nn.BatchNorm2d(4, track_running_stats=False), "BatchNorm2d uses statistics of the whole batch"),
        (nn.SyncBatchNorm(4), "SyncBatchNorm uses statistics of the whole batch"),
        (nn.AlphaDropout(), "AlphaDropout in this place draws"),
        (nn.Dropout2d(), "Dropout2d in this place draws"),
        (nn.RReLU(), "RReLU in this place draws"),
        (Restless(), "Dropout in this place draws"),
        (Counting(), "Counting has buffers"),
        (frozen(), "all parameters must be trainable"),
        (nn.Linear(4, 4).double(), "of one dtype"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_layer_that_ties_examples_or_draws_by_itself_is_left_to_the_loop(layer, reason) -> None:
    with pytest.raises(NotCovered, match=reason):
        Replicas(nn.Sequential(nn.Linear(4, 4), layer), 2)


def test_a_network_with_nothing_to_train_is_left_to_the_loop() -> None:
    with pytest.raises(NotCovered, match="the network has no parameters"):
        Replicas(nn.Sequential(nn.Flatten()), 2)


def test_why_not_is_a_sentence_or_nothing() -> None:
    assert reason_against(run_of({"dropout": 0.5, "head": "dense"}), DIGITS) is None
    assert reason_against(run_of({}, model="mlp"), DIGITS) is None
    assert str(reason_against(run_of({"batch_norm": True}), DIGITS)).startswith("BatchNorm2d uses statistics")
    with pytest.raises(NotCovered, match="BatchNorm2d"):
        Cohort(run_of({"batch_norm": True}), DIGITS, examples=64, places=2)


def test_runs_share_a_cohort_whatever_only_tensors_hold_and_nothing_else() -> None:
    run = run_of({}, learning_rate=0.1)
    for other in (
        run_of({}, seed=3, learning_rate=0.1),
        run_of(
            {"pooling": "avg"}, learning_rate=0.9, momentum=0.5, weight_decay=0.1, init="orthogonal", epochs=3
        ),
        replace(run, setting={"learning_rate": 0.7}),
    ):
        assert make_cohort_key(other) == make_cohort_key(run)
    for other in (
        run_of({"pooling": "max"}),
        run_of({}, model="mlp"),
        run_of({}, batch_size=128),
        run_of({}, optimizer="adam"),
        run_of({}, augmentation="flip"),
        run_of({}, train_images=1_000),
        run_of({}, schedule="cosine"),
        run_of({}, label_smoothing=0.1),
        run_of({}, gradient_clip=1.0),
        run_of({}, momentum=0.5, nesterov=True),
        replace(run, phase="tune"),
        replace(run, setting={"dropout": 0.5}),
    ):
        assert make_cohort_key(other) != make_cohort_key(run)


@pytest.mark.parametrize("refuse", [reason_against, lambda run, data: lanes.reason_against(run, data, CPU)])
def test_an_optimizer_that_an_engine_does_not_have_is_left_to_the_loop(refuse) -> None:
    run = run_of({})
    recipe = run.arm.recipe.model_copy(update={"optimizer": "adagrad"})
    assert refuse(run, DIGITS) is None or "compiler" in refuse(run, DIGITS)
    other = replace(run, arm=replace(run.arm, recipe=recipe))
    assert refuse(other, DIGITS) == "it does not have the optimizer adagrad"


@pytest.fixture
def in_cohorts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("ABLATE_ENGINE", "cohort")
    monkeypatch.setattr(executor, "COHORT_PLACES", (4, 8))
    return


@pytest.mark.parametrize(
    ("engine", "device", "expected"),
    [
        (None, "cpu", False),
        (None, "cuda", True),
        ("loop", "cuda", False),
        ("cohort", "cpu", True),
        ("cohort", "cuda", True),
        ("loop", "cpu", False),
    ],
)
def test_runs_train_in_cohorts_on_a_gpu_or_where_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch, engine, device, expected
) -> None:
    if engine is None:
        monkeypatch.delenv("ABLATE_ENGINE", raising=False)
    else:
        monkeypatch.setenv("ABLATE_ENGINE", engine)
    assert trains_in_cohorts(torch.device(device)) is expected


def test_workers_are_processes_on_a_cpu_unless_cohorts_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ABLATE_ENGINE", raising=False)
    monkeypatch.setattr(workers.fork_server, "prepare", lambda: None)  # it would import torch for no worker
    assert isinstance(open_workers(CONDITIONS, jobs=0), LocalProcesses)
    monkeypatch.setenv("ABLATE_ENGINE", "cohort")
    monkeypatch.setattr(workers, "settle_process", lambda threads: None)
    assert isinstance(open_workers(CONDITIONS, jobs=1), ThisProcess)


def test_here_runs_groups_in_the_smallest_cohort_that_holds_them_and_the_rest_alone(in_cohorts) -> None:
    runs = small_runs(5, epochs=1)
    other = [replace(run, phase="tune") for run in small_runs(4, epochs=1)]
    normed = [
        run_of({"batch_norm": True}, seed, epochs=1, batch_size=50, train_images=100) for seed in (0, 1)
    ]
    lonely = run_of({"hidden": [8]}, 9, model="mlp", epochs=1, train_images=100)
    given = [runs[0], normed[0], *other, lonely, *runs[1:], normed[1]]
    outcomes = list(ThisProcess(CONDITIONS, threads=1).outcomes(given))
    assert [outcome.record.engine for outcome in outcomes] == [
        *["cohort of 8"] * 5, "loop", *["cohort of 4"] * 4, "loop", "loop",
    ]  # fmt: skip
    assert [outcome.run for outcome in outcomes] == [*runs, normed[0], *other, lonely, normed[1]]
    assert {outcome.record.status for outcome in outcomes} == {"complete"}
    assert choose_trainer(lonely, DIGITS, CPU).name == "loop"


def test_only_the_first_confirmed_seed_of_a_cohort_is_kept_and_loads_into_its_network(in_cohorts) -> None:
    runs = small_runs(3, epochs=1)
    kept = [outcome.checkpoint for outcome in ThisProcess(CONDITIONS, threads=1).outcomes(runs)]
    assert [checkpoint is not None for checkpoint in kept] == [True, False, False]
    network = build_initial_model(runs[1], (1, 28, 28), 10)
    network.load_state_dict(torch.load(io.BytesIO(kept[0]), weights_only=True))
    loop = LoopTrainer(runs[0], DIGITS, CPU)
    train(runs[0], loop, DIGITS, validation=240)
    assert torch.allclose(flat(network), flat(loop.model), atol=1e-4)
    assert len(kept[0]) < 4 * flat(network).numel() + 20_000


NO_MEMORY = torch.OutOfMemoryError("CUDA out of memory\nTried to allocate 3 GiB")


@pytest.mark.parametrize(
    ("error", "breaks", "engine", "cause"),
    [
        (RuntimeError("no such kernel"), [8], "loop", "8 failed: RuntimeError: no such kernel"),
        (NO_MEMORY, [8], "cohort of 4", None),
        (NO_MEMORY, [8, 4], "cohort of 2", None),
        (NO_MEMORY, [8, 4, 2], "loop", "2 failed: OutOfMemoryError: CUDA out of memory"),
    ],
)
def test_a_cohort_that_breaks_leaves_its_members_to_a_smaller_one_or_to_the_loop(
    in_cohorts, monkeypatch: pytest.MonkeyPatch, error, breaks, engine, cause
) -> None:
    runs = small_runs(5, epochs=2)
    runs[1] = small_runs(2, epochs=1)[1]
    epoch = Cohort.epoch
    epochs: list[int] = []

    def breaking(cohort: Cohort) -> Tensor:
        epochs.append(len(cohort.parameters))
        if epochs[-1] in breaks and len(epochs) > 1:
            raise error
        return epoch(cohort)

    monkeypatch.setattr(Cohort, "epoch", breaking)
    outcomes = list(ThisProcess(CONDITIONS, threads=1).outcomes(runs))
    assert outcomes[0].run.seed == 1
    assert sorted(outcome.run.seed for outcome in outcomes) == [0, 1, 2, 3, 4]
    assert [outcome.record.engine for outcome in outcomes] == ["cohort of 8", *[engine] * 4]
    assert {outcome.record.status for outcome in outcomes} == {"complete"}
    assert outcomes[0].record.cause is None
    said = cause and f"trained alone, because its cohort of {cause}"
    assert {outcome.record.cause for outcome in outcomes[1:]} == {said}


@pytest.mark.parametrize("breaks", [False, True])
def test_a_cohort_is_gone_from_memory_before_the_next_run_begins(
    in_cohorts, monkeypatch: pytest.MonkeyPatch, breaks
) -> None:
    alive: list[weakref.ref[Cohort]] = []
    epoch = Cohort.epoch

    def watched(cohort: Cohort) -> Tensor:
        alive.append(weakref.ref(cohort))
        if breaks:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return epoch(cohort)

    def alone(run: Run, conditions: Conditions, placed: loading.Dataset | None = None) -> Outcome:
        assert alive
        assert not any(cohort() for cohort in alive)
        return execute(run, conditions, placed)

    execute = executor.execute
    monkeypatch.setattr(Cohort, "epoch", watched)
    monkeypatch.setattr(executor, "execute", alone)
    lonely = run_of({"hidden": [8]}, 9, model="mlp", epochs=1, train_images=100)
    gc.disable()  # a reference cycle would keep gigabytes of GPU memory until the next garbage collection
    try:
        outcomes = list(ThisProcess(CONDITIONS, threads=1).outcomes([*small_runs(2, epochs=1), lonely]))
    finally:
        gc.enable()
    assert [outcome.record.engine == "loop" for outcome in outcomes] == [breaks, breaks, True]


def test_a_member_that_fails_alone_too_is_recorded_with_its_own_cause(
    in_cohorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(Cohort, "epoch", fail)
    monkeypatch.setattr(executor, "train", fail)
    outcomes = list(ThisProcess(CONDITIONS, threads=1).outcomes(small_runs(2)))
    assert [outcome.record.status for outcome in outcomes] == ["failed", "failed"]
    (cause,) = {outcome.record.cause for outcome in outcomes}
    assert cause is not None
    assert cause.startswith("RuntimeError: no such kernel (test_cohort.py, line ")


@pytest.mark.thorough
def test_a_whole_study_is_tuned_and_confirmed_in_cohorts(in_cohorts, small, tmp_path) -> None:
    new_keys = ("recipe.schedule=one_cycle", "recipe.gradient_clip=1.0", "recipe.label_smoothing=0.1")
    spec = small("recipe.epochs=1", "recipe.train_images=200", "timing.blocks=0", *new_keys)
    layout = lay_out(spec)
    folder = ReportFolder(tmp_path)
    conduct = Conduct(
        spec, layout, folder, CONDITIONS, jobs=1, workers=lambda given, _: ThisProcess(given, threads=1)
    )
    for _ in conduct.run_phases():
        pass
    tables, provenance = conduct.make_tables(), conduct.make_provenance()
    engines = {record.engine for record in conduct._store.runs.values() if record.phase == "confirm"}
    conduct.close()
    assert set(tables["runs"]["status"]) == {"complete"}
    confirmed = tables["runs"][tables["runs"]["phase"] == "confirm"]
    assert len(confirmed) == 6
    assert confirmed["test_accuracy"].notna().all()
    assert engines == {"cohort of 4"}
    assert set(provenance.engines) == {
        "cohort of 4",
        "cohort of 8",
        "loop",
    }  # the last tuning stage has few runs
    assert provenance.mixed_engines == ()
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
