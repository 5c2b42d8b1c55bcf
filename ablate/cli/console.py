"""What all commands share: their options, and how a line or a table is printed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ablate.errors import AblateError
from ablate.study.spec import did_you_mean

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="The question, as a study file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Overrides: recipe.epochs=2 seeds=3 tuning.trials=0"),
]
DataDir = Annotated[Path | None, typer.Option(help="Folder that holds FashionMNIST/raw and MNIST/raw.")]
Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="PACKAGE", help="Let the study name networks of this package (code)."),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
OutDir = Annotated[Path, typer.Option("--out", help="Parent of the report folder.")]
Storage = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Keep the record on a server: postgresql://USER@HOST:PORT/DATABASE."),
]
Jobs = Annotated[int | None, typer.Option(min=1, help="Runs side by side on a CPU; default: the cores.")]


def device_of(wanted: str) -> str:
    if wanted not in ("auto", "cpu", "cuda"):
        raise AblateError(f"--device {wanted}: {did_you_mean(wanted, ['auto', 'cpu', 'cuda'])}")
    if wanted == "cpu":
        return wanted
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise AblateError("--device cuda: torch sees no CUDA device here: use --device cpu")
    return "cpu"


def say(text: str, *, style: str | None = None) -> None:
    """A line of the answer, its brackets no markup, wrapped by the terminal alone."""
    out.print(text, style=style, markup=False, soft_wrap=True)


def tell(text: str) -> None:
    """A line about the answer's making."""
    err.print(text, markup=False, soft_wrap=True)


def empty_table(*headings: str, right: Sequence[str] = ()) -> Table:
    """An empty table without lines; the columns named in `right` are flush right."""
    table = Table(box=None, pad_edge=False, show_header=any(headings))
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table
