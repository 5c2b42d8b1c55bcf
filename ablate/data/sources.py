"""Find the files of a data set: in a given folder, in the cache, or by download."""

import contextlib
import http.client
import os
import socket
import tarfile
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from ablate.cache import locate_cache
from ablate.data.by_torchvision import (
    TORCHVISION,
    has_torchvision,
    import_torchvision_datasets,
    read_by_torchvision,
)
from ablate.data.datasets import OWN, DatasetSpec
from ablate.data.digits import read_digits
from ablate.data.emnist import EMNIST, contains_emnist, read_emnist
from ablate.data.images import Images
from ablate.data.official import FILES, FOLDERS, SHA256, find_file, read_checked, read_official
from ablate.data.own_images import read_own_images
from ablate.data.torn import TORN
from ablate.errors import DataError

DOWNLOAD_TIMEOUT_SECONDS = 30


def find_root(dataset: DatasetSpec, data_dir: Path | None, *, download: bool) -> Path | None:
    """Find the folder with the data set's files. Return None if they are missing and cannot be downloaded.

    The function searches `data_dir`, `$ABLATE_DATA` and the user's cache. These folders have torchvision's
    layout. The result is also None for a data set that needs no such folder (see `needs_root`).

    Raises:
        DataError: `data_dir` does not exist.
    """
    if not needs_root(dataset):
        return None
    for root in _list_roots(data_dir):
        if _contains(root, dataset.name):
            return root
    return _download(dataset.name) if download else None


def needs_root(dataset: DatasetSpec) -> bool:
    """Whether the data set must be found in a root folder, such as `$ABLATE_DATA`, or downloaded.

    The digits are part of scikit-learn, and a user's own images have a path of their own.
    """
    return dataset.name not in ("digits", *OWN)


def read_images(dataset: DatasetSpec, root: Path | None) -> Images:
    """Read the data set from the files below `root`.

    Raises:
        DataError: a file is damaged, differs from the official file, or has changed since the study was read.
    """
    if dataset.name == "digits":
        return read_digits()
    if dataset.name in OWN:
        return read_own_images(dataset)
    if root is None:
        raise DataError(f"{dataset}: no folder contains it: pass one with --data-dir or ABLATE_DATA")
    if dataset.name in EMNIST:
        return read_emnist(dataset, root)
    return (
        read_official(dataset.name, root) if dataset.name in FOLDERS else read_by_torchvision(dataset, root)
    )


def _list_roots(data_dir: Path | None) -> Iterator[Path]:
    """Yield the folders to search."""
    if data_dir is not None:
        if not data_dir.is_dir():
            raise DataError(
                f"--data-dir {data_dir}: no such folder: pass the folder that contains FashionMNIST/raw"
            )
        yield data_dir
    if from_environment := os.environ.get("ABLATE_DATA"):
        yield Path(from_environment)
    yield _locate_cache()


def _contains(root: Path, name: str) -> bool:
    """Whether all files of the data set are below `root`."""
    if name in FOLDERS:
        return all(find_file(root / FOLDERS[name] / "raw", file) for file in FILES)
    if name in EMNIST:
        return contains_emnist(root, name)
    kind, halves = TORCHVISION[name]
    if not root.is_dir():
        return False
    try:
        for half in halves:
            getattr(import_torchvision_datasets(), kind)(root, **half)
    except (RuntimeError, OSError):  # "Dataset not found"
        return False
    except TORN:
        return True  # the data set is present but damaged, and `read_images` reports the damage
    return True


def _locate_cache() -> Path:
    return locate_cache() / "data"


def _download(name: str) -> Path | None:
    """Download a data set into the user's cache through torchvision. Return None if the download fails."""
    if not has_torchvision():
        return None
    datasets = import_torchvision_datasets()
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
    try:
        _locate_cache().mkdir(parents=True, exist_ok=True)
        # The temporary folder is inside the cache, so moving a file to its final place is atomic.
        with tempfile.TemporaryDirectory(dir=_locate_cache()) as half, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind, halves = TORCHVISION.get(name, (FOLDERS.get(name, ""), [{}]))
            with _confine_archives():
                for asked in halves:
                    getattr(datasets, kind)(half, download=True, **asked)
            if name in FOLDERS:
                for file, sha in zip(FILES, SHA256[name], strict=True):
                    read_checked(Path(half, kind, "raw"), file, sha)
            for path in Path(half).rglob("*"):
                if path.is_file() and not path.is_symlink():
                    kept = _locate_cache() / path.relative_to(half)
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    path.replace(kept)
    except (OSError, RuntimeError, DataError, http.client.HTTPException, *TORN):
        return None  # no network, wrong content from a mirror, or no space on the disk
    finally:
        socket.setdefaulttimeout(patience)
    return _locate_cache()


@contextlib.contextmanager
def _confine_archives() -> Iterator[None]:
    """Prevent tar files from writing outside the target folder through `../` or links.

    torchvision unpacks archives with Python's default filter. Before Python 3.14, this filter does not check
    where the files of an archive are written.
    """
    before = tarfile.TarFile.extraction_filter
    tarfile.TarFile.extraction_filter = staticmethod(tarfile.data_filter)
    try:
        yield
    finally:
        tarfile.TarFile.extraction_filter = before
