"""Read data sets through torchvision, also with a CPU-only build of torch."""

import hashlib
import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from ablate.data.datasets import DatasetSpec
from ablate.data.images import Images, move_channels_first, scale_pixels
from ablate.data.torn import TORN
from ablate.errors import DataError

TORCHVISION: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "kmnist": ("KMNIST", [{"train": True}, {"train": False}]),
    "qmnist": ("QMNIST", [{"what": "train"}, {"what": "test"}]),
    "emnist_balanced": ("EMNIST", [{"split": "balanced", "train": train} for train in (True, False)]),
    "emnist_digits": ("EMNIST", [{"split": "digits", "train": train} for train in (True, False)]),
    "cifar10": ("CIFAR10", [{"train": True}, {"train": False}]),
    "cifar100": ("CIFAR100", [{"train": True}, {"train": False}]),
}
"""Maps each data set that torchvision downloads to a class of torchvision and the arguments of this class.

The first arguments are for the training images, the second for the test images. ablate also reads the
downloaded files with these classes. EMNIST is the exception: `ablate/data/emnist.py` reads its files.
"""
_KEPT_ALIVE: list[object] = []
"""The objects that declared operators for torch.

torch forgets an operator when the object that declared it is deleted.
"""


def read_by_torchvision(dataset: DatasetSpec, root: Path) -> Images:
    """Read a data set through torchvision, and check the number and the shape of its images."""
    kind, halves = TORCHVISION[dataset.name]
    facts = dataset.facts
    try:
        train, test = (getattr(import_torchvision_datasets(), kind)(root, **half) for half in halves)
    except (RuntimeError, OSError, *TORN) as error:
        raise DataError(f"{root}: {kind} cannot be read ({error}): delete it and fetch it again") from None
    arrays = [move_channels_first(np.asarray(half.data)) for half in (train, test)]
    labels = [
        torch.as_tensor(half.targets).reshape(len(half.data), -1)[:, 0].long() for half in (train, test)
    ]
    for array, wanted in zip(arrays, (facts.train_images, facts.test_images), strict=True):
        if array.shape != (wanted, *facts.image_shape):
            raise DataError(
                f"{root}: {kind} has {len(array):,} images of shape {array.shape[1:]} instead of {wanted:,} "
                f"images of shape {facts.image_shape}: delete it and fetch it again"
            )
    sums = [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]
    return Images(
        images=scale_pixels(arrays[0]),
        labels=labels[0],
        test_images=scale_pixels(arrays[1]),
        test_labels=labels[1],
        classes=tuple(map(str, train.classes)),
        checksums={"train pixels": sums[0], "test pixels": sums[1]},
    )


def has_torchvision() -> bool:
    """Whether torchvision is installed.

    Fashion-MNIST, MNIST and a user's own images can be read without torchvision.
    """
    return find_spec("torchvision") is not None


def import_torchvision() -> ModuleType:
    """Import torchvision with its data sets and transforms, also with a CPU-only build of torch."""
    import_torchvision_datasets()
    return importlib.import_module("torchvision")


def import_torchvision_datasets() -> ModuleType:
    """Import torchvision.datasets, also with a CPU-only build of torch.

    The package torchvision on PyPI is built for CUDA. If torch is a CPU-only build, the operators of
    torchvision are missing. The import of torchvision needs two of these operators and fails ("operator
    torchvision::nms does not exist"). This function declares the two operators. Code that reads and downloads
    data sets does not call them.

    Raises:
        DataError: torchvision is not installed.
    """
    if not has_torchvision():
        raise DataError("this data set needs torchvision, which is not installed: pip install torchvision")
    try:
        from torchvision import datasets
    except RuntimeError:
        for module in [module for module in sys.modules if module.split(".")[0] == "torchvision"]:
            del sys.modules[module]
        operators = torch.library.Library("torchvision", "DEF")
        operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT_ALIVE.append(operators)
        from torchvision import datasets
    return datasets
