"""`ablate export`: write a trained network, curves for TensorBoard, or the files that a paper needs."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ablate.cli.console import Plugins, ReportDir, say
from ablate.errors import AblateError


def export(
    folder: ReportDir,
    *,
    arm: Annotated[str | None, typer.Option(metavar="NAME", help="Write this arm's network.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write the training curves.")] = False,
    checklist: Annotated[
        bool, typer.Option("--checklist", help="Answer what checklists for papers ask about experiments.")
    ] = False,
    latex: Annotated[
        bool, typer.Option("--latex", help="Write table, numbers and figures in LaTeX.")
    ] = False,
    costs: Annotated[
        bool, typer.Option("--costs", help="With --latex: the table shows the arms' costs.")
    ] = False,
    prefix: Annotated[
        str, typer.Option(metavar="NAME", help="With --latex: the names of all macros begin with NAME.")
    ] = "",
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder to write to. Default: a folder in DIR, or DIR for the checklist.",
        ),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Write a network as .pt and .onnx, curves for TensorBoard, or LaTeX and a checklist for a paper."""
    if arm is None and not (tensorboard or latex or checklist):
        raise AblateError(
            "nothing to export: name an arm with --arm, or add --tensorboard, --latex or --checklist"
        )
    if checklist:
        from ablate.report.checklist import write_checklist

        say(f"written: {write_checklist(folder, to or folder)}")
    if latex:
        _export_latex(folder, to or folder / "latex", costs=costs, prefix=prefix)
    if arm is None and not tensorboard:
        return  # without torch, which the other exports need
    from ablate.cli import export as exporting
    from ablate.models import own

    own.allow(plugin or [])
    for file in exporting.write_arm(folder, arm, to or folder / "export") if arm is not None else ():
        say(f"written: {file.path}")
        for line in file.usage:
            say(f"  {line}")
    if tensorboard:
        curves = to or folder / "tensorboard"
        runs = exporting.write_curves(folder, curves)
        say(f"written: the curves of {runs} confirmed runs; one step of a curve is one training example")
        say(f"  tensorboard --logdir {shlex.quote(str(curves))}")


def _export_latex(folder: Path, to: Path, *, costs: bool, prefix: str) -> None:
    from ablate.report.latex.writer import write_latex

    files = write_latex(folder, to, costs=costs, prefix=prefix)
    say(f"written: {', '.join(file.name for file in files if file.parent == to)} in {to}")
    say(f"  cd {shlex.quote(str(to))} && latexmk -pdf example")
