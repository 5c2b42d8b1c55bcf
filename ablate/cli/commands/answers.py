"""`ablate answers`: one page with the answers to the exercises of a chapter."""

from pathlib import Path
from typing import Annotated

import typer

from ablate.cli.console import say


def answers(
    exercises: Annotated[
        Path, typer.Argument(metavar="EXERCISES.yaml", help="The exercises and the studies that answer them.")
    ],
    reports: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the reports.")],
    *,
    into: Annotated[
        Path, typer.Option(metavar="PAGE.md", help="The Markdown page into which the table is written.")
    ],
) -> None:
    """Write a table of exercises and answers into a Markdown page.

    The page must have the lines <!-- answers: begin --> and <!-- answers: end -->.
    The command needs no torch.
    """
    from ablate.report.exercises import read_exercises, write_answers

    missing = write_answers(read_exercises(exercises), reports, into)
    say(f"answers: {into}")
    if missing:
        say(f"studies without a report: {missing}")
