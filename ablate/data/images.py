"""Images and labels as tensors, and functions that convert pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

DIGIT_CLASSES = tuple("0123456789")


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images and labels of a data set, on the CPU.

    The images `(n, channels, height, width)` are float32 from 0 to 1. The labels `(n,)` are int64.
    """

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    checksums: dict[str, str]
    fixed_validation: int = 0
    """How many images at the end of `images` are for validation, with every seed.

    0 if each seed draws its own validation images.
    """
    read_as: tuple[str, ...] = ()
    """Sentences that say how a user's own images were read."""
    cautions: tuple[str, ...] = ()
    """Sentences about what is suspicious in a user's own images."""


def scale_pixels(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    """Convert pixels from 0 to 255 to float32 from 0 to 1."""
    return torch.from_numpy(np.divide(pixels, 255, dtype=np.float32))


def move_channels_first(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Convert `(n, height, width)` or `(n, height, width, channels)` to `(n, channels, height, width)`."""
    return pixels[:, None] if pixels.ndim == 3 else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
