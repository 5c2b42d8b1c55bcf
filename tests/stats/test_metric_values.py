"""Metrics equal those of other implementations, and say nothing where there is nothing to say."""

import warnings

import numpy as np
import pytest
from scipy.special import log_softmax
from sklearn import metrics as sklearn_metrics

from ablate.metrics import METRICS
from ablate.stats.metric_values import Array, compute_metrics, count_by_class


def some_scores(images: int = 500, classes: int = 10, sharpness: float = 3.0) -> tuple[Array, Array, Array]:
    """Rounded log-probabilities, their guesses, and labels of which about half are guessed."""
    generator = np.random.default_rng(0)
    scores = log_softmax(sharpness * generator.normal(size=(images, classes)), axis=1).astype(np.float16)
    guesses = scores.argmax(1)
    labels = np.where(generator.random(images) < 0.5, guesses, generator.integers(classes, size=images))
    return scores, guesses, labels


def compute_calibration_error_slowly(probabilities: Array, guesses: Array, labels: Array) -> float:
    """The sum in equation 3 of Guo et al. (2017), written as they write it."""
    error = 0.0
    for m in range(1, 16):
        members = [
            i for i in range(len(labels)) if (m - 1) / 15 < probabilities[i, guesses[i]] <= m / 15
        ]  # B_m
        if members:
            accuracy = np.mean([guesses[i] == labels[i] for i in members])
            confidence = np.mean([probabilities[i, guesses[i]] for i in members])
            error += len(members) / len(labels) * abs(accuracy - confidence)
    return float(error)


def test_metrics_are_those_of_other_implementations() -> None:
    scores, guesses, labels = some_scores()
    probabilities = np.exp(log_softmax(scores.astype(float), axis=1))
    one_hot = np.eye(10)[labels]
    assert compute_metrics(scores, guesses, labels) == pytest.approx(
        {
            "accuracy": sklearn_metrics.accuracy_score(labels, guesses),
            "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(labels, guesses),
            "macro_f1": sklearn_metrics.f1_score(labels, guesses, average="macro"),
            "log_loss": sklearn_metrics.log_loss(labels, probabilities),
            "brier": 10 * sklearn_metrics.mean_squared_error(one_hot, probabilities),
            "calibration_error": compute_calibration_error_slowly(probabilities, guesses, labels),
            "top_2_accuracy": sklearn_metrics.top_k_accuracy_score(labels, scores, k=2),
            "top_5_accuracy": sklearn_metrics.top_k_accuracy_score(labels, scores, k=5),
        },
        rel=1e-12,
    )


def test_a_sure_network_has_the_best_or_the_worst_values() -> None:
    labels = np.arange(40) % 4
    sure = np.where(np.eye(4)[labels] == 1, 0, -65504).astype(np.float16)
    best = compute_metrics(sure, labels, labels)
    assert best == {name: float(METRICS[name].higher_is_better) for name in METRICS if name in best}
    wrong = compute_metrics(sure, labels, (labels + 1) % 4)
    assert wrong == {
        "accuracy": 0, "balanced_accuracy": 0, "macro_f1": 0, "log_loss": 65504, "brier": 2,
        "calibration_error": 1, "top_2_accuracy": wrong["top_2_accuracy"],
    }  # fmt: skip


def test_a_class_without_images_does_not_count() -> None:
    scores, guesses, labels = some_scores()
    kept = labels != 3
    assert (guesses[kept] == 3).any()
    assert count_by_class(guesses[kept], labels[kept], 10)[3] == (0, 0)
    values = compute_metrics(scores[kept], guesses[kept], labels[kept])
    present = [label for label in range(10) if label != 3]
    assert values["macro_f1"] == pytest.approx(
        np.mean(
            [sklearn_metrics.f1_score(labels[kept] == label, guesses[kept] == label) for label in present]
        )
    )
    assert values["balanced_accuracy"] == pytest.approx(
        np.mean([(guesses[labels == label] == label).mean() for label in present])
    )
    assert list(values) == list(METRICS)


@pytest.mark.parametrize(("classes", "absent"), [(2, {"top_2_accuracy", "top_5_accuracy"}), (3, {"top_5_accuracy"}), (6, set())])  # fmt: skip
def test_few_classes_have_no_top_k(classes: int, absent: set[str]) -> None:
    values = compute_metrics(*some_scores(classes=classes))
    assert set(METRICS) - set(values) == absent


def test_scores_that_are_no_numbers_leave_what_the_predictions_alone_give() -> None:
    scores, guesses, labels = some_scores()
    whole = compute_metrics(scores, guesses, labels)
    scores[7] = np.nan
    assert compute_metrics(scores, guesses, labels) == {
        name: whole[name] for name in ("accuracy", "balanced_accuracy", "macro_f1")
    }


def test_the_prediction_is_among_the_top_even_where_rounding_makes_scores_equal() -> None:
    scores = np.full((12, 4), np.log(0.25), np.float16)
    labels = np.arange(12) % 4
    assert compute_metrics(scores, labels, labels)["top_2_accuracy"] == 1


def test_no_metric_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compute_metrics(*some_scores(images=3, classes=10, sharpness=1000))
