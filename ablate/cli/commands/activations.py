"""`ablate activations`: draw what the layers of trained networks compute."""

from typing import Annotated

import typer

from ablate.cli.console import DataDir, Plugins, ReportDir, say


def activations(
    folder: ReportDir,
    *,
    arm: Annotated[str | None, typer.Option(metavar="NAME", help="The arm to draw; default: all.")] = None,
    inputs: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS,CLASS",
            help="Classes to show, or beginnings of their names; default: the classes that the report shows.",
        ),
    ] = None,
    layers: Annotated[
        str, typer.Option(metavar="N,N", help="Layers to draw: numbers of convolutions, or layer names.")
    ] = "1,2",
    data_dir: DataDir = None,
    plugin: Plugins = None,
) -> None:
    """Draw what the layers of trained networks compute. The figures are in DIR/figures."""
    from ablate.cli import activations as drawing
    from ablate.models import own

    own.allow(plugin or [])
    for path in drawing.draw(folder, arm=arm, inputs=inputs, layers=layers, data_dir=data_dir):
        say(str(path))
