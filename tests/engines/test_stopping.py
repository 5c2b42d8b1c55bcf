"""A run whose validation accuracy falls below its floor is stopped and recorded as pruned."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ablate.data.loading import Dataset
from ablate.design.runs import Arm, Run
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import train
from ablate.records.run_records import EpochPoint, RunRecord
from ablate.study.recipe import Recipe
from tests.cpu import CPU


class Scripted:
    """A trainer that trains nothing. Its class scores reach the given accuracies, if all labels are 0."""

    name = "scripted"
    model = nn.Sequential()

    def __init__(self, accuracies: list[float], loss: float = 1.0) -> None:
        self._accuracies = iter(accuracies)
        self._loss = loss
        self.evaluated: list[int] = []

    def step(self, batch: Tensor) -> None: ...

    def reset(self) -> None: ...

    def totals(self) -> Tensor:
        return torch.tensor([self._loss, 0.0])

    def predict(self, images: Tensor) -> Tensor:
        self.evaluated.append(len(images))
        scores = torch.zeros(len(images), 10)
        scores[round(next(self._accuracies) * len(images)) :, 1] = 1
        return scores


def label_all_0(digits: Dataset) -> Dataset:
    return replace(digits, labels=torch.zeros_like(digits.labels))


def search_run(epochs: int, *floor: float) -> Run:
    recipe = Recipe(epochs=epochs, batch_size=64, optimizer="adam", learning_rate=0.01)
    arm = Arm(name="arm", model="mlp", keywords={"hidden": [32]}, recipe=recipe, factors={})
    return Run(phase="search", arm=arm, setting={}, seed=0, floor=floor)


def scripted(
    digits: Dataset, accuracies: list[float], *floor: float, loss: float = 1.0, validation: int = 240
) -> RunRecord:
    run = search_run(len(accuracies), *floor)
    return train(run, Scripted(accuracies, loss), label_all_0(digits), validation=validation).record


def made(record: RunRecord) -> list[float]:
    """The full epochs in the record."""
    return [point.epoch for point in record.epochs if point.train_seconds is not None]


def timeless(record: RunRecord) -> list[EpochPoint]:
    return [replace(point, train_seconds=None, examples_per_second=None) for point in record.epochs]


def test_a_run_below_its_floor_is_stopped_and_recorded_as_pruned(digits) -> None:
    record = scripted(digits, [0.3, 0.5, 0.8, 0.9], 0.2, 0.6, 0.7)
    assert record.status == "pruned"
    assert made(record) == [1, 2]
    assert record.validation_accuracy == 0.5
    assert record.train_loss is not None
    assert record.test_accuracy is None
    assert record.cause is None


def test_a_run_may_be_stopped_after_its_first_epoch(digits) -> None:
    record = scripted(digits, [0.1, 0.9, 0.9], 0.2, 0.2)
    assert (record.status, made(record)) == ("pruned", [1])


def test_a_run_at_its_floor_goes_on(digits) -> None:
    record = scripted(digits, [0.3, 0.5, 0.8], 0.3, 0.5)
    assert (record.status, made(record)) == ("complete", [1, 2, 3])


def test_no_run_is_stopped_in_its_last_epoch(digits) -> None:
    record = scripted(digits, [0.3, 0.5, 0.1], 0.2, 0.2, 0.9)
    assert (record.status, made(record), record.validation_accuracy) == ("complete", [1, 2, 3], 0.1)
    assert scripted(digits, [0.1], 1.0).status == "complete"


@pytest.mark.parametrize("floor", [(), (0.0,), (0.0, 0.0, 0.0)], ids=str)
def test_no_floor_and_one_of_zeros_stop_nothing(digits, floor: tuple[float, ...]) -> None:
    record = scripted(digits, [0.0, 0.0, 0.0], *floor)
    assert (record.status, made(record)) == ("complete", [1, 2, 3])


def test_a_short_floor_counts_only_where_it_reaches(digits) -> None:
    record = scripted(digits, [0.5, 0.0, 0.0, 0.0], 0.5)
    assert (record.status, made(record)) == ("complete", [1, 2, 3, 4])
    record = scripted(digits, [0.4, 0.0, 0.0, 0.0], 0.5)
    assert (record.status, made(record)) == ("pruned", [1])


def test_a_long_floor_is_no_mistake(digits) -> None:
    assert scripted(digits, [0.5, 0.5], 0.4, 1.0, 1.0, 1.0).status == "complete"


accuracy = st.integers(0, 4).map(lambda quarters: quarters / 4)


@settings(deadline=None, max_examples=60)
@given(
    accuracies=st.lists(accuracy, min_size=1, max_size=6),
    floor=st.lists(accuracy, max_size=8),
)
@example(accuracies=[0.5, 0.25, 0.0], floor=[0.5, 0.5, 0.5])
def test_a_run_ends_after_the_first_epoch_but_the_last_that_is_below_the_floor(
    digits, accuracies: list[float], floor: list[float]
) -> None:
    below = [
        epoch
        for epoch, (reached, wanted) in enumerate(zip(accuracies, floor, strict=False), start=1)
        if reached < wanted and epoch < len(accuracies)
    ]
    record = scripted(digits, accuracies, *floor)
    assert record.status == ("pruned" if below else "complete")
    epochs = min(below, default=len(accuracies))
    assert made(record) == list(range(1, epochs + 1))
    assert record.validation_accuracy == accuracies[epochs - 1]
    assert record.test_accuracy is None


def test_a_stopped_run_looks_at_the_validation_images_and_at_no_others(digits) -> None:
    trainer = Scripted([0.9, 0.1, 0.9, 0.9])
    train(search_run(4, 0.5, 0.5), trainer, label_all_0(digits), validation=240)
    assert trainer.evaluated == [240, 240]


def test_a_loss_that_is_no_number_is_divergence_whatever_the_floor(digits) -> None:
    record = scripted(digits, [0.0, 0.0], 1.0, loss=math.nan)
    assert (record.status, record.epochs) == ("diverged", ())
    assert record.cause is not None


def test_without_validation_images_there_is_nothing_to_stop_by(digits) -> None:
    record = scripted(digits, [0.0, 0.0], 1.0, validation=0)
    assert (record.status, made(record), record.validation_accuracy) == ("complete", [1, 2], None)


def test_a_stopped_run_is_the_beginning_of_the_run_that_was_not(digits) -> None:
    def trained(*floor: float) -> RunRecord:
        run = search_run(4, *floor)
        return train(run, LoopTrainer(run, digits, CPU), digits, validation=240).record

    whole = trained()
    reached = [point.validation_accuracy for point in whole.epochs if point.validation_accuracy is not None]
    stopped = trained(0.0, math.nextafter(reached[1], 1))
    assert (whole.status, stopped.status) == ("complete", "pruned")
    assert made(stopped) == [1, 2]
    assert timeless(stopped) == timeless(whole)[: len(stopped.epochs)]
    reaching = trained(*reached)
    assert (reaching.status, timeless(reaching)) == ("complete", timeless(whole))


def test_a_run_with_a_floor_has_another_key(small) -> None:
    study = small()
    floors = [(), (0.5,), (0.6,), (0.5, 0.5)]
    keys = [search_run(3, *floor).key(study, "cpu") for floor in floors]
    assert len(set(keys)) == len(floors)
    assert search_run(3, 0.5).key(study, "cpu") == keys[1]
    assert replace(search_run(3, 0.5), floor=()).key(study, "cpu") == keys[0]
