"""Names of arms and parts as pages show them. The names come from tables that anybody may have written."""

import re
import unicodedata
from collections.abc import Iterable

from ablate.errors import escape_unprintable

LONGEST_NAME = 60
FORMULA = re.compile(r"[=@\t\r]|[+-].*[(|!]", re.DOTALL)
"""The beginning of a cell that a spreadsheet program could run."""
MISSING_NAMES = frozenset(["nan", "nat", "<na>"])
RIGHT_TO_LEFT = ("R", "AL", "AN")


def normalise_name(name: str) -> str:
    """Write a name in the form in which names are compared.

    Spaces at the start and end are removed. A letter and its accent become one character (Unicode's form
    NFC). Words such as `nan`, with which programs mark a missing name, become ''. `None` stays, because an
    arm can have this name.
    """
    written = unicodedata.normalize("NFC", name).strip()
    return "" if written.lower() in MISSING_NAMES else written


def is_hostile(name: str) -> bool:
    """Return whether a name must be escaped, cut or quoted before ablate shows or writes it."""
    return name != escape_unprintable(name) or len(name) > LONGEST_NAME or bool(FORMULA.match(name))


def is_right_to_left(name: str) -> bool:
    """Return whether a name has letters that are written from right to left."""
    return any(unicodedata.bidirectional(character) in RIGHT_TO_LEFT for character in name)


def make_shown_names(names: Iterable[str]) -> dict[str, str]:
    """Make the names that pages, figures and the terminal show: printable, short, and all different."""
    shown: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        text = " ".join(escape_unprintable(name.strip()).split())
        if len(text) > LONGEST_NAME:
            text = f"{text[:LONGEST_NAME]}…"
        number, unique = 2, text
        while unique in taken:
            unique, number = f"{text} ({number})", number + 1
        taken.add(unique)
        shown[name] = unique
    return shown


def quote_formula(cell: object) -> object:
    """Put an apostrophe before a text that a spreadsheet program could run as a formula."""
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell
