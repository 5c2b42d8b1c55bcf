"""Augmentation changes every training image on its own, as the run's seed determines."""

import ctypes
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ablate.data.loading import Dataset
from ablate.design.runs import Arm, Run
from ablate.engines.augmentation import Augmentation, Draws, apply_draws
from ablate.engines.choice import choose_trainer
from ablate.engines.lanes import LanesTrainer, reason_against
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import Trainer, train
from ablate.study.recipe import Recipe
from tests.cpu import CPU

MOVES = ["flip", "crop", "flip_crop"]
KINDS = [*MOVES, "brightness", "flip_brightness", "flip_crop_brightness"]
SHIFTS = {(down, right) for down in range(5) for right in range(5)}


def some_images(count: int, channels: int = 1, height: int = 5, width: int = 7) -> Tensor:
    """Images whose pixels are all different and not zero, unlike the padding."""
    return torch.arange(1.0, count * channels * height * width + 1).reshape(count, channels, height, width)


def shifts(image: Tensor, changed: Tensor) -> set[tuple[int, int]]:
    """The position of the changed image `(c, h, w)` in its zero-padded original."""
    padded = F.pad(image, (2, 2, 2, 2))
    _, height, width = image.shape
    return {
        (down, right)
        for down, right in SHIFTS
        if torch.equal(changed, padded[:, down : down + height, right : right + width])
    }


def only_shift(image: Tensor, changed: Tensor) -> tuple[int, int]:
    (shift,) = shifts(image, changed)
    return shift


def run_of(augmentation: str, seed: int = 0, **recipe: Any) -> Run:
    trained_by = Recipe(augmentation=augmentation, batch_size=64, learning_rate=0.5, **recipe)
    arm = Arm(name="arm", model="mlp", keywords={"hidden": [32]}, recipe=trained_by, factors={})
    return Run(phase="confirm", arm=arm, setting={}, seed=seed)


def loop(augmentation: str, digits: Dataset, seed: int = 0) -> LoopTrainer:
    return LoopTrainer(run_of(augmentation, seed), digits, CPU)


def parameters_after(trainer: Trainer, batches: int, *, evaluating: Dataset | None = None) -> Tensor:
    for batch in torch.arange(batches * 64).split(64):
        trainer.step(batch)
        if evaluating is not None:
            trainer.predict(evaluating.test_images)
    return torch.cat([parameter.detach().flatten() for parameter in trainer.model.parameters()])


def seen_by(trainer: LoopTrainer) -> list[Tensor]:
    """A list to which every batch of the network is added."""
    seen: list[Tensor] = []
    trainer.model.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    return seen


def test_none_gives_back_the_very_tensor() -> None:
    images = some_images(4)
    assert Augmentation("none", 0)(images) is images


def test_a_flip_leaves_or_mirrors_each_image_about_half_of_them() -> None:
    images = some_images(2_000)
    changed = Augmentation("flip", 0)(images)
    mirrored = [torch.equal(now, before.flip(-1)) for before, now in zip(images, changed, strict=True)]
    left = [torch.equal(now, before) for before, now in zip(images, changed, strict=True)]
    assert all(a != b for a, b in zip(left, mirrored, strict=True))
    assert sum(mirrored) == pytest.approx(1_000, abs=100)


def test_a_flip_is_from_left_to_right_and_never_upside_down() -> None:
    image = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    flip = Augmentation("flip", 0)
    assert {tuple(flip(image).flatten().tolist()) for _ in range(50)} == {
        (1, 2, 3, 4, 5, 6),
        (3, 2, 1, 6, 5, 4),
    }


def test_a_crop_moves_every_image_and_each_of_25_ways_as_often_as_another() -> None:
    images = some_images(5_000)
    changed = Augmentation("crop", 0)(images)
    ways = Counter(map(only_shift, images, changed))
    assert set(ways) == SHIFTS
    assert all(count == pytest.approx(200, abs=70) for count in ways.values())


def test_flip_and_crop_together_reach_all_50_outcomes() -> None:
    images = some_images(2_000)
    changed = Augmentation("flip_crop", 0)(images)
    outcomes = {
        (*shift, mirrored)
        for before, now in zip(images, changed, strict=True)
        for mirrored in (False, True)
        for shift in shifts(before.flip(-1) if mirrored else before, now)
    }
    assert outcomes == {(*shift, mirrored) for shift in SHIFTS for mirrored in (False, True)}


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(["none", *MOVES]),
    seed=st.integers(0, 20_000),
    count=st.integers(1, 6),
    channels=st.integers(1, 4),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
)
def test_whatever_the_size_each_image_becomes_a_window_of_itself(
    kind: str, seed: int, count: int, channels: int, height: int, width: int
) -> None:
    images = some_images(count, channels, height, width)
    before = images.clone()
    changed = Augmentation(kind, seed)(images)
    assert changed.shape == images.shape
    assert changed.dtype == images.dtype
    assert torch.equal(images, before)
    for was, now in zip(images, changed, strict=True):
        found = shifts(was, now) | (shifts(was.flip(-1), now) if "flip" in kind else set())
        assert found if "crop" in kind else (2, 2) in found


@pytest.mark.parametrize("kind", ["crop", "flip_crop"])
def test_all_channels_of_an_image_are_changed_alike_and_stay_in_their_place(kind: str) -> None:
    images = some_images(200, channels=3)
    changed = Augmentation(kind, 0)(images)
    for channel in range(3):
        alone = Augmentation(kind, 0)(images[:, [channel]])
        assert torch.equal(changed[:, [channel]], alone)
    grey = images[:, [0]].expand(-1, 3, -1, -1)
    assert torch.equal(Augmentation(kind, 0)(grey), changed[:, [0]].expand(-1, 3, -1, -1))


def test_brightness_scales_each_image_by_its_own_factor_and_leaves_white_the_brightest() -> None:
    images = torch.full((2_000, 3, 2, 2), 0.4)
    changed = Augmentation("brightness", 0)(images)
    factors = changed[:, 0, 0, 0] / 0.4
    assert torch.allclose(changed, images * factors[:, None, None, None])
    assert 0.5 <= float(factors.min()) < 0.51
    assert 1.49 < float(factors.max()) <= 1.5
    assert float(factors.mean()) == pytest.approx(1, abs=0.03)
    white = Augmentation("brightness", 0)(torch.ones(200, 1, 2, 2))
    assert float(white.max()) == 1
    assert 0.3 < float((white == 1).double().mean()) < 0.7


@pytest.mark.parametrize("kind", MOVES)
def test_brightness_leaves_what_else_chance_decides_as_it_was(kind: str) -> None:
    alone, both = Augmentation(kind, 5).draw(50), Augmentation(f"{kind}_brightness", 5).draw(50)
    for name in ("flipped", "corners"):
        one, other = getattr(alone, name), getattr(both, name)
        assert (one is None and other is None) or torch.equal(one, other)


def test_neighbours_in_a_batch_are_changed_independently() -> None:
    images = some_images(5_000)
    moved = list(map(only_shift, images, Augmentation("crop", 0)(images)))
    both_ways = {(a[0], b[0]) for a, b in zip(moved[::2], moved[1::2], strict=True)}
    assert both_ways == SHIFTS
    agreeing = sum(a == b for a, b in zip(moved[::2], moved[1::2], strict=True))
    assert agreeing == pytest.approx(2_500 / 25, abs=50)
    flips = Augmentation("flip", 0)(images)[:, 0, 0, 0] != images[:, 0, 0, 0]
    assert len(torch.stack([flips[::2], flips[1::2]]).unique(dim=1).T) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_what_becomes_of_an_image_does_not_depend_on_the_others(kind: str) -> None:
    images = some_images(50) / 10_000
    among_others = images.clone()
    among_others[torch.arange(50) != 7] *= -3
    assert torch.equal(Augmentation(kind, 0)(images)[7], Augmentation(kind, 0)(among_others)[7])


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_change_alike_batch_after_batch_and_others_otherwise(kind: str) -> None:
    images = some_images(100) / 10_000

    def twice(seed: int) -> tuple[Tensor, Tensor]:
        augmentation = Augmentation(kind, seed)
        return augmentation(images), augmentation(images)

    first, second = twice(1)
    assert torch.equal(torch.cat(twice(1)), torch.cat([first, second]))
    assert not torch.equal(first, second)
    assert not torch.equal(twice(2)[0], first)


@pytest.mark.parametrize("kind", ["none", *KINDS])
def test_batches_drawn_beforehand_and_laid_together_are_changed_as_one_by_one(kind: str) -> None:
    images = some_images(30) / 10_000
    one_by_one, beforehand = Augmentation(kind, 4), Augmentation(kind, 4)
    draws = [beforehand.draw(20), beforehand.draw(10)]
    flipped = [drawn.flipped for drawn in draws if drawn.flipped is not None]
    corners = [drawn.corners for drawn in draws if drawn.corners is not None]
    factors = [drawn.brightness for drawn in draws if drawn.brightness is not None]
    at_once = apply_draws(
        images,
        Draws(
            flipped=torch.cat(flipped) if flipped else None,
            corners=torch.cat(corners, dim=1) if corners else None,
            brightness=torch.cat(factors) if factors else None,
        ),
    )
    assert torch.equal(at_once, torch.cat([one_by_one(images[:20]), one_by_one(images[20:])]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_global_generator_is_neither_drawn_from_nor_listened_to(kind: str) -> None:
    images = some_images(100) / 10_000
    before = torch.random.get_rng_state()
    changed = Augmentation(kind, 0)(images)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(10)
    assert torch.equal(Augmentation(kind, 0)(images), changed)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loop_steps_on_the_images_its_seed_makes_of_the_batch(digits, kind: str) -> None:
    trainer = loop(kind, digits, seed=3)
    seen = seen_by(trainer)
    augmentation = Augmentation(kind, 3)
    stored = digits.images.clone()
    for batch in torch.arange(0, 128).split(64):
        trainer.step(batch)
        assert torch.equal(seen[-1], augmentation(digits.images[batch]))
        assert not torch.equal(seen[-1], digits.images[batch])
    assert torch.equal(digits.images, stored)


@pytest.mark.parametrize("kind", KINDS)
def test_augmented_training_differs_from_plain_and_repeats_to_the_bit(digits, kind: str) -> None:
    augmented = parameters_after(loop(kind, digits), 5)
    assert not torch.equal(augmented, parameters_after(loop("none", digits), 5))
    torch.rand(10)
    assert torch.equal(augmented, parameters_after(loop(kind, digits), 5))


def test_augmented_runs_repeat_and_leave_the_global_generator_alone(digits) -> None:
    run = run_of("flip_crop", epochs=1)
    before = torch.random.get_rng_state()
    records = [train(run, LoopTrainer(run, digits, CPU), digits, validation=240).record for _ in range(2)]
    assert torch.equal(before, torch.random.get_rng_state())
    assert records[0].train_loss == records[1].train_loss
    assert records[0].test_accuracy == records[1].test_accuracy


def test_images_are_evaluated_as_they_are(digits) -> None:
    trainer = loop("flip_crop", digits)
    seen = seen_by(trainer)
    trainer.predict(digits.test_images)
    assert torch.equal(torch.cat(seen), digits.test_images)


def test_evaluating_between_steps_changes_nothing_that_follows(digits) -> None:
    uninterrupted = parameters_after(loop("flip_crop", digits), 3)
    assert torch.equal(parameters_after(loop("flip_crop", digits), 3, evaluating=digits), uninterrupted)


def read_lanes_input(trainer: LanesTrainer, examples: int, shape: tuple[int, ...]) -> Tensor:
    """The images in the SIMD lanes, `(examples, *shape)`: those of the last group of the last batch."""
    network, lanes, size = trainer._network, trainer._library.lanes(), math.prod(shape)
    places = (ctypes.c_int32 * size).from_address(network.image_place)[:]
    floats = (ctypes.c_float * ((max(places) + 1) * lanes)).from_address(network.first_input)
    by_place = torch.tensor(floats[:]).reshape(-1, lanes)
    return by_place[places, :examples].T.reshape(examples, *shape)


def lanes_trainer(run: Run, dataset: Dataset) -> LanesTrainer:
    if reason := reason_against(run, dataset, CPU):
        pytest.skip(reason)
    return LanesTrainer(run, dataset, CPU)


@pytest.mark.parametrize("kind", ["none", *KINDS])
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 28), (3, 5, 7), (2, 1, 1)])
def test_the_lanes_engine_steps_on_the_very_images_of_the_loop(
    digits, kind: str, channels: int, height: int, width: int
) -> None:
    images = torch.rand(40, channels, height, width, generator=torch.Generator().manual_seed(1))
    dataset = replace(digits, images=images, labels=digits.labels[:40])
    trainer = lanes_trainer(run_of(kind, seed=3), dataset)
    augmentation = Augmentation(kind, 3)
    for batch in torch.arange(39, 3, -1).split([7, 20, 2, 7]):
        trainer.step(batch)
        changed = augmentation(images[batch])
        last_group = changed[(len(batch) - 1) // trainer._library.lanes() * trainer._library.lanes() :]
        assert torch.equal(read_lanes_input(trainer, len(last_group), images.shape[1:]), last_group)


@pytest.mark.parametrize("kind", ["flip_crop", "flip_crop_brightness"])
def test_the_lanes_engine_trains_on_changed_images_as_the_loop_does(digits, kind: str) -> None:
    by_loop, plain = parameters_after(loop(kind, digits), 8), parameters_after(loop("none", digits), 8)
    trainer = lanes_trainer(run_of(kind), digits)
    assert choose_trainer(run_of(kind), digits, CPU).name == "lanes"
    difference = parameters_after(trainer, 8, evaluating=digits) - by_loop
    assert difference.norm() <= 1e-4 * (by_loop - plain).norm()
