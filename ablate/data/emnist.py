"""Read EMNIST from its IDX files, and turn its images upright.

The files store every image transposed: the letters are mirrored and lie on their side. torchvision returns
the images without a correction. This module reads the files itself, so a change in torchvision cannot change
the pixels.
"""

import hashlib
import string
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablate.data.datasets import DatasetSpec
from ablate.data.images import DIGIT_CLASSES, Images, scale_pixels
from ablate.data.official import decode_idx, find_file, read_content
from ablate.errors import DataError

EMNIST = {
    "emnist_balanced": ("balanced", (*string.digits, *string.ascii_uppercase, *"abdefghnqrt")),
    "emnist_digits": ("digits", DIGIT_CLASSES),
}
"""Maps a data set to the word for it in the file names, and to its classes in the order of their labels."""
FOLDER = Path("EMNIST", "raw")
_DIGIT_ONE = 1

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def contains_emnist(root: Path, name: str) -> bool:
    """Whether all files of the data set are below `root`."""
    return all(find_file(root / FOLDER, file) for half in _list_files(name) for file in half)


def read_emnist(dataset: DatasetSpec, root: Path) -> Images:
    """Read the data set from the files below `root`, and turn its images upright.

    Raises:
        DataError: a file is missing or damaged, or its images have an unexpected number or shape.
    """
    facts, (_, classes) = dataset.facts, EMNIST[dataset.name]
    pixels, labels = [], []
    wanted_numbers = (facts.train_images, facts.test_images)
    for (image_file, label_file), wanted in zip(_list_files(dataset.name), wanted_numbers, strict=True):
        of_half, shape = _read(root, label_file), (wanted, *facts.image_shape[1:])
        stored = _read(root, image_file)
        if stored.shape != shape or of_half.shape != shape[:1] or of_half.max() >= len(classes):
            raise DataError(
                f"{root / FOLDER / image_file}: has images of shape {stored.shape} and labels of shape "
                f"{of_half.shape} instead of {shape} and {shape[:1]}, or more than {len(classes)} classes: "
                "delete this file and the file of its labels, and fetch both again"
            )
        pixels.append(turn_upright(stored, of_half)[:, None])
        labels.append(torch.from_numpy(of_half.astype(np.int64)))
    sums = [hashlib.sha256(half.tobytes()).hexdigest() for half in pixels]
    return Images(
        images=scale_pixels(pixels[0]),
        labels=labels[0],
        test_images=scale_pixels(pixels[1]),
        test_labels=labels[1],
        classes=classes,
        checksums={"train pixels": sums[0], "test pixels": sums[1]},
    )


def turn_upright(pixels: Pixels, labels: Pixels) -> Pixels:
    """Turn images `(n, height, width)` upright. Images that are upright already are not changed.

    An upright digit 1 is taller than wide. In the official files, the digit 1 is wider than tall. So the
    images of the digit 1 show whether all images are upright. Some copies of the files contain upright
    images.
    """
    ones = pixels[labels == _DIGIT_ONE].sum(axis=0, dtype=np.float64)
    if ones.any() and _measure_spread(ones.sum(axis=1)) > _measure_spread(ones.sum(axis=0)):
        return pixels
    return np.ascontiguousarray(pixels.transpose(0, 2, 1))


def _measure_spread(ink: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Measure how widely the ink is spread along one side of an image.

    `ink` is the sum of the pixel values at each position. The result is the variance of the ink's position,
    in pixels².
    """
    places = np.arange(len(ink))
    middle = np.average(places, weights=ink)
    return float(np.average((places - middle) ** 2, weights=ink))


def _list_files(name: str) -> list[tuple[str, str]]:
    """List two pairs of file names, for training and for testing.

    Each pair has a file of images and a file of labels.
    """
    split, _ = EMNIST[name]
    return [
        (f"emnist-{split}-{half}-images-idx3-ubyte", f"emnist-{split}-{half}-labels-idx1-ubyte")
        for half in ("train", "test")
    ]


def _read(root: Path, file: str) -> Pixels:
    """Read an IDX file, which can be compressed by gzip."""
    path = root / FOLDER / file
    try:
        return decode_idx(read_content(root / FOLDER, file))
    except (ValueError, IndexError) as error:
        raise DataError(f"{path}: is no IDX file ({error}): delete it and fetch it again") from None
