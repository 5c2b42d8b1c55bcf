"""Choose classes, and one test image of each class, to compare networks on."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ablate.data.loading import Dataset
from ablate.errors import AblateError, did_you_mean
from ablate.inspection.confusion import Score

DEFAULT_INPUTS = {"fashion_mnist": ("pullover", "coat")}
"""The classes that an exercise in Dive into Deep Learning (D2L) compares, by data set."""


def choose_classes(dataset: Dataset, scores: Sequence[Score]) -> tuple[int, ...]:
    """Choose the classes to compare networks on: those of D2L's exercise, or else the two most confused."""
    if names := DEFAULT_INPUTS.get(dataset.name):
        return tuple(dataset.classes.index(name) for name in names)
    count = len(dataset.classes)
    both_ways = torch.zeros(count, count)
    for score in scores:
        both_ways += score.confusion + score.confusion.T
    mistakes = both_ways.triu(diagonal=1)
    return divmod(int(mistakes.argmax()), count) if mistakes.any() else (0, 1)


def pick_typical_image(dataset: Dataset, label: int) -> Tensor:
    """Pick the class's test image that is nearest to the mean of the class's test images, `(c, h, w)`."""
    images = dataset.test_images[dataset.test_labels == label]
    return images[find_nearest_to_mean(images)]


def find_nearest_to_mean(images: Tensor) -> int:
    """Find the index of the image nearest to the mean of images `(n, c, h, w)`. In a tie, it is the first."""
    return int((images - images.mean(0)).square().flatten(1).sum(1).argmin())


def parse_classes(text: str, classes: Sequence[str]) -> tuple[int, ...]:
    """Find the indices of the classes in a comma-separated text of class names or their beginnings.

    Upper and lower case count as equal.

    Raises:
        AblateError: a name fits no class or several classes.
    """
    return tuple(dict.fromkeys(_find_class(name.strip(), classes) for name in text.split(",")))


def _find_class(name: str, classes: Sequence[str]) -> int:
    known = [label.casefold() for label in classes]
    wanted = name.casefold()
    candidates = [i for i, label in enumerate(known) if wanted and label.startswith(wanted)]
    for matches in ([i for i in candidates if known[i] == wanted], candidates):
        if len(matches) == 1:
            return matches[0]
    if candidates:
        raise AblateError(
            f"--inputs {name}: fits {' and '.join(classes[i] for i in candidates)}: write more of the name"
        )
    raise AblateError(f"--inputs {name}: no such class: {did_you_mean(name, list(classes))}")
