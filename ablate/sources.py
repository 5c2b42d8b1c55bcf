"""Where a data set's images come from: official files, torchvision's readers, a person's own folder."""

import contextlib
import gzip
import hashlib
import http.client
import importlib
import os
import socket
import struct
import sys
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from platformdirs import user_cache_path
from torch import Tensor

from ablate.datasets import FOLDER, DatasetSpec, digest, image_folder, named
from ablate.errors import DataError

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
TORCHVISION: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "kmnist": ("KMNIST", [{"train": True}, {"train": False}]),
    "qmnist": ("QMNIST", [{"what": "train"}, {"what": "test"}]),
    "emnist_balanced": ("EMNIST", [{"split": "balanced", "train": train} for train in (True, False)]),
    "emnist_digits": ("EMNIST", [{"split": "digits", "train": train} for train in (True, False)]),
    "cifar10": ("CIFAR10", [{"train": True}, {"train": False}]),
    "cifar100": ("CIFAR100", [{"train": True}, {"train": False}]),
}
"""What torchvision reads and checks for us: its class, and how to ask for the two halves."""
DIGITS_TEST_IMAGES = named("digits").facts.test_images
DIGITS_SEED = 0
SAFEST_PIXELS = 100_000_000
"""Of one image file: larger ones are refused, for a small file can unfold to any size."""
DOWNLOAD_TIMEOUT_SECONDS = 30
TORN = (AssertionError, ValueError, TypeError, KeyError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile)  # fmt: skip
"""What torchvision's readers and unpackers raise of files that are not what they take them for."""
_KEPT_ALIVE: list[object] = []
"""Operator declarations end with the object that made them."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images `(n, channels, height, width)` as float32 in [0, 1], labels `(n,)` as int64, on the CPU."""

    images: Tensor
    labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    checksums: dict[str, str]


def find(dataset: DatasetSpec, data_dir: Path | None, *, download: bool) -> Path | None:
    """The folder that holds the data set's files; None where they neither lie nor can be fetched.

    Looked for in `data_dir`, then `$ABLATE_DATA`, then the user's cache, in torchvision's layout. What needs
    no such folder (`needs_root`) has none.

    Raises:
        DataError: a folder that was named explicitly does not exist.
    """
    if not needs_root(dataset):
        return None
    for root in _roots(data_dir):
        if _lies_in(root, dataset.name):
            return root
    return _download(dataset.name) if download else None


def needs_root(dataset: DatasetSpec) -> bool:
    """Whether the data set lies in a folder of data sets: not the digits, not a person's own images."""
    return dataset.name not in ("digits", FOLDER)


def read(dataset: DatasetSpec, root: Path | None) -> Images:
    """The data set from `root`, as its files have it.

    Raises:
        DataError: a file is torn, is not the official one, or has changed since the study was read.
    """
    if dataset.name == "digits":
        return _digits()
    if dataset.name == FOLDER:
        return _own_images(dataset)
    if root is None:
        raise DataError(
            f"{dataset}: there is no folder to read it from: name it with --data-dir or ABLATE_DATA"
        )
    return _official_files(dataset.name, root) if dataset.name in FOLDERS else _by_torchvision(dataset, root)


def _official_files(name: str, root: Path) -> Images:
    folder = root / FOLDERS[name] / "raw"
    contents = [_read(folder, file, sha) for file, sha in zip(FILES, SHA256[name], strict=True)]
    arrays = [_idx(content) for content in contents]
    return Images(
        images=_scaled(arrays[0][:, None]),
        labels=torch.from_numpy(arrays[1].astype(np.int64)),
        test_images=_scaled(arrays[2][:, None]),
        test_labels=torch.from_numpy(arrays[3].astype(np.int64)),
        classes=FASHION_CLASSES if name == "fashion_mnist" else DIGIT_CLASSES,
        checksums=dict(zip(FILES, SHA256[name], strict=True)),
    )


def _by_torchvision(dataset: DatasetSpec, root: Path) -> Images:
    kind, halves = TORCHVISION[dataset.name]
    facts = dataset.facts
    try:
        train, test = (getattr(_torchvision_datasets(), kind)(root, **half) for half in halves)
    except (RuntimeError, OSError, *TORN) as error:
        raise DataError(f"{root}: {kind} cannot be read ({error}): delete it and fetch it again") from None
    arrays = [_channels_first(np.asarray(half.data)) for half in (train, test)]
    labels = [
        torch.as_tensor(half.targets).reshape(len(half.data), -1)[:, 0].long() for half in (train, test)
    ]
    for array, wanted in zip(arrays, (facts.train_images, facts.test_images), strict=True):
        if array.shape != (wanted, *facts.image_shape):
            raise DataError(
                f"{root}: {kind} has {len(array):,} images of {array.shape[1:]}, not {wanted:,} of "
                f"{facts.image_shape}: delete it and fetch it again"
            )
    sums = [hashlib.sha256(array.tobytes()).hexdigest() for array in arrays]
    return Images(
        images=_scaled(arrays[0]),
        labels=labels[0],
        test_images=_scaled(arrays[1]),
        test_labels=labels[1],
        classes=tuple(map(str, train.classes)),
        checksums={"train pixels": sums[0], "test pixels": sums[1]},
    )


def _own_images(dataset: DatasetSpec) -> Images:
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
        images=_scaled(halves[0]),
        labels=labels[0],
        test_images=_scaled(halves[1]),
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
    return _channels_first(np.asarray(fitted)[None])[0]


def _roots(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        if not data_dir.is_dir():
            raise DataError(f"--data-dir {data_dir}: no such folder: it should hold FashionMNIST/raw")
        yield data_dir
    if from_environment := os.environ.get("ABLATE_DATA"):
        yield Path(from_environment)
    yield _cache()


def _lies_in(root: Path, name: str) -> bool:
    """Whether all files of the data set are there; torchvision is asked about those it reads."""
    if name in FOLDERS:
        return all(_stored(root / FOLDERS[name] / "raw", file) for file in FILES)
    kind, halves = TORCHVISION[name]
    if not root.is_dir():
        return False
    try:
        for half in halves:
            getattr(_torchvision_datasets(), kind)(root, **half)
    except (RuntimeError, OSError):  # "Dataset not found"
        return False
    except TORN:
        return True  # it lies there; whoever reads it is told that it is torn
    return True


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


def _scaled(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    return torch.from_numpy(np.divide(pixels, 255, dtype=np.float32))


def _channels_first(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """`(n, height, width)` or `(n, height, width, channels)` as `(n, channels, height, width)`."""
    return pixels[:, None] if pixels.ndim == 3 else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def _digits() -> Images:
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
    return Images(
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
            kind, halves = TORCHVISION.get(name, (FOLDERS.get(name, ""), [{}]))
            with _archives_stay_inside():
                for asked in halves:
                    getattr(datasets, kind)(half, download=True, **asked)
            if name in FOLDERS:
                for file, sha in zip(FILES, SHA256[name], strict=True):
                    _read(Path(half, kind, "raw"), file, sha)
            for path in Path(half).rglob("*"):
                if path.is_file() and not path.is_symlink():
                    kept = _cache() / path.relative_to(half)
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    path.replace(kept)
    except (OSError, RuntimeError, DataError, http.client.HTTPException, *TORN):
        return None  # no network, a mirror that sends something else, or no place to keep it
    finally:
        socket.setdefaulttimeout(patience)
    return _cache()


@contextlib.contextmanager
def _archives_stay_inside() -> Iterator[None]:
    """Let no tar file put anything, by `../` or by links, outside the folder it is unpacked into.

    torchvision unpacks with Python's default, which before 3.14 trusts the archive wholly.
    """
    before = tarfile.TarFile.extraction_filter
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    try:
        yield
    finally:
        tarfile.TarFile.extraction_filter = before


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
