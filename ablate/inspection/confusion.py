"""Confusion matrices: how often a trained network mistakes one class for another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from ablate.data.loading import Dataset
from ablate.engines.loop import EVALUATION_BATCH
from ablate.records.tables import make_frame

MOST_PAIRS = 4
"""A report shows at most this many pairs of classes for each arm."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """A network's predictions for the test images."""

    confusion: Tensor
    """The number of images by true class (row) and predicted class (column), on the CPU."""
    guesses: Tensor
    """The predicted class of each test image, `(n,)` on the CPU."""

    def most_confused(self) -> list[tuple[int, int, int]]:
        """List the most frequent mistakes, the most frequent first.

        Each mistake is a triple: the true class, the predicted class, and the number of images.
        """
        mistakes = self.confusion.clone().fill_diagonal_(0)
        pairs = [(label, guess, int(mistakes[label, guess])) for label, guess in mistakes.nonzero().tolist()]
        return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))[:MOST_PAIRS]


def score_network(network: nn.Module, dataset: Dataset) -> Score:
    """Predict the class of every test image, and count the images by true and predicted class."""
    classes = len(dataset.classes)
    with torch.inference_mode():
        batches = dataset.test_images.split(EVALUATION_BATCH)
        guesses = torch.cat([network(batch).argmax(1) for batch in batches])
        cells = (dataset.test_labels * classes + guesses).bincount(minlength=classes**2)
    return Score(confusion=cells.reshape(classes, classes).cpu(), guesses=guesses.cpu())


def tabulate_confusions(scores: Mapping[str, Score], classes: Sequence[str]) -> pd.DataFrame:
    """Make the `confusion` table. It has a row for each arm and each pair of a true and a predicted class.

    If no image belongs to a pair, the pair has no row.
    """
    rows = [
        {"arm": arm, "label": classes[label], "guess": classes[guess], "images": count}
        for arm, score in scores.items()
        for label, counts in enumerate(score.confusion.tolist())
        for guess, count in enumerate(counts)
        if count
    ]
    return make_frame("confusion", rows)
