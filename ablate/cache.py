"""The user's cache folder, for downloaded data and compiled engines."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path


def locate_cache() -> Path:
    """Return the user's cache folder. If it cannot be created, return a private folder for temporary files.

    A container often runs as a user without a home folder: the home is then missing, `/`, or read-only.
    """
    try:
        wanted = user_cache_path("ablate")
    except RuntimeError:  # no home folder; an older platformdirs returns `~/.cache/ablate` instead
        wanted = Path("~/.cache/ablate")
    usable = wanted.is_absolute() and (wanted.is_dir() or _can_make(wanted))
    return wanted if usable else _make_private_folder() or wanted


def _can_make(folder: Path) -> bool:
    """Whether this process could create the folder.

    The function does not create the folder, because many commands only look into the cache.
    """
    there = next(parent for parent in folder.parents if parent.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _make_private_folder() -> Path | None:
    """Create a folder that only this user can write to. Return None if this is impossible.

    The cache holds compiled code, so no other user must be able to write to it.
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
