"""`ablate publish`: copy a report folder without its large files."""

from pathlib import Path
from typing import Annotated

import typer

from ablate.cli.console import Plugins, ReportDir, say


def publish(
    folder: ReportDir,
    *,
    into: Annotated[Path, typer.Option(metavar="DIR", help="The folder that gets the copy.")] = Path(
        "reports/published"
    ),
    plugin: Plugins = None,
) -> None:
    """Copy a report folder without its large files, for example for Git.

    The copy has the tables, the pages with pictures, and one network of each arm,
    with weights in float16. It lacks the records of all runs, class scores, SVG
    files, and points of training curves within an epoch. `report` can write the
    pages of the copy again.
    """
    from ablate.cli import publishing
    from ablate.models import own
    from ablate.report import index

    own.allow(plugin or [])
    copy = publishing.publish(folder, into)
    index.write_index(into)
    size = sum(path.stat().st_size for path in copy.rglob("*") if path.is_file())
    say(f"published: {copy} ({size / 1e6:.1f} MB)")
