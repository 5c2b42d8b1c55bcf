"""Read a person's own images, and scale them to one size."""

import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablate.data.datasets import DatasetSpec
from ablate.data.image_folders import hash_files, list_image_folder
from ablate.data.images import TORN, Images, move_channels_first, scale_pixels
from ablate.errors import DataError

SAFEST_PIXELS = 100_000_000
"""Images with more pixels are refused, because a small file can decompress to a size beyond the memory."""


def read_own_images(dataset: DatasetSpec) -> Images:
    """Read the images of a folder.

    Raises:
        DataError: the folder is missing or has changed, or an image cannot be read.
    """
    assert dataset.path is not None
    assert dataset.found is not None
    root = Path(dataset.path)
    try:
        listed = list_image_folder(root)
        files = [file for file, _ in (*listed.train, *listed.test)]
        unchanged = hash_files(root, files) == dataset.found.sha256
    except (ValueError, OSError) as error:
        raise DataError(str(error)) from None
    if not unchanged:
        raise DataError(f"{root}: has changed since the study was read: start again with --fresh")
    halves = [
        np.stack([_decode(file, dataset.size, grey=dataset.grey) for file, _ in half])
        for half in (listed.train, listed.test)
    ]
    labels = [torch.tensor([label for _, label in half]) for half in (listed.train, listed.test)]
    return Images(
        images=scale_pixels(halves[0]),
        labels=labels[0],
        test_images=scale_pixels(halves[1]),
        test_labels=labels[1],
        classes=listed.classes,
        checksums={"files": dataset.found.sha256},
    )


def _decode(file: Path, size: int, *, grey: bool) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Decode an image to `(channels, size, size)`: scale its shorter side, and crop its longer side."""
    from PIL import Image, ImageOps

    try:
        # Warnings about damaged metadata are ignored, because the pixels are intact.
        with warnings.catch_warnings(action="ignore"), Image.open(file) as image:
            if image.width * image.height > SAFEST_PIXELS:
                raise DataError(
                    f"{file}: {image.width}×{image.height} pixels are too many: make the image smaller"
                )
            upright = ImageOps.exif_transpose(image).convert("L" if grey else "RGB")
            fitted = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, struct.error, Image.DecompressionBombError, *TORN) as error:
        raise DataError(f"{file}: cannot be read as an image ({error}): remove it") from None
    return move_channels_first(np.asarray(fitted)[None])[0]
