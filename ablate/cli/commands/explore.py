"""`ablate explore`: serve a page on which trained networks classify what a user draws."""

from pathlib import Path
from typing import Annotated

import typer

from ablate.cli.console import LOOPBACK, DataDir, Plugins, ReportDir, say, tell
from ablate.errors import AblateError, install_command


def explore(
    folder: ReportDir,
    *,
    arms: Annotated[
        str | None,
        typer.Option(metavar="NAME,NAME", help="One or two arms to show first; default: the first two."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="PAGE.html", help="Write one file that opens without a server.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address of the page; the default can be opened only on this machine.")
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any free port.")] = 8050,
    data_dir: DataDir = None,
    plugin: Plugins = None,
) -> None:
    """Show how trained networks classify what you draw.

    The page opens in your browser. The page also shows what each layer computes.
    """
    from ablate.models import own

    own.allow(plugin or [])
    try:
        from ablate.explore import saved, server, session
    except ModuleNotFoundError as error:
        raise AblateError(f"{error.name} is not installed: {install_command('explore')}") from None
    from ablate.records.files import write_whole

    opened = session.open_session(folder, data_dir=data_dir, tell=tell)
    chosen = session.parse_arms(opened, arms)
    if save is not None:
        write_whole(save, saved.render_saved_page(opened, chosen).encode())
        say(f"written: {save}")
    else:
        server.serve(opened, chosen, host, port, lambda address: say(f"{address} until Ctrl-C"))
