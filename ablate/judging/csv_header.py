"""Read the header of a CSV file: its separator, and the names of its columns."""

import csv
import io
import re
from pathlib import Path
from typing import IO

from ablate.errors import AblateError
from ablate.judging.files import open_text

SEPARATORS = (",", ";", "\t", "|")
LONGEST_HEADER = 1_000_000


def read_header(path: Path) -> tuple[str, list[str]]:
    """Return the separator and the names of the columns of a CSV file.

    The separator is the one that splits the first line into most fields.

    Raises:
        AblateError: the file is empty, or its first line is no header.
    """
    with open_text(path) as file:
        line = _read_line(file)
        second = _read_line(file)
    if not line:
        raise AblateError(f"{path}: the file is empty: give a table with a header")
    if re.fullmatch(r'"?sep=."?', line.strip(), re.IGNORECASE):
        raise AblateError(f"{path}: the first line '{line.strip()}' is no header: delete it")
    split: dict[str, list[str]] = {}
    for separator in SEPARATORS:
        try:
            split[separator] = next(csv.reader(io.StringIO(line, newline=""), delimiter=separator))
        except csv.Error:  # with a wrong separator, a field can be longer than `csv.field_size_limit()`
            continue
    if not split:
        raise AblateError(
            f"{path}: the first line has a field of more than {csv.field_size_limit():,} letters: give a "
            "table whose first line names its columns"
        )
    if line.startswith("#") and not any(second.count(one) == line.count(one) > 0 for one in SEPARATORS):
        raise AblateError(f"{path}: the first line is a comment: delete all lines before the header")
    best = max(split, key=lambda separator: len(split[separator]))
    return best, split[best]


def _read_line(file: IO[str]) -> str:
    """Read the next line that is not blank. Return an empty text at the end of the file."""
    line = file.readline(LONGEST_HEADER)
    while line and not line.strip():
        line = file.readline(LONGEST_HEADER)
    return line
