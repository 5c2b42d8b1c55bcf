"""List a user's own images on the disk, and compute the checksums of the list and of the files."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ablate.data.image_cache import hash_files
from ablate.data.image_folders import ImageFolder, list_image_folder
from ablate.data.image_tables import find_metadata, list_image_table


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The images below a folder or in a table, and their checksums."""

    listed: ImageFolder
    checksums: tuple[str, ...]
    """The SHA-256 of every listed file, in the order of `listed.files`."""
    sha256: str
    """One checksum over the part, class, path and bytes of all images."""


_latest: dict[Path, Contents] = {}
"""What this process read last. It is kept because listing 50,000 images again would take a second."""


def read_contents(root: Path) -> Contents:
    """List the images below a folder or in a table, and compute the checksums of changed files.

    Raises:
        ValueError: there is no such folder or table, or there are not two classes with enough images.
        OSError: a folder or a file cannot be read.
    """
    listed = _list_own_images(root)
    hashes = hash_files(root, listed.files)
    checksums = tuple(hashes[file] for file in listed.files)
    contents = Contents(listed=listed, checksums=checksums, sha256=_hash_contents(root, listed, hashes))
    _latest.clear()
    _latest[root] = contents
    return contents


def recall_contents(root: Path, sha256: str) -> Contents | None:
    """Return what this process read last below `root`, if its checksum is `sha256`. Otherwise return None.

    The files on the disk may have changed since then.
    """
    contents = _latest.get(root)
    return contents if contents is not None and contents.sha256 == sha256 else None


def _list_own_images(path: Path) -> ImageFolder:
    """List the images below a folder, or in a table."""
    if path.is_file():
        return list_image_table([path])
    if path.is_dir() and (tables := find_metadata(path)):
        return list_image_table(tables)
    return list_image_folder(path)


def _hash_contents(root: Path, listed: ImageFolder, hashes: Mapping[Path, str]) -> str:
    """Compute one SHA-256 over the part, class, path below the root, and content of all images."""
    below = os.path.join(root.parent if root.is_file() else root, "")  # noqa: PTH118  # ends with a slash
    together = hashlib.sha256(repr(listed.classes).encode("utf-8", "backslashreplace"))
    parts = {"train": listed.train, "validation": listed.validation, "test": listed.test}
    for part, images in parts.items():
        for file, label in images:
            path = os.fspath(file)
            name = os.fsencode(path.removeprefix(below))
            together.update(f"{part}\0{label}\0{hashes[file]}\0".encode() + name + b"\0")
    return together.hexdigest()
