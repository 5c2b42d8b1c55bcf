"""List a user's own images, and compute a checksum of each image file and of the whole list."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ablate.data.class_names import show
from ablate.data.hub_cache import open_from_hub, tell_snapshot
from ablate.data.hugging_face import (
    OpenSet,
    contains_tables,
    is_table_with_images,
    open_saved,
    open_tables,
    was_saved,
)
from ablate.data.image_cache import hash_files
from ablate.data.image_folders import ImageFolder, list_image_folder
from ablate.data.image_tables import find_metadata, list_image_table
from ablate.data.place import Place
from ablate.data.stored_images import list_stored_images


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The images below a folder or in a table, and their checksums."""

    listed: ImageFolder
    checksums: tuple[str, ...]
    """The SHA-256 of every listed file, in the order of `listed.files`."""
    sha256: str
    """One SHA-256 over the part (training, validation, test), class, path and bytes of each image."""

    def read_in_order(self) -> Iterator[tuple[int, Path, bytes | None]]:
        """Yield each image's index in `listed.files`, the image's path, and the bytes of the image file.

        The bytes are None if the images are files of their own. Images inside tables are read in the order of
        the tables, because reading a table in another order takes much longer.
        """
        files = self.listed.files
        if self.listed.stored is None:
            yield from ((number, file, None) for number, file in enumerate(files))
            return
        numbers = {file: number for number, file in enumerate(files)}
        for file, _, content in self.listed.stored.read():
            if file in numbers:
                yield numbers[file], Path(self.listed.stored.place, file), content


_latest: dict[Place, Contents] = {}
"""The place (folder, table or data set of the hub) that this process read last, with its contents.

The contents are kept, because listing 50,000 images again takes a second.
"""


def read_contents(place: Place) -> Contents:
    """List the images at a place, and compute their checksums.

    An image file is not read again if it has not changed since an earlier command.

    Raises:
        ValueError: the folder or table does not exist, or fewer than two classes have enough images.
        OSError: a folder or a file cannot be read.
    """
    root, listed, hashes = _list_own_images(place)
    checksums = tuple(hashes[file] for file in listed.files)
    contents = Contents(listed=listed, checksums=checksums, sha256=_hash_contents(root, listed, hashes))
    _latest.clear()
    _latest[place] = contents
    return contents


def recall_contents(place: Place, sha256: str) -> Contents | None:
    """Return the contents that this process read last, if they have the given place and checksum.

    Otherwise return None. The function does not read the disk, so the files can have changed in the meantime.
    """
    contents = _latest.get(place)
    return contents if contents is not None and contents.sha256 == sha256 else None


def _list_own_images(place: Place) -> tuple[Path, ImageFolder, Mapping[Path, str]]:
    """List the images at a place.

    Return three things: the folder or table, the list of images, and the SHA-256 of each image file.
    """
    if not place.hub:
        return Path(place.path), *_list_below(Path(place.path), place)
    found = open_from_hub(place.path, place.config)
    if isinstance(found, OpenSet):
        return Path(place.path), *list_stored_images(place, found)
    listed, hashes = _list_below(found, place)
    told = tell_snapshot(place.path, found)
    return found, replace(listed, read_as=(told, *listed.read_as)), hashes


def _list_below(path: Path, place: Place) -> tuple[ImageFolder, Mapping[Path, str]]:
    """List the images of a folder or table. Return the list and the SHA-256 of each image file."""
    if was_saved(path):
        return list_stored_images(place, open_saved(path))
    tables = find_metadata(path) if path.is_dir() else []
    if is_table_with_images(path) if path.is_file() else not tables and contains_tables(path):
        return list_stored_images(place, open_tables(path, place.config, place.path if place.hub else None))
    if told := [key for key in ("config", "image", "label") if getattr(place, key) is not None]:
        raise ValueError(f"{show(place.path)}: has no images inside tables: remove the key {told[0]}")
    from_table = path.is_file() or tables
    listed = list_image_table(tables or [path]) if from_table else list_image_folder(path)
    return listed, hash_files(path, listed.files)


def _hash_contents(root: Path, listed: ImageFolder, hashes: Mapping[Path, str]) -> str:
    """Compute one SHA-256 over the part, class, path below the root, and content of each image."""
    below = os.path.join(root.parent if root.is_file() else root, "")  # noqa: PTH118  # ends with a slash
    together = hashlib.sha256(repr(listed.classes).encode("utf-8", "backslashreplace"))
    parts = {"train": listed.train, "validation": listed.validation, "test": listed.test}
    for part, images in parts.items():
        for file, label in images:
            path = os.fspath(file)
            name = os.fsencode(path.removeprefix(below))
            together.update(f"{part}\0{label}\0{hashes[file]}\0".encode() + name + b"\0")
    return together.hexdigest()
