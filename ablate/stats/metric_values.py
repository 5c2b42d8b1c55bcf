"""Compute metrics of one network, and its recall for each class, from its class probabilities."""

from statistics import fmean
from typing import Any

import numpy as np
from scipy.special import log_softmax

from ablate.metrics import METRICS

Array = np.ndarray[Any, np.dtype[Any]]
CALIBRATION_BINS = 15
"""The number of bins of the calibration error (Guo et al., On Calibration of Modern Neural Networks, ICML
2017)."""
_TOP = {"top_2_accuracy": 2, "top_5_accuracy": 5}


def compute_metrics(log_probabilities: Array, guesses: Array, labels: Array) -> dict[str, float]:
    """Compute the metrics of one network. The result maps names of `METRICS` to values.

    A metric is left out if there are too few classes for it. If a logarithm is infinite or not a number, all
    metrics that need probabilities are left out.

    Args:
        log_probabilities: natural logarithms of the class probabilities, `(n, classes)`. Rounded values are
            allowed: each row is scaled so that its probabilities sum to 1.
        guesses: the predicted classes, `(n,)`.
        labels: the true classes, `(n,)`.
    """
    # scikit-learn is imported only here, because the import takes a second. The process that starts the
    # workers does not need it.
    from sklearn.metrics import f1_score

    classes = log_probabilities.shape[1]
    counts = count_by_class(guesses, labels, classes)
    present = [label for label, (_, images) in enumerate(counts) if images]
    values = {
        "accuracy": sum(right for right, _ in counts) / len(labels),
        # A class without images has no recall. scikit-learn's balanced_accuracy_score leaves it out, too.
        "balanced_accuracy": fmean(right / images for right, images in counts if images),
        "macro_f1": float(f1_score(labels, guesses, labels=present, average="macro", zero_division=0)),
    }
    if np.isfinite(log_probabilities).all():
        values |= _compute_by_probability(log_probabilities, guesses, labels)
    return {name: values[name] for name in METRICS if name in values}


def count_by_class(guesses: Array, labels: Array, classes: int) -> list[tuple[int, int]]:
    """Count the correct predictions and the images of each class.

    The number of correct predictions divided by the number of images is the recall of the class.
    """
    right = np.bincount(labels[guesses == labels], minlength=classes).tolist()
    return list(zip(right, np.bincount(labels, minlength=classes).tolist(), strict=True))


def _compute_by_probability(log_probabilities: Array, guesses: Array, labels: Array) -> dict[str, float]:
    from sklearn.metrics import top_k_accuracy_score

    scores = log_softmax(log_probabilities.astype(np.float64), axis=1)
    images, classes = scores.shape
    rows = np.arange(images)
    probabilities = np.exp(scores)
    distances = probabilities.copy()
    distances[rows, labels] -= 1
    # scikit-learn's log_loss would cut off a probability below 2e-16. The logarithms here need no limit.
    values = {
        "log_loss": -float(scores[rows, labels].mean()),
        "brier": float(np.square(distances).sum(axis=1).mean()),
        "calibration_error": _compute_calibration_error(probabilities[rows, guesses], guesses == labels),
    }
    scores[rows, guesses] = 1  # the prediction must rank first, even if rounding made scores equal
    for name, k in _TOP.items():
        if classes >= METRICS[name].least_classes:
            values[name] = float(top_k_accuracy_score(labels, scores, k=k, labels=np.arange(classes)))
    return values


def _compute_calibration_error(confidences: Array, right: Array) -> float:
    """Compute the mean of |accuracy − confidence| over the bins, weighted by the images in each bin."""
    # Bin m covers ((m − 1) / 15, m / 15], as in Guo et al.
    bins = np.ceil(confidences * CALIBRATION_BINS).astype(np.int64) - 1
    gaps = np.bincount(bins.clip(0, CALIBRATION_BINS - 1), weights=right - confidences)
    return float(np.abs(gaps).sum() / len(right))
