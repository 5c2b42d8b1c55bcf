"""`ablate export`: export a trained network for other programs, or training curves for TensorBoard."""

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
    to: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder to write to; default: DIR/export or DIR/tensorboard."),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Write a network as .pt and .onnx, or curves for TensorBoard."""
    if arm is None and not tensorboard:
        raise AblateError("nothing to export: name an arm with --arm, or add --tensorboard")
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
        say(f"written: the curves of {runs} confirmed runs; a step is one training example seen")
        say(f"  tensorboard --logdir {shlex.quote(str(curves))}")
