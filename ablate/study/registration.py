"""Registration: the git commit that contained a study file before its first run."""

import subprocess
from collections.abc import Sequence
from pathlib import Path


def find_registration(path: Path, overrides: Sequence[str] = ()) -> tuple[str, str]:
    """Find the commit that contains the study file as it is now. Return its hash and its date.

    Both are empty if there is no such commit: the file is not in a git repository, it was changed since its
    last commit, or `key=value` overrides change more than the timing, on which no verdict depends.
    """
    changes = [text for text in overrides if not text.startswith("timing.")]
    if changes or _call_git(path, "diff", "--quiet", "HEAD", "--", path.name) is None:
        return "", ""
    found = _call_git(path, "log", "-1", "--format=%H %cs", "HEAD", "--", path.name)
    commit, _, date = (found or "").strip().partition(" ")
    return commit, date


def _call_git(path: Path, *arguments: str) -> str | None:
    """Return the output of a git command in the folder of a file. None if it fails or git is missing."""
    try:
        done = subprocess.run(
            ["git", "-C", str(path.resolve().parent), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return None if done.returncode else done.stdout
