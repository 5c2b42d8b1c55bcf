"""The command line: run a command, and turn an expected error into one line and an exit code."""

import gc
import sys
from pathlib import Path
from typing import NoReturn

import typer

from ablate.cli import commands, streams
from ablate.cli.console import err, tell
from ablate.cli.reading import ReadingLines
from ablate.data.reading_progress import watch_reading
from ablate.errors import AblateError, ModelError
from ablate.interruption import Interrupted

RARE_COLLECTIONS = (50_000, 20, 100)
"""Thresholds of Python's garbage collector, which are higher than the defaults.

A million imported objects stay in memory. With the default thresholds, collections of garbage would take a
tenth of the time of a command, and would find almost nothing.
"""

app = typer.Typer(
    name="ablate",
    help="Does this choice in a small image network matter, by how much, and what does it cost?",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
commands.register(app)


def main() -> NoReturn:
    """Run the command line. After an expected error, print one line and exit with code 2.

    The exit code says what the command found. A pipe that its reader has closed does not change the code. If
    standard output cannot be written for another reason, such as a full disk, a successful command exits with
    code 2.
    """
    gc.set_threshold(*RARE_COLLECTIONS)
    streams.prepare()
    code = _run() if _is_current_folder_there() else 2
    if (error := streams.find_error()) is not None:
        tell(f"error: standard output cannot be written ({error.strerror})")
        code = code or 2
    sys.exit(code)


def _is_current_folder_there() -> bool:
    """Whether the current folder exists.

    If it does not, libraries end the process with their own messages.
    """
    try:
        Path.cwd()
    except OSError as error:
        tell(f"error: the current folder cannot be used ({error.strerror}): change to another folder")
        return False
    return True


def _run() -> int:
    """Run a command and return its exit code."""
    try:
        # Without standalone_mode, typer returns the exit code instead of ending the process.
        with watch_reading(ReadingLines()):
            return app(standalone_mode=False) or 0
    except Interrupted as interruption:
        err.print("interrupted; the same command continues where this one stopped")
        return interruption.code
    except ModelError as error:
        tell(f"error: {error.keyword}: {error}")
    except AblateError as error:
        for line in str(error).split("\n"):
            tell(f"error: {line}")
    except OSError as error:
        tell(f"error: {error}: finished runs are kept, and the same command continues with the other runs")
    except typer.Abort:
        return 130
    except typer.TyperException as error:
        told = error.format_message().rstrip(".")  # unlike str(error), it names the option
        tell(f"error: {told}: see python -m ablate --help")
    return 2
