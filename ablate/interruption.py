"""Turn SIGINT, SIGTERM and SIGHUP into one exception. A command can then clean up before it ends."""

import signal
import threading
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
    """Delay the first signal until the end of this context. A second signal still ends the process at once.

    For example, an import must not be interrupted, because every later use of the module would then fail.

    Raises:
        Interrupted: a signal arrived during the context.
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
    """Raise `Interrupted` at the first SIGINT, SIGTERM or SIGHUP. A second signal ends the process at once.

    The system sends SIGHUP when the terminal closes. Under `nohup`, SIGHUP is ignored.
    """

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for either in before:
            signal.signal(either, signal.SIG_DFL)
        if not _Delay.on:
            raise Interrupted(128 + number)
        _Delay.waiting = number

    _Delay.waiting = None
    if threading.current_thread() is not threading.main_thread():
        yield  # Python allows signal handlers only in the main thread
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
