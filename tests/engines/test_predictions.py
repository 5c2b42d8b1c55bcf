"""What a run keeps of its class scores: the accuracies are those of the stored predictions."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ablate.data.loading import Dataset
from ablate.design.designs import lay_out
from ablate.design.runs import Run
from ablate.engines.cohort_runs import train_together
from ablate.engines.lanes import LanesTrainer
from ablate.engines.lanes_library import load_library
from ablate.engines.loop import LoopTrainer
from ablate.engines.predictions import make_predictions, measure
from ablate.engines.training import Trained, train
from ablate.records.run_records import Phase
from ablate.stats.metric_values import compute_metrics, count_by_class
from tests.cpu import CPU


def train_by(engine: str, run: Run, dataset: Dataset, *beside: Run) -> Trained:
    if engine == "cohort":
        return next(train_together([run, *beside], dataset, validation=240, places=2))
    kind = {"loop": LoopTrainer, "lanes": LanesTrainer}[engine]
    return train(run, kind(run, dataset, CPU), dataset, validation=240)


@pytest.mark.parametrize("engine", ["loop", "lanes", "cohort"])
def test_the_accuracies_of_a_confirmed_run_are_those_of_its_predictions(
    engine: str, small, digits: Dataset
) -> None:
    if engine == "lanes" and isinstance(load_library(), str):
        pytest.skip("no C++ compiler")
    study = small("recipe.epochs=2", "recipe.optimizer=adam", "recipe.learning_rate=0.005")
    run = Run(phase=Phase.CONFIRM, arm=lay_out(study).arms[0], setting={}, seed=0)
    ended = train_by(engine, run, digits)
    record, kept = ended.record, ended.predictions
    assert kept is not None
    assert kept.log_probabilities.dtype == np.float16
    assert kept.log_probabilities.shape == (360, 10)
    assert np.exp(kept.log_probabilities.astype(float)).sum(1) == pytest.approx(1, abs=0.005)
    labels = digits.test_labels.numpy()
    assert record.test_accuracy == (kept.guesses == labels).mean()
    assert record.test_metrics == compute_metrics(kept.log_probabilities, kept.guesses, labels)
    assert record.test_metrics["accuracy"] == record.test_accuracy
    assert record.test_metrics["balanced_accuracy"] == record.test_balanced_accuracy
    assert record.test_by_class == dict(
        zip(digits.classes, count_by_class(kept.guesses, labels, 10), strict=True)
    )
    assert record.validation_metrics["accuracy"] == record.validation_accuracy
    assert record.validation_metrics.keys() == record.test_metrics.keys()
    assert record.validation_metrics != record.test_metrics


@pytest.mark.parametrize("engine", ["loop", "cohort"])
@pytest.mark.parametrize("phase", [Phase.TUNE, Phase.SEARCH])
def test_a_run_that_chooses_has_metrics_on_validation_images_only(
    engine: str, phase: Phase, small, digits: Dataset
) -> None:
    run = Run(phase=phase, arm=lay_out(small("recipe.epochs=2")).arms[0], setting={}, seed=0)
    ended = train_by(engine, run, digits)
    assert ended.predictions is None
    assert ended.record.validation_metrics["accuracy"] == ended.record.validation_accuracy
    assert (ended.record.test_metrics, ended.record.test_by_class) == ({}, {})


@pytest.mark.parametrize("engine", ["loop", "cohort"])
def test_a_run_that_diverges_keeps_nothing(engine: str, small, digits: Dataset) -> None:
    wild, tame = (
        lay_out(small(f"recipe.learning_rate={rate}", "recipe.epochs=1", "baseline.activation=relu")).arms[0]
        for rate in (1e9, 1e-3)
    )
    # The other run of a cohort is tested after the same epoch.
    run, other = (Run(phase=Phase.CONFIRM, arm=arm, setting={}, seed=0) for arm in (wild, tame))
    ended = train_by(engine, run, digits, other)
    assert ended.record.status == "diverged"
    assert ended.predictions is None
    assert (ended.record.validation_metrics, ended.record.test_metrics) == ({}, {})


def test_without_validation_images_there_are_no_metrics_on_them(small, digits: Dataset) -> None:
    run = Run(phase=Phase.CONFIRM, arm=lay_out(small()).arms[0], setting={}, seed=0)
    record = train(run, LoopTrainer(run, digits, CPU), digits, validation=0).record
    assert record.validation_metrics == {}
    assert record.test_metrics["accuracy"] == record.test_accuracy


def test_guesses_are_those_of_the_scores_before_rounding() -> None:
    scores = torch.tensor([[0.0, 1e-6, 0.0], [0.0, 0.0, 1e5], [5.0, 5.0, 0.0]])
    made = make_predictions(scores)
    assert made.guesses.tolist() == [1, 2, 0]
    assert made.log_probabilities[0, 0] == made.log_probabilities[0, 1]
    assert made.log_probabilities[1].tolist() == [-65504, -65504, 0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_scores_of_any_precision_are_stored_alike(dtype: torch.dtype) -> None:
    scores = torch.tensor([[-2.0, 1.0, 0.5]])
    assert np.array_equal(
        make_predictions(scores.to(dtype)).log_probabilities, make_predictions(scores).log_probabilities
    )


@pytest.mark.parametrize(("classes", "dtype"), [(10, np.uint8), (256, np.uint8), (257, np.uint16)])
def test_guesses_have_room_for_every_class(classes: int, dtype: type[np.integer]) -> None:
    guesses = make_predictions(torch.eye(classes)).guesses
    assert guesses.dtype == dtype
    assert guesses.tolist() == list(range(classes))


def test_scores_that_are_no_numbers_are_stored_and_leave_the_accuracy() -> None:
    scores = torch.eye(3).index_fill(0, torch.tensor([1]), torch.nan)
    measured = measure(scores, torch.arange(3), ("a", "b", "c"))
    assert np.isnan(measured.predictions.log_probabilities[1]).all()
    assert measured.metrics.keys() == {"accuracy", "balanced_accuracy", "macro_f1"}
    assert measured.metrics["accuracy"] == 2 / 3  # as torch's argmax, which takes the first of the values


def test_a_network_that_returns_one_tensor_again_and_again_has_its_own_scores(small, digits: Dataset) -> None:
    run = Run(phase=Phase.CONFIRM, arm=lay_out(small()).arms[0], setting={}, seed=0)
    trainer = LoopTrainer(run, digits, CPU)
    buffer = torch.empty(1_000, 10)
    whole = replace(digits, images=digits.images.repeat(2, 1, 1, 1)).images[:1_500]
    expected = trainer.predict(whole)
    forward = trainer.model.forward
    trainer.model.forward = lambda images: buffer[: len(images)].copy_(forward(images))
    assert torch.equal(trainer.predict(whole), expected)
