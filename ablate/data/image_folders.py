"""List the files in folders of images, with one folder per class."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ablate.data.cell_text import require_printable, require_table_cell
from ablate.formatting import format_count

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
TEST_EVERY = 5
"""Without a folder of test images, every fifth image of a class, in order of names, is a test image."""
LEAST_TRAINING_IMAGES = 2
"""If there is a folder of test images, a class needs one image to train on and one to hold out."""


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """A person's own images: the class names, and the path and class index of every image."""

    classes: tuple[str, ...]
    train: tuple[tuple[Path, int], ...]
    test: tuple[tuple[Path, int], ...]


def list_image_folder(path: Path) -> ImageFolder:
    """List the images below `path`.

    The layout is `train/CLASS/…` and `test/CLASS/…`, or `CLASS/…` with every fifth image for testing.

    Raises:
        ValueError: there is no such folder, or it lacks two classes with enough images.
    """
    parts = [path / "train", path / "test"]
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder (a relative path starts at the current directory)")
    if all(part.is_dir() for part in parts):
        train, test = map(_list_by_class, parts)
        if set(test) - set(train):
            raise ValueError(f"{parts[1]}: the class {min(set(test) - set(train))} has no training images")
        listed = [
            [(file, n) for n, name in enumerate(train) for file in by.get(name, ())] for by in (train, test)
        ]
        if missing := sorted(set(train) - set(test)):
            raise ValueError(f"{parts[1]}: the class {missing[0]} has no test images")
        folder, least = parts[0], LEAST_TRAINING_IMAGES
    else:
        train = _list_by_class(path)
        folder, least = path, TEST_EVERY
        every = [(i, file, n) for n, name in enumerate(train) for i, file in enumerate(train[name], start=1)]
        listed = [
            [(file, n) for i, file, n in every if (i % TEST_EVERY == 0) is tested] for tested in (False, True)
        ]
    few = [(name, len(files)) for name, files in train.items() if len(files) < least]
    if len(train) > 1 and few:
        name, count = few[0]
        raise ValueError(
            f"{folder}: the class {name} has {format_count(count, 'image')}: add more, it needs "
            f"at least {least}"
        )
    if len(train) < 2 or not all(listed):
        raise ValueError(
            f"{path}: is not a folder of images by class: it needs at least two folders, each with at least "
            f"{least} images ({', '.join(IMAGE_ENDINGS)})"
        )
    return ImageFolder(classes=tuple(train), train=tuple(listed[0]), test=tuple(listed[1]))


def _list_by_class(path: Path) -> dict[str, list[Path]]:
    """List the image files of every class that has image files, sorted by name."""
    found = {}
    for folder in sorted(entry for entry in path.iterdir() if entry.is_dir()):
        # is_file excludes broken links, and pipes, which would block for ever.
        files = sorted(
            file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_ENDINGS and file.is_file()
        )
        if files:
            found[_read_class_name(folder)] = files
    return found


def _read_class_name(folder: Path) -> str:
    """Read the class name from the folder's name, and check that the name fits into a table."""
    try:
        return require_table_cell(require_printable(folder.name))
    except ValueError as error:
        raise ValueError(f"{str(folder)!r}: a class's name {error}") from None


def hash_files(root: Path, files: Sequence[Path]) -> str:
    """SHA-256 of the files' bytes and of their paths relative to `root`."""
    return _hash_unchanged(
        root, tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    )


@lru_cache(maxsize=8)  # because a study file is validated more than once
def _hash_unchanged(root: Path, files: tuple[tuple[Path, int, int], ...]) -> str:
    """Hash the files, or return the cached hash if all paths, sizes and times of change are the same."""
    together = hashlib.sha256()
    for file, size, _ in files:
        together.update(f"{os.fspath(file.relative_to(root))}\0{size}\0".encode())
        together.update(file.read_bytes())
    return together.hexdigest()
