"""Errors that a person can correct. Each message is one line that ends with the remedy."""

import difflib
import math
import re
from collections.abc import Sequence
from pathlib import Path

LONGEST_MESSAGE = 1_000
MOST_MISTAKES = 20
"""At most this many mistakes of a study file are shown at once. Further mistakes are only counted."""
DISTRIBUTION = "ablate-studies"
CHECKOUT = Path(__file__).resolve().parents[1]


class AblateError(Exception):
    """An error that a person can correct. The command line prints one line and exits with code 2.

    A message can contain names from untrusted files. A character that would break the line, move the
    terminal's cursor or fail to encode is therefore replaced by its escape sequence.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_clean(message))


class StudyError(AblateError):
    """A study file asks for something that does not exist or is not possible.

    The error's text has one line for each mistake, in the order of the study file's lines. The text contains
    at most `MOST_MISTAKES` mistakes.
    """

    def __init__(self, *messages: str) -> None:
        lines = dict.fromkeys(map(_clean, messages))
        Exception.__init__(self, *sorted(lines, key=_find_line))

    @property
    def lines(self) -> tuple[str, ...]:
        """The mistakes, one line for each."""
        return tuple(map(str, self.args))

    def __str__(self) -> str:
        shown = self.lines[:MOST_MISTAKES]
        more = len(self.lines) - len(shown)
        return "\n".join([*shown, *([f"… and {more} more mistakes"] if more else [])])


class ModelError(AblateError):
    """A model's keywords describe an impossible network. `keyword` is the name of the wrong keyword."""

    def __init__(self, keyword: str, message: str) -> None:
        super().__init__(message)
        self.keyword = keyword

    def __reduce__(self) -> tuple[type["ModelError"], tuple[str, str]]:
        """Tell pickle how to copy this error from a worker process to its parent process."""
        return type(self), (self.keyword, str(self))


class DataError(AblateError):
    """A data set is missing or incomplete, or its content differs from the expected content."""


class FolderError(AblateError):
    """A report folder is missing, damaged or not writable, or another study or process is using it."""


def _clean(message: str) -> str:
    shown = escape_unprintable(message)
    if len(shown) > LONGEST_MESSAGE:  # keep the beginning, which names the place, and the end, the remedy
        shown = f"{shown[: LONGEST_MESSAGE // 2]} … {shown[-LONGEST_MESSAGE // 2 :]}"
    return shown


def _find_line(message: str) -> float:
    """Find the line number in the message. If there is none, return infinity: the message is sorted last."""
    place = re.search(r":(\d+): ", message)
    return int(place[1]) if place else math.inf


def escape_unprintable(text: str) -> str:
    """Escape the characters that break a line, move the cursor or cannot be encoded.

    For example, a byte of a file name that is not UTF-8 becomes `\\xff`.
    """
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # Python keeps a byte that is not UTF-8 as this character
        return f"\\x{ord(character) - 0xDC00:02x}"
    return ascii(character)[1:-1]


def format_error(error: BaseException) -> str:
    """Describe any exception in one line: its type and the first line of its message."""
    try:
        lines = str(error).splitlines()
    except Exception:  # noqa: BLE001  # the __str__ of a user's own exception class can fail
        lines = ["this error has no message, because its method __str__ fails"]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def install_command(extra: str) -> str:
    """Return the pip command that installs an optional extra.

    If ablate runs from a clone of the repository, the command installs from the clone, otherwise from PyPI.
    """
    if (CHECKOUT / "pyproject.toml").exists():
        return f"pip install -e '.[{extra}]'"
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Suggest the most similar known word. If no word is similar, list all known words."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
