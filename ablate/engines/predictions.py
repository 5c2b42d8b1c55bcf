"""From a network's class scores to accuracies, predictions and metrics."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ablate.records.predictions import Predictions
from ablate.stats.metric_values import compute_metrics, count_by_class


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the class scores of one network on one set of images say."""

    predictions: Predictions
    metrics: dict[str, float]
    """The value of each metric that can be computed, by name."""
    by_class: dict[str, tuple[int, int]]
    """For each class that has images: how many are classified correctly, and how many there are."""


def count_correct(scores: Tensor, labels: Tensor) -> Tensor:
    """Count the images whose highest score is that of the true class, `(…)` on the device.

    The scores are `(…, n, classes)`, and the labels `(…, n)`.
    """
    return (scores.argmax(-1) == labels).sum(-1)


def make_predictions(scores: Tensor) -> Predictions:
    """Make the predictions that are stored, from class scores `(n, classes)`. This waits for the device."""
    guesses = scores.argmax(1).cpu().numpy()
    wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
    # A class can be so improbable that float16 has no number for its logarithm. It gets the smallest one.
    rounded = wide.log_softmax(1).clamp(min=torch.finfo(torch.float16).min).half()
    return Predictions(
        log_probabilities=rounded.cpu().numpy(),
        guesses=guesses.astype(np.min_scalar_type(scores.shape[1] - 1)),
    )


def measure(scores: Tensor, labels: Tensor, classes: tuple[str, ...]) -> Measured:
    """Compute the metrics of class scores `(n, classes)`. This waits for the device.

    The metrics come from the rounded scores that are stored.

    Args:
        scores: the network's logits.
        labels: the true classes, int64 `(n,)`.
        classes: the names of the classes.
    """
    predictions = make_predictions(scores)
    truth = labels.cpu().numpy()
    counts = count_by_class(predictions.guesses, truth, len(classes))
    return Measured(
        predictions=predictions,
        metrics=compute_metrics(predictions.log_probabilities, predictions.guesses, truth),
        by_class={name: (right, n) for name, (right, n) in zip(classes, counts, strict=True) if n},
    )
