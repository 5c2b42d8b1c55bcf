"""SIGINT and SIGTERM as one exception, so that what was begun is put away on the way out."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn


class Interrupted(Exception):  # noqa: N818  # not an error: a person or the system asked to stop
    """SIGINT or SIGTERM arrived; carries the exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into one exception, once; a second of either ends the process at once."""

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        for either in before:
            signal.signal(either, signal.SIG_DFL)
        raise Interrupted(128 + number)

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
