"""SIGINT and SIGTERM as one exception, so that what was begun is put away on the way out."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):  # noqa: N818  # not an error: a person or the system asked to stop
    """SIGINT or SIGTERM arrived; carries the exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Hold:
    """Whether a signal must wait, and which one does."""

    on = False
    waiting: int | None = None


@contextmanager
def held() -> Iterator[None]:
    """Let a first signal wait for the end of what must not be cut in two.

    An import, above all: what is half imported stays so, and whatever wants it afterwards fails.

    Raises:
        Interrupted: a signal has waited.
    """
    _Hold.on = True
    try:
        yield
    finally:
        _Hold.on = False
    if _Hold.waiting is not None:
        raise Interrupted(128 + _Hold.waiting)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into one exception, once; a second of either ends the process at once."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for either in before:
            signal.signal(either, signal.SIG_DFL)
        if not _Hold.on:
            raise Interrupted(128 + number)
        _Hold.waiting = number

    _Hold.waiting = None
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
