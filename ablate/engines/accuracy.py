"""Accuracy and balanced accuracy, from the number of correct predictions of each class."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Score:
    """The accuracies of one network on one set of images."""

    accuracy: float
    """The share of the images that the network classifies correctly."""
    balanced_accuracy: float
    """The mean of the accuracies within each class, over the classes that have images."""


def count_by_class(right: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Count the correct predictions of each class. Return int64 `(…, classes)` on the same device.

    Args:
        right: a mask of the images that were classified correctly, `(…, n)`.
        labels: the true classes of the images, int64 `(…, n)`.
        classes: the number of classes.
    """
    return labels.new_zeros(*labels.shape[:-1], classes).scatter_add_(-1, labels, right.long())


def compute_score(correct: Sequence[int], images: Sequence[int]) -> Score:
    """Compute the accuracies from the number of correct predictions and of images, both by class."""
    # A class without images has no recall. scikit-learn's balanced_accuracy_score leaves it out, too.
    recalls = [right / count for right, count in zip(correct, images, strict=True) if count]
    return Score(accuracy=sum(correct) / sum(images), balanced_accuracy=fmean(recalls))
