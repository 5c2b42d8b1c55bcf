"""Convert the names of classes and files to text that every table, figure and terminal can show."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from ablate.data.cell_text import require_printable, require_table_cell

LONGEST_CLASS_NAME = 40
"""The maximum number of characters of a class name. Longer names are shortened to fit into figures."""
KEPT_AT_END = 15


def show(name: str | Path) -> str:
    """Make a path or name readable. A byte that is not UTF-8 becomes an escape sequence such as `\\xe9`."""
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")


def name_classes(raw: Iterable[str]) -> dict[str, str]:
    """Map each class's name to the name that is shown. Long names are shortened.

    Different classes keep different names.

    Raises:
        ValueError: a name has control characters, or a spreadsheet would read it as a formula.
    """
    names: dict[str, str] = {}
    for name in raw:
        text = show(name)
        try:
            require_table_cell(require_printable(text))
        except ValueError as error:
            raise ValueError(f"{text!r}: a class's name {error}") from None
        short = _shorten(text)
        number = 2
        while short in names.values():
            short, number = f"{_shorten(text, room=4)} ({number})", number + 1
        names[name] = short
    return names


def _shorten(text: str, room: int = 0) -> str:
    """Leave out the middle of a long text, so that `room` more characters can be appended."""
    if len(text) + room <= LONGEST_CLASS_NAME:
        return text
    return f"{text[: LONGEST_CLASS_NAME - KEPT_AT_END - 1 - room]}…{text[-KEPT_AT_END:]}"


def normalise(name: str) -> str:
    """Convert a name to Unicode's composed form (NFC).

    After the conversion, names that look the same usually compare as equal.
    """
    return unicodedata.normalize("NFC", name)


def list_similar(names: Iterable[str]) -> list[list[str]]:
    """List groups of similar names.

    The names of a group differ only in upper and lower case, in blanks at the start or end, or in how Unicode
    stores their accents.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[normalise(name).casefold().strip()].append(name)
    return [group for group in groups.values() if len(group) > 1]
