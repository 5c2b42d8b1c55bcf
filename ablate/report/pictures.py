"""Drawn figures as files of a report folder, and as data inside its pages."""

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.records.files import write_whole

if TYPE_CHECKING:  # `ablate judge` imports no pydantic, which the figures of studies need
    from ablate.figures.judged_figures import JudgedFigure
    from ablate.figures.kind import DrawnFigure


def write_pictures(drawn: "Iterable[DrawnFigure | JudgedFigure]", folder: Path) -> None:
    """Write each figure as a PNG and an SVG file into `figures` of a report folder."""
    for figure in drawn:
        write_whole(folder / "figures" / f"{figure.kind.name}.png", figure.png)
        write_whole(folder / "figures" / f"{figure.kind.name}.svg", figure.svg)


def encode_pictures(drawn: "Iterable[DrawnFigure | JudgedFigure]") -> list[dict[str, Any]]:
    """Encode each figure for the templates: its `kind`, and its PNG file in base64."""
    return [{"kind": figure.kind, "png": base64.b64encode(figure.png).decode()} for figure in drawn]
