"""Code that the commands share: options, and functions that print lines and tables."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ablate.devices.choice import HELP
from ablate.errors import escape_unprintable

NARROWEST = 60
"""The smallest width for which the library Rich lays out text, in characters.

In a narrower terminal, Rich would break lines within words. So ablate prints lines of this width there, and
the terminal wraps these lines.
"""


def _make_console(*, stderr: bool = False) -> Console:
    # With emoji, Rich would replace `:bug:` by a picture, but `:bug:` can be part of a path.
    console = Console(stderr=stderr, highlight=False, emoji=False)
    if console.width < NARROWEST:
        console.width = NARROWEST
    return console


out = _make_console()
err = _make_console(stderr=True)
LOOPBACK = "127.0.0.1"
"""The address that only this machine can reach."""

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="The study file with your question.")]
ReportDir = Annotated[Path, typer.Argument(metavar="DIR", help="A report folder that `run` wrote.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Override keys of the study: recipe.epochs=2 seeds=3"),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="Folder of the data sets, which contains FashionMNIST/raw or MNIST/raw."
    ),
]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="PACKAGE",
        help="Allow networks of this package; ablate then runs the package's code.",
    ),
]
Device = Annotated[str, typer.Option(help=HELP)]
OutDir = Annotated[
    Path, typer.Option("--out", metavar="FOLDER", help="Folder that contains the report folders.")
]
Storage = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Server that stores the runs: postgresql://USER@HOST:PORT/DATABASE."),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="Number of runs that train at the same time on a CPU; default: one per core."
    ),
]


def say(text: str, *, style: str | None = None, wrap: bool = False) -> None:
    """Print a line of the answer to stdout. Brackets in the text are printed as they are.

    With `wrap`, a terminal shows a long line as several lines, broken between words. Use it for sentences,
    but not for commands and code, because a user copies these.
    """
    _print(out, text, style, wrap=wrap)


def tell(text: str, *, wrap: bool = False) -> None:
    """Print a line about the progress of the command to stderr. `wrap` has the same meaning as in `say`."""
    _print(err, text, None, wrap=wrap)


def _print(console: Console, text: str, style: str | None, *, wrap: bool) -> None:
    text = escape_unprintable(text)
    if wrap and console.is_terminal and console.width > NARROWEST:
        text = break_between_words(text, console.width)
    console.print(text, style=style, markup=False, soft_wrap=True)


def break_between_words(text: str, width: int) -> str:
    """Break a text into lines of at most `width` characters; a longer word stays whole.

    All lines are indented like the first one.
    """
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.fill(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def empty_table(*headings: str, right: Sequence[str] = ()) -> Table:
    """Make an empty table without ruled lines. The columns named in `right` are aligned right."""
    table = Table(box=None, pad_edge=False, show_header=any(headings))
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table
