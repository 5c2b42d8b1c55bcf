"""Tell whoever watches how far the reading of many files has come."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[str, int, int], None]
"""A function that takes what is done (`decoding`), how many files are done, and how many there are."""
_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watch_reading(watcher: Watcher) -> Iterator[None]:
    """Within the block, call `watcher` whenever one more file is read."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def stop_watching() -> None:
    """Do not call the watcher any more."""
    _watcher.set(None)


def tell_progress(what: str, done: int, total: int) -> None:
    """Tell the watcher, if there is one."""
    if watcher := _watcher.get():
        watcher(what, done, total)
