"""A person's own images: decoded to one size."""

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablate.data.datasets import DatasetSpec
from ablate.data.image_folders import digest, image_folder
from ablate.data.images import TORN, Images, channels_first, scaled
from ablate.errors import DataError

SAFEST_PIXELS = 100_000_000
"""Of one image file: larger ones are refused, for a small file can unfold to any size."""


def read_own_images(dataset: DatasetSpec) -> Images:
    assert dataset.path is not None
    assert dataset.found is not None
    root = Path(dataset.path)
    try:
        listed = image_folder(root)
        files = [file for file, _ in (*listed.train, *listed.test)]
        unchanged = digest(root, files) == dataset.found.sha256
    except (ValueError, OSError) as error:
        raise DataError(str(error)) from None
    if not unchanged:
        raise DataError(f"{root}: has changed since the study was read: start over with --fresh")
    halves = [
        np.stack([_decoded(file, dataset.size, grey=dataset.grey) for file, _ in half])
        for half in (listed.train, listed.test)
    ]
    labels = [torch.tensor([label for _, label in half]) for half in (listed.train, listed.test)]
    return Images(
        images=scaled(halves[0]),
        labels=labels[0],
        test_images=scaled(halves[1]),
        test_labels=labels[1],
        classes=listed.classes,
        checksums={"files": dataset.found.sha256},
    )


def _decoded(file: Path, size: int, *, grey: bool) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The image as `(channels, size, size)`: its shorter side made `size`, the middle of the longer kept."""
    from PIL import Image, ImageOps

    try:
        # Ignored: warnings of damaged remarks beside pixels that are whole.
        with warnings.catch_warnings(action="ignore"), Image.open(file) as image:
            if image.width * image.height > SAFEST_PIXELS:
                raise DataError(f"{file}: {image.width}×{image.height} pixels are too many: make it smaller")
            upright = ImageOps.exif_transpose(image).convert("L" if grey else "RGB")
            fitted = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, struct.error, Image.DecompressionBombError, *TORN) as error:
        raise DataError(f"{file}: is no image that can be read ({error}): take it out") from None
    return channels_first(np.asarray(fitted)[None])[0]
