"""`ablate compare`: compare two report folders."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ablate.cli.console import empty_table, out, say


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="The report folder that is the reference.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The report folder to compare with A.")],
) -> None:
    """Compare two report folders, arm by arm.

    The exit code is 1 if any arm is less accurate or slower in B than in A.
    """
    from ablate.report.comparison import compare_folders, format_cells
    from ablate.report.evidence import gather

    before = gather(first)
    found = compare_folders(before, gather(second))
    table = empty_table("arm", "verdict", "accuracy, B − A (points)", "throughput ratio, B / A")
    for change in found.changes:
        table.add_row(*map(escape, format_cells(change)))
    out.print(table)
    say(found.answer, style="bold", wrap=True)
    for note in found.notes:
        say(f"- {note}", wrap=True)
    if found.regression:
        raise typer.Exit(1)
