"""Write drawn figures as files of a report folder, or encode them for its pages."""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.records.files import write_whole
from ablate.report.plots import encode_plot

if TYPE_CHECKING:  # `ablate judge` imports no pydantic, which the figures of studies need
    from ablate.figures.judged_figures import JudgedFigure
    from ablate.figures.kind import DrawnFigure


def write_pictures(drawn: "Iterable[DrawnFigure | JudgedFigure]", folder: Path) -> None:
    """Write each figure as a PNG and an SVG file into `figures` of a report folder."""
    for figure in drawn:
        write_whole(folder / "figures" / f"{figure.kind.name}.png", figure.png)
        write_whole(folder / "figures" / f"{figure.kind.name}.svg", figure.svg)


def encode_pictures(
    drawn: "Iterable[DrawnFigure | JudgedFigure]", *, static: bool = False
) -> list[dict[str, Any]]:
    """Describe each figure for the templates: its kind, the address of its picture, and its plot.

    A static page shows the files in the folder `figures`. Other pages contain the pictures.
    """
    return [
        {
            "kind": figure.kind,
            "address": f"figures/{figure.kind.name}.png"
            if static
            else f"data:image/png;base64,{base64.b64encode(figure.png).decode()}",
            "plot": None if static or figure.plot is None else encode_plot(figure.plot),
        }
        for figure in drawn
    ]
