"""The commands. Each command has a file of its own."""

import ast
import inspect
from collections.abc import Callable

import typer

from ablate.cli.commands.activations import activations
from ablate.cli.commands.answers import answers
from ablate.cli.commands.bench import bench
from ablate.cli.commands.compare import compare
from ablate.cli.commands.dashboard import dashboard
from ablate.cli.commands.doctor import doctor
from ablate.cli.commands.explore import explore
from ablate.cli.commands.export import export
from ablate.cli.commands.judge import judge
from ablate.cli.commands.models import models
from ablate.cli.commands.plan import plan
from ablate.cli.commands.publish import publish
from ablate.cli.commands.report import report
from ablate.cli.commands.retrain import retrain
from ablate.cli.commands.run import run

IN_ORDER = (
    run, plan, report, compare, answers, judge, models, bench, export, activations, explore, retrain, publish,
    dashboard, doctor,
)  # fmt: skip
"""The order in which `--help` lists the commands."""


def register(app: typer.Typer) -> None:
    """Add every command to the app. The docstring of a command is its help."""
    for command in IN_ORDER:
        app.command(help=command.__doc__ or _read_docstring(command))(command)


def _read_docstring(command: Callable[..., None]) -> str | None:
    """Read the docstring from the source, because `python -OO` drops all docstrings."""
    function = ast.parse(inspect.getsource(command)).body[0]
    return ast.get_docstring(function) if isinstance(function, ast.FunctionDef) else None
