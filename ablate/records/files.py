"""Write a file atomically: completely or not at all."""

import os
from pathlib import Path

LONGEST_NAME = 50
"""A temporary file's name begins with at most this many characters of the final file name.

The limit is needed because a file system allows names of at most 255 bytes.
"""


def write_whole(path: Path, content: bytes) -> None:
    """Write a temporary file and then rename it. So no process ever reads a half-written file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name[:LONGEST_NAME]}.{os.getpid()}")
    try:
        with half.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # otherwise a power cut could leave an empty file under the final name
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
