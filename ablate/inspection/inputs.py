"""Choose the classes, and one test image of each class, with which networks are compared."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ablate.data.loading import Dataset
from ablate.errors import AblateError, did_you_mean
from ablate.inspection.confusion import Score

DEFAULT_INPUTS = {"fashion_mnist": ("pullover", "coat")}
"""Maps the name of a data set to the classes that an exercise in Dive into Deep Learning (D2L) compares."""


def choose_classes(dataset: Dataset, scores: Sequence[Score]) -> tuple[int, ...]:
    """Choose the classes that are used to compare networks. Their images are shown to each network.

    If an exercise in D2L compares classes of this data set, choose the classes of the exercise. Otherwise,
    choose the two classes that the networks confuse most often.
    """
    if names := DEFAULT_INPUTS.get(dataset.name):
        return tuple(dataset.classes.index(name) for name in names)
    count = len(dataset.classes)
    both_ways = torch.zeros(count, count)
    for score in scores:
        both_ways += score.confusion + score.confusion.T
    mistakes = both_ways.triu(diagonal=1)
    return divmod(int(mistakes.argmax()), count) if mistakes.any() else (0, 1)


def pick_typical_image(dataset: Dataset, label: int) -> Tensor:
    """Pick the test image `(c, h, w)` that is nearest to the mean of all test images of the class."""
    images = dataset.test_images[dataset.test_labels == label]
    return images[find_nearest_to_mean(images)]


def find_nearest_to_mean(images: Tensor) -> int:
    """Find the index of the image that is nearest to the mean of all `images`, `(n, c, h, w)`.

    If several images are equally near, the result is the first of them.
    """
    return int((images - images.mean(0)).square().flatten(1).sum(1).argmin())


def parse_classes(text: str, classes: Sequence[str]) -> tuple[int, ...]:
    """Find the indices of the classes whose names are in `text`, separated by commas.

    The beginning of a name is enough if it fits only one class. Upper and lower case make no difference.

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
            f"--inputs {name}: fits {' and '.join(classes[i] for i in candidates)}: write more letters"
        )
    raise AblateError(f"--inputs {name}: no such class: {did_you_mean(name, list(classes))}")
