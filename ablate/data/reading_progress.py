"""Report how many files have been read, by calling a function that is called the watcher."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[str, int, int], None]
"""A function that ablate calls to report progress.

The arguments of this function are the name of the work (`decoding`, …), the number of files that are done,
and the number of all files.
"""
_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watch_reading(watcher: Watcher) -> Iterator[None]:
    """In this context, call `watcher` whenever another file is read."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def stop_watching() -> None:
    """Stop calling the watcher."""
    _watcher.set(None)


def tell_progress(what: str, done: int, total: int) -> None:
    """Call the watcher, if there is one."""
    if watcher := _watcher.get():
        watcher(what, done, total)
