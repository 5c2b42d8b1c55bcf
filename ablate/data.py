"""A data set as tensors on the device, split by seed, every file of it checked."""

import gzip
import hashlib
import importlib
import os
import socket
import sys
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from platformdirs import user_cache_path
from torch import Tensor

from ablate.errors import DataError
from ablate.seeds import derived_seed
from ablate.spec import DATASETS

FASHION_CLASSES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")  # fmt: skip
DIGIT_CLASSES = tuple("0123456789")
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# Of the decompressed files, so that both spellings on disk are held to the same content.
SHA256 = {
    "fashion_mnist": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}
FOLDERS = {"fashion_mnist": "FashionMNIST", "mnist": "MNIST"}
DIGITS_TEST_IMAGES = DATASETS["digits"].test_images
DIGITS_SEED = 0
DOWNLOAD_TIMEOUT_SECONDS = 30
_KEPT_ALIVE: list[object] = []
"""Operator declarations end with the object that made them."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Images `(n, channels, height, width)` as float32 in [0, 1] and labels `(n,)` as int64."""

    name: str
    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    checksums: dict[str, str]

    def to(self, device: torch.device) -> "Dataset":
        """The same with all tensors resident on `device`."""
        moved = {
            name: getattr(self, name).to(device)
            for name in ("images", "labels", "test_images", "test_labels")
        }
        return Dataset(name=self.name, classes=self.classes, checksums=self.checksums, **moved)


def find(name: str, data_dir: Path | None, *, download: bool) -> Path | None:
    """The folder that holds the data set's files; None where they neither lie nor can be fetched.

    Looked for in `data_dir`, then `$ABLATE_DATA`, then the user's cache, in torchvision's layout.

    Raises:
        DataError: a folder that was named explicitly does not exist.
    """
    if name == "digits":
        return None
    for root in _roots(data_dir):
        folder = root / FOLDERS[name] / "raw"
        if all(_stored(folder, file) for file in FILES):
            return root
    return _download(name) if download else None


@lru_cache(maxsize=1)
def load(name: str, root: Path | None, device: torch.device) -> Dataset:
    """The data set from `root` (None for digits, which scikit-learn brings along), resident on `device`.

    Raises:
        DataError: a file is torn or is not the official one.
    """
    if name == "digits":
        return _digits().to(device)
    if root is None:
        raise DataError(f"{name}: there is no folder to read it from: name it with --data-dir or ABLATE_DATA")
    return _from_files(name, root).to(device)


def _from_files(name: str, root: Path) -> Dataset:
    folder = root / FOLDERS[name] / "raw"
    contents = [_read(folder, file, sha) for file, sha in zip(FILES, SHA256[name], strict=True)]
    arrays = [_idx(content) for content in contents]
    return Dataset(
        name=name,
        images=_scaled(arrays[0]),
        labels=torch.from_numpy(arrays[1].astype(np.int64)),
        test_images=_scaled(arrays[2]),
        test_labels=torch.from_numpy(arrays[3].astype(np.int64)),
        classes=FASHION_CLASSES if name == "fashion_mnist" else DIGIT_CLASSES,
        checksums=dict(zip(FILES, SHA256[name], strict=True)),
    )


def synthetic(name: str, images: int = 4_096) -> Dataset:
    """Noise in the shape of a data set, to time a network on before its data is at hand."""
    facts = DATASETS[name]
    noise = torch.rand(images, *facts.image_shape, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(images) % facts.classes
    classes = tuple(map(str, range(facts.classes)))
    return Dataset(
        name=name,
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


def _roots(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        if not data_dir.is_dir():
            raise DataError(f"--data-dir {data_dir}: no such folder: it should hold FashionMNIST/raw")
        yield data_dir
    if from_environment := os.environ.get("ABLATE_DATA"):
        yield Path(from_environment)
    yield _cache()


def _cache() -> Path:
    return user_cache_path("ablate") / "data"


def _stored(folder: Path, file: str) -> Path | None:
    return next((path for path in (folder / file, folder / f"{file}.gz") if path.is_file()), None)


def _read(folder: Path, file: str, sha256: str) -> bytes:
    path = _stored(folder, file)
    if path is None:
        raise DataError(f"{folder / file}: is gone: name the folder that holds it with --data-dir")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error}): delete it and fetch it again") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(
            f"{path}: is not the official file (its SHA-256 differs): delete it and fetch it again"
        )
    return content


def _idx(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The array of an IDX file: two zero bytes, type, rank, big-endian sizes, data (LeCun's format)."""
    rank = content[3]
    shape: Sequence[int] = np.frombuffer(content, ">u4", count=rank, offset=4).tolist()
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(tuple(shape))


def _scaled(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.divide(pixels, 255, dtype=np.float32)).unsqueeze(1)


def _digits() -> Dataset:
    """scikit-learn's 1,797 handwritten digits, 8×8 in 16 greys, enlarged to 28×28."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    images = torch.from_numpy(bunch.data.astype(np.float32) / 16).reshape(-1, 1, 8, 8)
    images = torch.nn.functional.interpolate(images, size=(28, 28), mode="bilinear", align_corners=False)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    rest, test = train_test_split(
        np.arange(len(labels)), test_size=DIGITS_TEST_IMAGES, stratify=bunch.target, random_state=DIGITS_SEED
    )
    rest, test = np.sort(rest), np.sort(test)
    return Dataset(
        name="digits",
        images=images[rest].contiguous(),
        labels=labels[rest],
        test_images=images[test].contiguous(),
        test_labels=labels[test],
        classes=DIGIT_CLASSES,
        checksums={"pixels": hashlib.sha256(bunch.data.tobytes()).hexdigest()},
    )


def _download(name: str) -> Path | None:
    """Fetch into the user's cache through torchvision, whole or not at all; None without a network."""
    datasets = _torchvision_datasets()
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
    try:
        _cache().mkdir(parents=True, exist_ok=True)
        # Beside its final place, so that moving a file there is one step on one file system.
        with tempfile.TemporaryDirectory(dir=_cache()) as half, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            getattr(datasets, FOLDERS[name])(half, download=True)
            fetched, kept = (Path(root, FOLDERS[name], "raw") for root in (half, _cache()))
            for file, sha in zip(FILES, SHA256[name], strict=True):
                _read(fetched, file, sha)
            kept.mkdir(parents=True, exist_ok=True)
            for path in fetched.iterdir():
                path.replace(kept / path.name)
    except (OSError, RuntimeError, DataError):
        return None  # no network, a mirror that sends something else, or no place to keep it
    finally:
        socket.setdefaulttimeout(patience)
    return _cache()


def torchvision() -> ModuleType:
    """torchvision itself, with its data sets and transforms, beside a CPU-only torch as well."""
    _torchvision_datasets()
    return importlib.import_module("torchvision")


def _torchvision_datasets() -> ModuleType:
    """torchvision.datasets, importable beside a CPU-only torch as well.

    The registry's torchvision is built for CUDA; beside CPU torch it finds none of its operators and its
    import fails ("operator torchvision::nms does not exist"). Declaring the two that it gives shapes to at
    import is all that downloading needs.
    """
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
