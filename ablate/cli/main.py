"""The command line: run a command, and turn an expected error into one line and an exit code."""

import sys
from typing import NoReturn

import typer

from ablate.cli import commands
from ablate.cli.console import err, tell
from ablate.errors import AblateError, ModelError
from ablate.interruption import Interrupted

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
    """Run the command line. After an expected error, print one line and exit with code 2."""
    try:
        # If standalone_mode is off, typer returns the code of an Exit.
        code = app(standalone_mode=False) or 0
    except Interrupted as interruption:
        err.print("interrupted; the same command continues where this one stopped")
        code = interruption.code
    except ModelError as error:
        tell(f"error: {error.keyword}: {error}")
        code = 2
    except AblateError as error:
        tell(f"error: {error}")
        code = 2
    except OSError as error:
        tell(f"error: {error}: finished runs are kept; the same command continues")
        code = 2
    except typer.Abort:
        code = 130
    except typer.TyperException as error:
        tell(f"error: {error} See python -m ablate --help")
        code = 2
    sys.exit(code)
