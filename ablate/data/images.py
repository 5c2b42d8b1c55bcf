"""Images and labels as tensors on the CPU, whatever file they come from."""

import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

DIGIT_CLASSES = tuple("0123456789")
TORN = (AssertionError, ValueError, TypeError, KeyError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile)  # fmt: skip
"""What torchvision's readers and unpackers raise of files that are not what they take them for."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images `(n, channels, height, width)` as float32 in [0, 1], labels `(n,)` as int64, on the CPU."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    checksums: dict[str, str]


def scaled(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.divide(pixels, 255, dtype=np.float32))


def channels_first(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """`(n, height, width)` or `(n, height, width, channels)` as `(n, channels, height, width)`."""
    return pixels[:, None] if pixels.ndim == 3 else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
