"""Open the files of tables."""

import gzip
from pathlib import Path
from typing import IO

from ablate.errors import AblateError

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
"""The first bytes of a gzip file, and of a zip archive. An Excel workbook is a zip archive."""


def open_text(path: Path) -> IO[str]:
    """Open a text file in UTF-8. The file can be compressed by gzip, and can begin with a byte order mark.

    Raises:
        AblateError: the file is a zip archive, such as an Excel workbook.
    """
    if is_compressed(path):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def is_compressed(path: Path) -> bool:
    """Return whether the file is compressed by gzip, whatever its name is.

    Raises:
        AblateError: the file is a zip archive, such as an Excel workbook.
    """
    with path.open("rb") as file:
        start = file.read(len(ZIP))
    if start == ZIP:
        raise AblateError(f"{path}: is a zip archive or an Excel workbook: save the table as CSV")
    return start.startswith(GZIP)
