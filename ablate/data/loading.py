"""Load a data set onto the device, and split it into training and validation images."""

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
from ablate.seeds import derive_seed

NOISE_PIXELS = 1 << 26
RESIZED_AT_ONCE = 4_096
"""How many images are resized at once. The limit keeps the memory for intermediate results small."""


@dataclass(frozen=True, kw_only=True)
class Dataset(images.Images):
    """The images and labels on one device, and the data set's name."""

    name: str

    def count_train_images(self) -> list[int]:
        """Count the images of each class, for training and validation together."""
        return self.labels.bincount(minlength=len(self.classes)).tolist()

    def count_test_images(self) -> list[int]:
        """Count the test images of each class."""
        return self.test_labels.bincount(minlength=len(self.classes)).tolist()

    def to(self, device: torch.device) -> "Dataset":
        """Copy the data set to `device`."""
        moved = {
            name: getattr(self, name).to(device)
            for name in ("images", "labels", "test_images", "test_labels")
        }
        return replace(self, **moved)

    def resize(self, input_size: int) -> "Dataset":
        """Copy the data set with images resized to `input_size` × `input_size`, on the same device."""
        return replace(
            self,
            images=resize_images(self.images, input_size),
            test_images=resize_images(self.test_images, input_size),
        )


def load(
    dataset: DatasetSpec, root: Path | None, device: torch.device, input_size: int | None = None
) -> Dataset:
    """Load the data set from `root` onto `device`.

    If `input_size` is given, the images are resized to this number of pixels a side.

    Raises:
        DataError: a file is damaged or differs from the official one.
    """
    return (
        _load_cached(dataset, root, device)
        if input_size is None
        else _load_resized(dataset, root, device, input_size)
    )


@lru_cache(maxsize=1)
def _load_cached(dataset: DatasetSpec, root: Path | None, device: torch.device) -> Dataset:
    read = sources.read_images(dataset, root)
    return Dataset(name=str(dataset), **vars(read)).to(device)


# Runs of two arms (compared networks) with different image sizes can alternate. So the images stay loaded in
# two sizes. More sizes could fill the memory.
@lru_cache(maxsize=2)
def _load_resized(dataset: DatasetSpec, root: Path | None, device: torch.device, input_size: int) -> Dataset:
    return _load_cached(dataset, root, device).resize(input_size)


def resize_images(images: Tensor, size: int) -> Tensor:
    """Resize to square images of `size` pixels a side, by bilinear interpolation with antialiasing."""
    if images.shape[-2:] == (size, size):
        return images
    made = torch.empty(*images.shape[:2], size, size, device=images.device)
    for part, into in zip(images.split(RESIZED_AT_ONCE), made.split(RESIZED_AT_ONCE), strict=True):
        into.copy_(F.interpolate(part, size=(size, size), mode="bilinear", antialias=True))
    return made


def prepare_trial_images(dataset: DatasetSpec, input_size: int | None) -> Dataset:
    """Load images to try a network with: a user's own images, or noise in the shape of a known data set.

    Noise replaces a known data set, because `ablate plan` must be fast. Reading the data would take a second.
    """
    if dataset.path is not None:
        return load(dataset, None, torch.device("cpu"), input_size)
    return make_noise(dataset.facts, input_size)


@lru_cache(maxsize=1)
def make_noise(facts: DatasetFacts, input_size: int | None = None, images: int = 4_096) -> Dataset:
    """Make random images in the shape of a data set, so that a network can be timed without the data.

    A quarter of the pixels is black and a quarter is white, as in many real images.
    """
    shape = facts.compute_shape(input_size)
    images = min(images, max(1, NOISE_PIXELS // prod(shape)))
    noise = (2 * torch.rand(images, *shape, generator=torch.Generator().manual_seed(0)) - 0.5).clamp_(0, 1)
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
    labels: Tensor, validation: int, seed: int, train_images: int | None = None, fixed_validation: int = 0
) -> tuple[Tensor, Tensor]:
    """Draw the indices of the images for training and for validation.

    The shapes are `(train_images,)` and `(validation,)`. If the data set has its own validation images, they
    are the last `fixed_validation` images. Otherwise the seed decides which images are for validation. Each
    class gives about the same share of its images. If `train_images` is None, all remaining images are for
    training. With the same seed, a smaller training set is a random subset of a larger one.
    """
    if fixed_validation:
        everything = torch.arange(len(labels))
        train, held_out = everything[:-fixed_validation], everything[-fixed_validation:]
    else:
        train, held_out = _split_stratified(labels, validation, seed)
    if train_images is not None:
        generator = torch.Generator().manual_seed(derive_seed(seed, "train images"))
        part = torch.randperm(len(train), generator=generator)[:train_images]
        train = train[part.sort().values]
    return train, held_out


def _split_stratified(labels: Tensor, validation: int, seed: int) -> tuple[Tensor, Tensor]:
    everything = np.arange(len(labels))
    if not validation:
        return torch.from_numpy(everything), torch.empty(0, dtype=torch.int64)
    # scikit-learn is imported only here, because the import takes a second. A process that only starts other
    # processes does not need it.
    from sklearn.model_selection import train_test_split

    train, held_out = train_test_split(
        everything,
        test_size=validation,
        stratify=labels.cpu().numpy(),
        random_state=derive_seed(seed, "split") % 2**32,
    )
    return torch.from_numpy(np.sort(train)), torch.from_numpy(np.sort(held_out))
