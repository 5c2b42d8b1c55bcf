"""Find the image files below a folder, and report which files are left out and why."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from ablate.data.class_names import show
from ablate.formatting import format_count

NO_PICTURES = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""Formats that Pillow recognises but cannot decode by itself."""
SYSTEM_FOLDERS = frozenset(
    {"__macosx", "__pycache__", "@eadir", "lost+found", "$recycle.bin", "system volume information"}
)
"""Folders that archives, file servers and operating systems add. The names are in lower case."""
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", "icon\r"})
"""Files that operating systems add. These files are left out without a message.

The names are in lower case.
"""
SHOWN_AT_MOST = 5


@dataclass
class LeftOut:
    """The files and folders that were found but not read."""

    folders: list[str] = field(default_factory=list)
    """Hidden folders, and folders that operating systems add."""
    links: list[str] = field(default_factory=list)
    """Links to folders with images that are already counted."""
    hidden_files: int = 0
    endings: Counter[str] = field(default_factory=Counter)
    """Maps an unknown file name ending to the number of files with this ending."""
    not_files: int = 0
    """Broken links, pipes and other entries that are not files."""

    def describe(self) -> Iterator[str]:
        """Write sentences about what was left out."""
        if self.folders:
            told = show_some(self.folders)
            yield f"Left out, because they are hidden or made by an operating system: {told}."
        if self.hidden_files:
            yield f"Left out: {format_count(self.hidden_files, 'hidden file')}."
        if self.endings:
            kinds = [
                f"{count:,} {ending or 'without ending'}" for ending, count in self.endings.most_common()
            ]
            yield f"Left out, because Pillow does not read files with these endings: {show_some(kinds)}."
        if self.not_files:
            yield f"Left out: {format_count(self.not_files, 'broken link or special file')}."

    def warn(self) -> Iterator[str]:
        """Write sentences about files that were left out, but that the user probably wants to use."""
        if self.links:
            told = show_some(self.links)
            yield f"Left out, because their images are already read from another folder: {told}."


@dataclass(frozen=True, kw_only=True)
class FoundImage:
    """An image file, and the names of the folders between the root and the file."""

    folders: tuple[str, ...]
    file: Path


@dataclass(frozen=True, kw_only=True)
class Tree:
    """All images below a folder in the order of their paths, all folders, and what was left out."""

    images: list[FoundImage]
    folders: set[tuple[str, ...]]
    left_out: LeftOut


@cache
def list_endings() -> frozenset[str]:
    """List the file name endings of the formats that Pillow can decode, in lower case: `.png`, `.gif`, …"""
    from PIL import Image

    Image.init()
    endings = Image.registered_extensions().items()
    return frozenset(e for e, form in endings if form in Image.OPEN and form not in NO_PICTURES)


def walk(root: Path) -> Tree:
    """Find all images below `root`.

    The function first reads all folders that it reaches without a link. Then it follows each link to a
    folder, unless the images of that folder are already listed. So an image is listed under its real folder,
    not under a link to this folder.
    """
    tree = Tree(images=[], folders=set(), left_out=LeftOut())
    visited: set[str] = set()
    links: list[tuple[tuple[str, ...], Path]] = []
    _walk_below(root, (), tree, visited, links)
    while links:
        links.sort()
        folders, link = links.pop(0)
        target = os.path.realpath(link)
        if _overlaps(target, visited):
            tree.left_out.links.append(f"{'/'.join(map(show, folders))} (a link to {show(target)})")
        else:
            _walk_below(link, folders, tree, visited, links)
    tree.images.sort(key=lambda image: (*image.folders, image.file.name))
    return tree


def show_some(items: list[str]) -> str:
    """List the first items, and count the others."""
    shown = ", ".join(items[:SHOWN_AT_MOST])
    return shown if len(items) <= SHOWN_AT_MOST else f"{shown} and {len(items) - SHOWN_AT_MOST:,} more"


def _overlaps(target: str, visited: set[str]) -> bool:
    """Whether the target was visited, or contains a folder that was visited."""
    return target in visited or any(one.startswith(target + os.sep) for one in visited)


def _walk_below(
    folder: Path,
    folders: tuple[str, ...],
    tree: Tree,
    visited: set[str],
    links: list[tuple[tuple[str, ...], Path]],
) -> None:
    """Add the images of one folder and of the folders below it. Collect links to folders in `links`."""
    visited.add(os.path.realpath(folder))
    if folders:
        tree.folders.add(folders)
    left_out, endings = tree.left_out, list_endings()
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        name, lower = entry.name, entry.name.lower()
        if lower in SYSTEM_FILES:
            continue
        if entry.is_dir():
            if lower.startswith(".") or lower in SYSTEM_FOLDERS:
                left_out.folders.append("/".join(map(show, (*folders, name))))
            elif entry.is_symlink():
                links.append(((*folders, name), folder / name))
            else:
                _walk_below(folder / name, (*folders, name), tree, visited, links)
        elif not entry.is_file():
            left_out.not_files += 1
        elif name.startswith("."):
            left_out.hidden_files += 1
        elif (ending := os.path.splitext(lower)[1]) in endings:  # noqa: PTH122  # faster than a Path
            tree.images.append(FoundImage(folders=folders, file=folder / name))
        elif folders:  # other files directly in the root, such as a README, need no message
            left_out.endings[show(ending)] += 1
