"""SIGINT, SIGTERM and SIGHUP as one exception, so that a command can clean up before it ends."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):  # noqa: N818  # not an error: a person or the system asked to stop
    """A signal arrived. The exception carries the exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Delay:
    """Whether a signal must wait, and the number of the waiting signal."""

    on = False
    waiting: int | None = None


@contextmanager
def delay_interrupts() -> Iterator[None]:
    """Make a first signal wait until the end of this block, which must not be interrupted.

    An example is an import: if it is interrupted, every later use of the imported module fails.

    Raises:
        Interrupted: a signal arrived during the block.
    """
    _Delay.on = True
    try:
        yield
    finally:
        _Delay.on = False
    if _Delay.waiting is not None:
        raise Interrupted(128 + _Delay.waiting)


@contextmanager
def raise_on_interrupt() -> Iterator[None]:
    """Raise `Interrupted` at the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once.

    SIGHUP says that the terminal has gone. With `nohup` it stays ignored, and the command continues.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for either in before:
            signal.signal(either, signal.SIG_DFL)
        if not _Delay.on:
            raise Interrupted(128 + number)
        _Delay.waiting = number

    _Delay.waiting = None
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
