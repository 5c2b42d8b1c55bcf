"""The folder of this user for downloaded data and compiled engines."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path


def locate_cache() -> Path:
    """The user's cache folder, or a private folder for temporary files if the cache cannot be made.

    A container often runs as a user without a home: the home is then missing, `/`, or read-only.
    """
    try:
        wanted = user_cache_path("ablate")
    except RuntimeError:  # there is no home; an older platformdirs answers `~/.cache/ablate`
        wanted = Path("~/.cache/ablate")
    usable = wanted.is_absolute() and (wanted.is_dir() or _can_make(wanted))
    return wanted if usable else _make_private_folder() or wanted


def _can_make(folder: Path) -> bool:
    """Whether this process can make the folder. The folder is not made, because many commands only read."""
    there = next(parent for parent in folder.parents if parent.exists())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _make_private_folder() -> Path | None:
    """Make a folder that only this user can write to. None if another user's is there, or on an error.

    The cache holds compiled code, which nobody else may put there.
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
