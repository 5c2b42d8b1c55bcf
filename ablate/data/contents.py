"""Where a person's own images are listed, and the checksum of the list and of all files."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from ablate.data.image_folders import ImageFolder, list_image_folder
from ablate.data.image_tables import find_metadata, list_image_table


def list_own_images(path: Path) -> ImageFolder:
    """List the images below a folder, or in a table.

    Raises:
        ValueError: there is no such folder or table, or it lacks two classes with enough images.
    """
    if path.is_file():
        return list_image_table([path])
    if path.is_dir() and (tables := find_metadata(path)):
        return list_image_table(tables)
    return list_image_folder(path)


def hash_contents(root: Path, listed: ImageFolder, hashes: Mapping[Path, str]) -> str:
    """SHA-256 of every image's part, class, path below the root, and content."""
    below = os.path.join(root.parent if root.is_file() else root, "")  # noqa: PTH118  # ends with a slash
    together = hashlib.sha256(repr(listed.classes).encode("utf-8", "backslashreplace"))
    parts = {"train": listed.train, "validation": listed.validation, "test": listed.test}
    for part, images in parts.items():
        for file, label in images:
            path = os.fspath(file)
            name = os.fsencode(path.removeprefix(below))
            together.update(f"{part}\0{label}\0{hashes[file]}\0".encode() + name + b"\0")
    return together.hexdigest()
