"""The user's cache folder, for downloaded data and compiled engines."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path


def locate_cache() -> Path:
    """Return the user's cache folder. If this folder cannot be created, return a private temporary one.

    In a container, the user often has no home folder, or has no permission to write into the home folder.
    """
    try:
        wanted = user_cache_path("ablate")
    except RuntimeError:  # there is no home folder. Older versions of platformdirs return the path below
        wanted = Path("~/.cache/ablate")
    usable = wanted.is_absolute() and (wanted.is_dir() or _can_make(wanted))
    return wanted if usable else _make_private_folder() or wanted


def _can_make(folder: Path) -> bool:
    """Return whether this process could create the folder. This function does not create the folder."""
    there = next(parent for parent in folder.parents if parent.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _make_private_folder() -> Path | None:
    """Create a temporary folder that only this user can write to. Return None if this is impossible.

    The cache contains compiled code. If other users could write to the cache, they could replace this code.
    """
    if not hasattr(os, "getuid"):
        return None
    with suppress(OSError):
        folder = Path(tempfile.gettempdir(), f"ablate-{os.getuid()}")
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
            return folder
    return None
