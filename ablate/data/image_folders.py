"""Folders of images, one folder a class: which files they hold."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ablate.data.cell_text import printable, table_cell

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
TEST_EVERY = 5
"""Without a folder of test images every fifth of a class's, by name, is one."""


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """A person's own images by class, in torchvision's layout; places and their classes' numbers."""

    classes: tuple[str, ...]
    train: tuple[tuple[Path, int], ...]
    test: tuple[tuple[Path, int], ...]


def image_folder(path: Path) -> ImageFolder:
    """The images below `path`: `train/CLASS/…` and `test/CLASS/…`, or `CLASS/…` with every fifth to test on.

    Raises:
        ValueError: there is no such folder, or it holds no two classes with images.
    """
    parts = [path / "train", path / "test"]
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder (it is looked for from where the command is run)")
    if all(part.is_dir() for part in parts):
        train, test = map(_by_class, parts)
        if set(test) - set(train):
            raise ValueError(f"{parts[1]}: the class {min(set(test) - set(train))} has no training images")
        listed = [
            [(file, n) for n, name in enumerate(train) for file in by.get(name, ())] for by in (train, test)
        ]
        if missing := sorted(set(train) - set(test)):
            raise ValueError(f"{parts[1]}: the class {missing[0]} has no images to test on")
        few = {name: files for name, files in train.items() if len(files) < 2}
    else:
        train = _by_class(path)
        few = {name: files for name, files in train.items() if len(files) < TEST_EVERY}
        every = [(i, file, n) for n, name in enumerate(train) for i, file in enumerate(train[name], start=1)]
        listed = [
            [(file, n) for i, file, n in every if (i % TEST_EVERY == 0) is tested] for tested in (False, True)
        ]
    if len(train) > 1 and few:
        name, files = next(iter(few.items()))
        raise ValueError(
            f"{path}: the class {name} has {len(files)} of the {TEST_EVERY} images it needs at least"
        )
    if len(train) < 2 or not all(listed):
        raise ValueError(
            f"{path}: is no folder of images by class: it needs two folders or more, each with images "
            f"({', '.join(IMAGE_ENDINGS)}), {TEST_EVERY} or more a class"
        )
    return ImageFolder(classes=tuple(train), train=tuple(listed[0]), test=tuple(listed[1]))


def _by_class(path: Path) -> dict[str, list[Path]]:
    found = {}
    for folder in sorted(entry for entry in path.iterdir() if entry.is_dir()):
        # A pipe of such a name would be waited for, a link to nowhere cannot be read.
        files = sorted(
            file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_ENDINGS and file.is_file()
        )
        if files:
            found[_class_name(folder)] = files
    return found


def _class_name(folder: Path) -> str:
    try:
        return table_cell(printable(folder.name))
    except ValueError as error:
        raise ValueError(f"{str(folder)!r}: a class's name {error}") from None


def digest(root: Path, files: Sequence[Path]) -> str:
    """SHA-256 of the files' places below `root` and their bytes."""
    return _digest(root, tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=8)  # a study file is validated more than once
def _digest(root: Path, files: tuple[tuple[Path, int, int], ...]) -> str:
    together = hashlib.sha256()
    for file, size, _ in files:
        together.update(f"{os.fspath(file.relative_to(root))}\0{size}\0".encode())
        together.update(file.read_bytes())
    return together.hexdigest()
