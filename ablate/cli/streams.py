"""Standard output and error that take every character and never stop a command."""

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
"""What is written in place of a character that the encoding of a stream lacks."""
REPLACE = "ablate.replace"
"""The name of the error handler that writes a readable text in place of such a character."""


class _Stream:
    """A text stream. After its first error it drops what is written, so that the command can continue."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.error: OSError | None = None
        """The first error on writing, but for a reader that has gone away."""

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
        """Let the rest of the output go nowhere, as the buffer is written again later."""
        if not isinstance(error, BrokenPipeError) and self.error is None:
            self.error = error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare() -> None:
    """Make the standard streams of this process safe to write to. Call this once, before all other code.

    A stream that the caller has closed goes nowhere. Otherwise the next file that is opened, such as the
    record, would get the stream's number, and libraries would print into it.
    """
    codecs.register_error(REPLACE, _replace)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the smallest free number, which is this one
            os.set_inheritable(number, True)
        if name == "stdin":
            continue
        stream = getattr(sys, name)
        if stream is None:
            stream = os.fdopen(number, "w", encoding="utf-8", closefd=False)
        setattr(sys, name, _Stream(stream))


def find_error() -> OSError | None:
    """Write what is left of the output, and return the error that lost a part of it. None without one.

    A reader that has gone away, as `head` does, is no error.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return sys.stdout.error if isinstance(sys.stdout, _Stream) else None


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Spell the characters of an encoding error with those that every encoding has."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_spell, error.object[error.start : error.end])), error.end


def _spell(character: str) -> str:
    """The character in ASCII: by the table, without its accents, or as its escape sequence."""
    if character in READABLE:
        return READABLE[character]
    if "\udc80" <= character <= "\udcff":  # Python's way to keep a byte of a name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain or character.encode("ascii", "backslashreplace").decode()
