"""Read Fashion-MNIST and MNIST from their official files, and check the checksums."""

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ablate.data.images import DIGIT_CLASSES, Images, scale_pixels
from ablate.errors import DataError

FASHION_CLASSES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")  # fmt: skip
FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
# The checksums are of the decompressed content, so they are valid for compressed and for plain files.
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


def read_official(name: str, root: Path) -> Images:
    """Read Fashion-MNIST or MNIST from the official files below `root`."""
    folder = root / FOLDERS[name] / "raw"
    contents = [read_checked(folder, file, sha) for file, sha in zip(FILES, SHA256[name], strict=True)]
    arrays = [decode_idx(content) for content in contents]
    return Images(
        images=scale_pixels(arrays[0][:, None]),
        labels=torch.from_numpy(arrays[1].astype(np.int64)),
        test_images=scale_pixels(arrays[2][:, None]),
        test_labels=torch.from_numpy(arrays[3].astype(np.int64)),
        classes=FASHION_CLASSES if name == "fashion_mnist" else DIGIT_CLASSES,
        checksums=dict(zip(FILES, SHA256[name], strict=True)),
    )


def find_file(folder: Path, file: str) -> Path | None:
    """Return the path of `file` or of `file.gz` in a folder. Return None if both are missing."""
    return next((path for path in (folder / file, folder / f"{file}.gz") if path.is_file()), None)


def read_content(folder: Path, file: str) -> bytes:
    """Read a file and decompress its content, without checking the content.

    Raises:
        DataError: the file is missing or damaged.
    """
    path = find_file(folder, file)
    if path is None:
        raise DataError(f"{folder / file}: is missing: pass the folder that contains it with --data-dir")
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error}): delete it and fetch it again") from None


def read_checked(folder: Path, file: str, sha256: str) -> bytes:
    """Read a file, decompress its content, and compare the content's checksum with `sha256`.

    Raises:
        DataError: the file is missing, damaged or differs from the official file.
    """
    content = read_content(folder, file)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(
            f"{find_file(folder, file)}: is not the official file (its SHA-256 differs): delete it and fetch it again"
        )
    return content


def decode_idx(content: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Decode an IDX file, the format of MNIST.

    The file consists of two zero bytes, the type of the numbers, the number of dimensions, the size of each
    dimension (big-endian), and the data.
    """
    rank = content[3]
    shape: Sequence[int] = np.frombuffer(content, ">u4", count=rank, offset=4).tolist()
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(tuple(shape))
