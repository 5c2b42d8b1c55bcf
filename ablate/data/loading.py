"""A data set as tensors on the device, split by seed."""

from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.data import images, sources
from ablate.data.datasets import DatasetFacts, DatasetSpec
from ablate.seeds import derived_seed

NOISE_PIXELS = 1 << 26
RESIZED_AT_ONCE = 4_096
"""Images, so that what is between two sizes takes little memory."""


@dataclass(frozen=True, kw_only=True)
class Dataset(images.Images):
    """The same resident on one device, and what it is called."""

    name: str

    def to(self, device: torch.device) -> "Dataset":
        """The same with all tensors resident on `device`."""
        moved = {
            name: getattr(self, name).to(device)
            for name in ("images", "labels", "test_images", "test_labels")
        }
        return replace(self, **moved)

    def at(self, input_size: int) -> "Dataset":
        """The same with square images of so many pixels a side, where they lie."""
        return replace(
            self,
            images=resized(self.images, input_size),
            test_images=resized(self.test_images, input_size),
        )


def load(
    dataset: DatasetSpec, root: Path | None, device: torch.device, input_size: int | None = None
) -> Dataset:
    """The data set from `root`, resident on `device`, resized once if an `input_size` is given.

    Raises:
        DataError: a file is torn or is not the official one.
    """
    return _loaded(dataset, root, device) if input_size is None else _sized(dataset, root, device, input_size)


@lru_cache(maxsize=1)
def _loaded(dataset: DatasetSpec, root: Path | None, device: torch.device) -> Dataset:
    read = sources.read(dataset, root)
    return Dataset(name=str(dataset), **vars(read)).to(device)


# Arms of a study may differ in size and take turns; more than two sizes would fill the memory.
@lru_cache(maxsize=2)
def _sized(dataset: DatasetSpec, root: Path | None, device: torch.device, input_size: int) -> Dataset:
    return _loaded(dataset, root, device).at(input_size)


def resized(images: Tensor, size: int) -> Tensor:
    """Square images of so many pixels a side: bilinear, averaging over what falls together in small ones."""
    if images.shape[-2:] == (size, size):
        return images
    made = torch.empty(*images.shape[:2], size, size, device=images.device)
    for part, into in zip(images.split(RESIZED_AT_ONCE), made.split(RESIZED_AT_ONCE), strict=True):
        into.copy_(F.interpolate(part, size=(size, size), mode="bilinear", antialias=True))
    return made


def synthetic(facts: DatasetFacts, input_size: int | None = None, images: int = 4_096) -> Dataset:
    """Noise in the shape of a data set, to time a network on before its data is at hand."""
    shape = facts.shape_at(input_size)
    images = min(images, max(1, NOISE_PIXELS // prod(shape)))
    noise = torch.rand(images, *shape, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(images) % facts.classes
    classes = tuple(map(str, range(facts.classes)))
    return Dataset(
        name="noise",
        images=noise,
        labels=labels,
        test_images=noise[:0],
        test_labels=labels[:0],
        classes=classes,
        checksums={},
    )


def split(
    labels: Tensor, validation: int, seed: int, train_images: int | None = None
) -> tuple[Tensor, Tensor]:
    """Indices to train and to validate on, `(train_images,)` and `(validation,)`.

    Validation is stratified by label; fewer training images are a random part of more of them.
    """
    train, held_out = _stratified(labels, validation, seed)
    if train_images is not None:
        generator = torch.Generator().manual_seed(derived_seed(seed, "train images"))
        part = torch.randperm(len(train), generator=generator)[:train_images]
        train = train[part.sort().values]
    return train, held_out


def _stratified(labels: Tensor, validation: int, seed: int) -> tuple[Tensor, Tensor]:
    everything = np.arange(len(labels))
    if not validation:
        return torch.from_numpy(everything), torch.empty(0, dtype=torch.int64)
    # A second's import, which the process that only conducts a study can do without.
    from sklearn.model_selection import train_test_split

    train, held_out = train_test_split(
        everything,
        test_size=validation,
        stratify=labels.cpu().numpy(),
        random_state=derived_seed(seed, "split") % 2**32,
    )
    return torch.from_numpy(np.sort(train)), torch.from_numpy(np.sort(held_out))
