"""Compute predictions and metrics from a network's class scores."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ablate.records.predictions import Predictions
from ablate.stats.metric_values import compute_metrics, count_by_class


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The predictions and metrics of one network on one set of images."""

    predictions: Predictions
    metrics: dict[str, float]
    """Maps the name of each metric to its value. A metric that cannot be computed is left out."""
    by_class: dict[str, tuple[int, int]]
    """Maps the name of a class to two counts: its correctly classified images, and all its images.

    A class without images is left out.
    """


def count_correct(scores: Tensor, labels: Tensor) -> Tensor:
    """Count the images for which the true class has the highest score.

    The scores are `(…, n, classes)`, and the labels are `(…, n)`. The result is `(…)` on the device.
    """
    return (scores.argmax(-1) == labels).sum(-1)


def make_predictions(scores: Tensor) -> Predictions:
    """Make the predictions that a record stores, from class scores `(n, classes)`.

    The call waits for the device.
    """
    guesses = scores.argmax(1).cpu().numpy()
    wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
    # A class can be so improbable that the logarithm of its probability is below float16's smallest number.
    # Store the smallest number instead.
    rounded = wide.log_softmax(1).clamp(min=torch.finfo(torch.float16).min).half()
    return Predictions(
        log_probabilities=rounded.cpu().numpy(),
        guesses=guesses.astype(np.min_scalar_type(scores.shape[1] - 1)),
    )


def measure(scores: Tensor, labels: Tensor, classes: tuple[str, ...]) -> Measured:
    """Compute the predictions and metrics of class scores `(n, classes)`. The call waits for the device.

    The log-probabilities in the predictions are rounded for storage. The metrics are computed from these
    rounded values.

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
