"""Ask git about a folder, on machines that have git."""

import subprocess
from pathlib import Path


def call_git(folder: Path, *arguments: str) -> str | None:
    """Run a git command in a folder, and return its output. None if the command fails or git is missing."""
    try:
        done = subprocess.run(
            ["git", "--literal-pathspecs", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return None if done.returncode else done.stdout
