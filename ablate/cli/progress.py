"""The progress display: live bars in a terminal, plain lines elsewhere."""

import time
from importlib.util import find_spec
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from ablate.errors import escape_unprintable
from ablate.experiment.events import Advanced

PLAIN_LINE_SECONDS = 10.0
"""The shortest time between two lines of a phase. The last line of a phase can come sooner."""
WIDE_TERMINAL, WIDE_BAR, NARROW_BAR = 100, 24, 12
"""A bar has WIDE_BAR columns in a terminal with at least WIDE_TERMINAL columns, otherwise NARROW_BAR."""


class Display(Protocol):
    """A context manager that shows the progress of a study."""

    def __enter__(self) -> "Display": ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def show(self, event: Advanced) -> None:
        """Show that one more run or timing block is done."""


class _NoDisplay:
    """A display that shows nothing, for --quiet."""

    def __enter__(self) -> "_NoDisplay":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def show(self, event: Advanced) -> None:
        """Show nothing."""


class _Bars:
    """A display with one bar per phase, which also shows the latest result and the remaining time."""

    def __init__(self, console: Console) -> None:
        # In a narrow terminal, only the latest result is cut. The column of this result has the width that
        # the other columns leave free.
        bar = WIDE_BAR if console.width >= WIDE_TERMINAL else NARROW_BAR
        rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        self._progress = Progress(
            TextColumn("{task.description:<8}", table_column=Column(min_width=8)),
            BarColumn(bar_width=bar, table_column=Column(min_width=bar)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TextColumn("left", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(elapsed_when_finished=False, table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[latest]}", style="dim", table_column=rest),
            console=console,
            expand=True,
        )
        self._tasks: dict[str, object] = {}

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def show(self, event: Advanced) -> None:
        if event.phase not in self._tasks:
            # Runs that an earlier command finished take no time now, so the time estimate leaves them out.
            self._tasks[event.phase] = self._progress.add_task(
                event.phase, total=event.total, completed=max(0, event.done - 1), latest=""
            )
        task = self._tasks[event.phase]
        latest = Text(f"{event.arm}, {event.detail}").markup
        self._progress.update(task, total=event.total, completed=event.done, latest=latest)  # type: ignore[arg-type]


class _Lines:
    """A display for logs and pipes: at most one line in ten seconds, and one line at the end of a phase."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: float | None = None

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def show(self, event: Advanced) -> None:
        now = time.monotonic()
        due = self._last is None or now - self._last >= PLAIN_LINE_SECONDS
        if due or event.done == event.total:
            self._last = now
            line = f"{event.phase} {event.done}/{event.total}: {event.arm}, {event.detail}"
            self._console.print(escape_unprintable(line), markup=False, highlight=False, soft_wrap=True)


def make_display(console: Console, *, quiet: bool) -> Display:
    """Make a display: bars in a terminal or notebook that can redraw, otherwise lines.

    With `quiet`, the display shows nothing. A notebook can redraw if ipywidgets is installed.
    """
    if quiet:
        return _NoDisplay()
    if console.is_jupyter:
        can_redraw = find_spec("ipywidgets") is not None
    else:
        can_redraw = console.is_terminal and not console.is_dumb_terminal
    return _Bars(console) if can_redraw else _Lines(console)
