"""`ablate dashboard`: show the recorded runs of a study in optuna-dashboard."""

from pathlib import Path
from typing import Annotated

import typer

from ablate.cli.console import LOOPBACK, Storage, say
from ablate.errors import AblateError


def dashboard(
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="A report folder.")] = None,
    *,
    storage: Storage = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8080,
) -> None:
    """Show all recorded runs in optuna-dashboard. Only this machine can open the page."""
    if (folder is None) == (storage is None):
        raise AblateError("name either a report folder, or a server with --storage, not both")
    from ablate.cli import dashboard as dashboards

    record = (
        dashboards.open_server(storage) if storage is not None else dashboards.open_folder(folder or Path())
    )
    say(f"http://{LOOPBACK}:{port} until Ctrl-C")
    dashboards.serve(record, LOOPBACK, port)
