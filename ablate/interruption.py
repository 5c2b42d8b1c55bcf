"""Turn SIGINT, SIGTERM and SIGHUP into one exception. A command can then clean up before it ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(Exception):  # noqa: N818  # not an error: a person or the system asked to stop
    """A signal arrived and asks the process to stop. `code` is the exit code for the process."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Delay:
    """Stores whether signals are delayed (`on`), and the number of the signal that waits (`waiting`)."""

    on = False
    waiting: int | None = None


@contextmanager
def delay_interrupts() -> Iterator[None]:
    """Delay the first signal until the end of the `with` block. A second signal ends the process at once.

    For example, an import must not be interrupted. Every later use of the module would then fail.

    Raises:
        Interrupted: a signal arrived while the `with` block ran.
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

    The system sends SIGHUP when the terminal closes. If the command was started with `nohup`, SIGHUP does
    nothing.
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
