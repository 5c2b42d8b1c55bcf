"""Make standard output and standard error accept every character, and never stop a command."""

import codecs
import os
import sys
import unicodedata
from typing import IO, Any

READABLE = {
    "×": "x", "…": "...", "–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-", "•": "*", "·": ".", "→": "->",
    "←": "<-", "≤": "<=", "≥": ">=", "≈": "~", "±": "+-", "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'",
    "µ": "u", "μ": "u", "²": "^2", "ß": "ss", "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ",
}  # fmt: skip
"""Replacements for characters that the encoding of a stream does not have."""
REPLACE = "ablate.replace"
"""The name of the error handler that makes these replacements."""


class _Stream:
    """A text stream that drops all output after its first error, so that the command can continue."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.error: OSError | None = None
        """The first write error. A pipe that its reader has closed does not count as an error."""

    def write(self, text: str) -> int:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            self._stream.write(text.encode(encoding, REPLACE).decode(encoding))
        except OSError as error:
            self._drop(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        """Send the rest of the output to the null device, so that Python does not write it again at exit."""
        if not isinstance(error, BrokenPipeError) and self.error is None:
            self.error = error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare() -> None:
    """Make the standard streams of this process safe to write to. Call this once, before all other code.

    A stream that the caller has closed is opened on the null device. Otherwise the next file that is opened,
    such as the record, would get the stream's file descriptor, and libraries would print into this file.
    """
    codecs.register_error(REPLACE, _replace)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # opens the smallest free descriptor, which is `number`
            os.set_inheritable(number, True)
        if name == "stdin":
            continue
        stream = getattr(sys, name)
        if stream is None:
            stream = os.fdopen(number, "w", encoding="utf-8", closefd=False)
        setattr(sys, name, _Stream(stream))


def find_error() -> OSError | None:
    """Flush both streams. Return the error by which output to standard output was lost, or None.

    A pipe that its reader has closed, for example `head`, is not an error.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return sys.stdout.error if isinstance(sys.stdout, _Stream) else None


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Replace the characters of an encoding error by characters that every encoding has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spell, error.object[error.start : error.end])), error.end


def _spell(character: str) -> str:
    """Return the character in ASCII: from the table, without its accents, or as an escape sequence."""
    if character in READABLE:
        return READABLE[character]
    if "\udc80" <= character <= "\udcff":  # Python's way to keep a byte of a name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain or character.encode("ascii", "backslashreplace").decode()
