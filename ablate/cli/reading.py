"""Show the progress of reading many images, and say how a user's own images were read."""

import time
from collections.abc import Callable, Iterable

from ablate.cli.console import tell

SECONDS_BETWEEN_LINES = 5.0


class ReadingLines:
    """Prints a line every five seconds while images are read.

    If reading takes less time, nothing is printed.
    """

    def __init__(self) -> None:
        self._last: float | None = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say that `done` of `total` images are read."""
        now = time.monotonic()
        if self._last is None:
            self._last = now
        elif now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            tell(f"{what} images: {done:,} of {total:,}")


def tell_about_images(
    read_as: Iterable[str], cautions: Iterable[str], *, show: Callable[..., None] = tell
) -> None:
    """Show how a user's own images were read, and print warnings about suspicious images."""
    for sentence in read_as:
        show(f"images: {sentence}", wrap=True)
    for caution in cautions:
        tell(f"warning: {caution}", wrap=True)
