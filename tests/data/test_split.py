"""So many images as asked for are trained on: a random part of all there are, and of any larger part."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.data.loading import split

ALL = 1_437
LEFT = ALL - 240


def test_none_means_all_that_validation_leaves(digits) -> None:
    train, held_out = split(digits.labels, 240, 3, None)
    assert torch.equal(train, split(digits.labels, 240, 3)[0])
    assert sorted([*train.tolist(), *held_out.tolist()]) == list(range(ALL))


def test_all_by_number_are_all(digits) -> None:
    assert torch.equal(split(digits.labels, 240, 3, LEFT)[0], split(digits.labels, 240, 3)[0])


@pytest.mark.parametrize("train_images", [1, 100, 1_196, 1_197])
def test_so_many_are_trained_on_as_asked_for(digits, train_images: int) -> None:
    train, held_out = split(digits.labels, 240, 3, train_images)
    assert train.shape == (train_images,)
    assert train.dtype == torch.int64
    assert len(held_out) == 240


def test_fewer_training_images_leave_validation_as_it_is(digits) -> None:
    assert torch.equal(split(digits.labels, 240, 3, 50)[1], split(digits.labels, 240, 3)[1])


def test_without_validation_the_part_is_one_of_everything(digits) -> None:
    train, held_out = split(digits.labels, 0, 3, 400)
    assert (len(train), len(held_out)) == (400, 0)
    assert train.max() >= LEFT


def test_the_part_is_a_function_of_the_seed_alone(digits) -> None:
    first, _ = split(digits.labels, 0, 3, 600)
    before = torch.random.get_rng_state()
    assert torch.equal(split(digits.labels, 0, 3, 600)[0], first)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(10)
    assert torch.equal(split(digits.labels, 0, 3, 600)[0], first)
    assert not torch.equal(split(digits.labels, 0, 4, 600)[0], first)


def test_the_part_is_drawn_from_all_over_the_images_and_their_classes(digits) -> None:
    whole, _ = split(digits.labels, 240, 3)
    part, _ = split(digits.labels, 240, 3, 600)
    tenths = torch.bincount(torch.searchsorted(whole, part) * 10 // LEFT, minlength=10)
    assert tenths.min() > 35
    assert torch.bincount(digits.labels[part], minlength=10).min() > 35


@settings(deadline=None, max_examples=50)
@given(
    sizes=st.tuples(st.integers(1, LEFT), st.integers(1, LEFT)).map(sorted),
    validation=st.sampled_from([0, 10, 240]),
    seed=st.integers(0, 20_000),
)
def test_fewer_are_a_part_of_more_and_all_are_in_order_and_held_out_nowhere(
    digits, sizes: list[int], validation: int, seed: int
) -> None:
    whole, held_out = split(digits.labels, validation, seed)
    fewer, more = (split(digits.labels, validation, seed, size)[0] for size in sizes)
    for part, size in zip((fewer, more), sizes, strict=True):
        assert len(part) == size
        assert torch.equal(part, part.unique())
    assert set(fewer.tolist()) <= set(more.tolist()) <= set(whole.tolist())
    assert not set(more.tolist()) & set(held_out.tolist())
