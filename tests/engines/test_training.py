"""Training of one run: it depends only on the seed, tests once, and records divergence."""

import math

import pytest
import torch

from ablate.data.loading import Dataset, split
from ablate.design.designs import lay_out
from ablate.design.runs import Run
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import list_marks, repeat_batches, train
from ablate.records.run_records import RunRecord
from tests.cpu import CPU


class Watching(LoopTrainer):
    """The plain loop, which records the batches and images that it gets."""

    def __init__(self, run: Run, dataset: Dataset) -> None:
        super().__init__(run, dataset, CPU)
        self.seen: list[torch.Tensor] = []
        self.evaluated: list[int] = []

    def step(self, batch: torch.Tensor) -> None:
        self.seen.append(batch)
        super().step(batch)

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        self.evaluated.append(len(images))
        return super().predict(images)


def a_run(spec, arm: int = 0, phase: str = "confirm", seed: int = 0, **setting: float) -> Run:
    return Run(phase=phase, arm=lay_out(spec).arms[arm], setting=setting, seed=seed)


def trained(run: Run, dataset: Dataset, validation: int = 240) -> tuple[RunRecord, Watching]:
    trainer = Watching(run, dataset)
    return train(run, trainer, dataset, validation=validation).record, trainer


def test_a_run_learns_the_digits(small, digits) -> None:
    record, _ = trained(a_run(small("recipe.epochs=8", "baseline.activation=relu")), digits)
    assert record.status == "complete"
    assert record.test_accuracy is not None
    assert record.test_accuracy > 0.85
    assert record.validation_accuracy is not None
    assert record.train_loss is not None
    assert record.train_loss < 0.5


def test_equal_runs_give_equal_numbers_whatever_ran_before(small, digits) -> None:
    run = a_run(small("baseline.dropout=0.3"))
    first, _ = trained(run, digits)
    torch.rand(1000)  # other code drew from the global generator
    second, _ = trained(run, digits)
    timeless = [[(p.epoch, p.train_loss, p.validation_accuracy) for p in r.epochs] for r in (first, second)]
    assert timeless[0] == timeless[1]
    assert first.test_accuracy == second.test_accuracy


def test_dropout_draws_from_the_runs_own_seed(small, digits) -> None:
    spec = small("baseline.dropout=0.5", "recipe.epochs=1")
    losses = {trained(a_run(spec, seed=seed), digits)[0].train_loss for seed in (0, 1)}
    assert len(losses) == 2
    before = torch.random.get_rng_state()
    trained(a_run(spec), digits)
    assert torch.equal(before, torch.random.get_rng_state())


def test_all_arms_of_a_seed_see_the_same_examples_in_the_same_order(small, digits) -> None:
    spec = small("factors={activation: [sigmoid, relu], dropout: [0.0, 0.5]}")
    orders = [torch.cat(trained(a_run(spec, arm=arm), digits)[1].seen) for arm in range(3)]
    assert torch.equal(orders[0], orders[1])
    assert torch.equal(orders[0], orders[2])
    other = torch.cat(trained(a_run(spec, seed=1), digits)[1].seen)
    assert not torch.equal(orders[0], other)


def test_every_training_example_is_seen_once_an_epoch_and_no_other(small, digits) -> None:
    _, trainer = trained(a_run(small("recipe.epochs=1")), digits)
    wanted, _ = split(digits.labels, 240, 0)
    assert torch.equal(torch.cat(trainer.seen).sort().values, wanted)


def test_the_test_images_are_read_once_at_the_end_and_only_to_confirm(small, digits) -> None:
    spec = small()
    _, confirming = trained(a_run(spec), digits)
    assert confirming.evaluated == [240, 240, 360]
    record, tuning = trained(a_run(spec, phase="tune"), digits)
    assert tuning.evaluated == [240]
    assert record.test_accuracy is None


def test_training_curves_have_five_points_an_epoch(small, digits) -> None:
    record, _ = trained(a_run(small()), digits)
    batches = math.ceil(1197 / 64)
    expected = [epoch + round(i * batches / 5) / batches for epoch in range(2) for i in range(1, 6)]
    assert [point.epoch for point in record.epochs] == pytest.approx(expected)
    whole = [point for point in record.epochs if point.train_seconds is not None]
    assert [point.epoch for point in whole] == [1, 2]
    assert all(point.validation_accuracy is not None for point in whole)


def test_fewer_batches_than_points_still_end_every_epoch(small, digits) -> None:
    record, _ = trained(a_run(small("recipe.batch_size=1000")), digits)
    assert [point.epoch for point in record.epochs if point.train_seconds] == [1, 2]


def test_running_means_are_those_of_the_epochs_own_batches(small, digits) -> None:
    run = a_run(small("recipe.epochs=1"))
    record, _ = trained(run, digits)
    by_hand = LoopTrainer(run, digits, CPU)
    train_indices, _ = split(digits.labels, 240, 0)
    from ablate.seeds import derive_seed

    order = train_indices[
        torch.randperm(1197, generator=torch.Generator().manual_seed(derive_seed(0, "order")))
    ]
    loss = right = 0.0
    for batch in order.split(64):
        by_hand.reset()
        by_hand.step(batch)
        more_loss, more_right = by_hand.totals().tolist()
        loss, right = loss + more_loss, right + more_right
    assert record.train_loss == pytest.approx(loss / 1197, rel=1e-5)
    assert record.train_accuracy == pytest.approx(right / 1197)


def test_a_loss_that_is_no_number_ends_the_run_as_diverged(small, digits) -> None:
    run = a_run(
        small("recipe.optimizer=sgd", "recipe.epochs=5", "baseline.activation=relu"), learning_rate=1e9
    )
    record, trainer = trained(run, digits)
    assert record.status == "diverged"
    assert record.train_loss is None
    assert record.test_accuracy is None
    assert trainer.evaluated == []
    assert len(trainer.seen) == math.ceil(1197 / 64)  # one epoch, not five


def test_a_run_that_diverges_in_its_last_epoch_is_never_tested(small, digits) -> None:
    spec = small("recipe.optimizer=sgd", "recipe.epochs=1", "baseline.activation=relu")
    record, trainer = trained(a_run(spec, learning_rate=1e9), digits)
    assert (record.status, record.test_accuracy) == ("diverged", None)
    assert trainer.evaluated == []


@pytest.mark.parametrize(
    ("examples", "batch_size", "expected"),
    [
        (100, 10, [(2, 20), (4, 40), (6, 60), (8, 80), (10, 100)]),
        (95, 10, [(2, 20), (4, 40), (6, 60), (8, 80), (10, 95)]),
        (25, 10, [(1, 10), (2, 20), (3, 25)]),
        (7, 10, [(1, 7)]),
    ],
)
def test_an_epoch_is_read_at_five_marks_or_after_every_batch(examples, batch_size, expected) -> None:
    assert list_marks(examples, batch_size) == expected


def test_a_step_is_torchs_own_sgd(small, digits) -> None:
    run = a_run(
        small("recipe.optimizer=sgd", "recipe.momentum=0.9", "recipe.weight_decay=0.01"), learning_rate=0.1
    )
    trainer, by_hand = (LoopTrainer(run, digits, CPU) for _ in range(2))
    velocity = [torch.zeros_like(p) for p in by_hand.model.parameters()]
    for start in (0, 64):
        batch = torch.arange(start, start + 64)
        trainer.step(batch)
        logits = by_hand.model(digits.images[batch])
        loss = -logits.log_softmax(1)[torch.arange(64), digits.labels[batch]].mean()
        gradients = torch.autograd.grad(loss, list(by_hand.model.parameters()))
        with torch.no_grad():
            for p, v, g in zip(by_hand.model.parameters(), velocity, gradients, strict=True):
                v.mul_(0.9).add_(g + 0.01 * p)
                p.sub_(0.1 * v)
    for ours, theirs in zip(trainer.model.parameters(), by_hand.model.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_batches_for_timing_are_full_and_never_end() -> None:
    batches = repeat_batches(100, 32, CPU)
    assert [len(next(batches)) for _ in range(10)] == [32] * 10
    assert len(next(repeat_batches(10, 32, CPU))) == 10
