"""Describe a kind of figure: how its data are made from the tables, and how it is drawn."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import pandas as pd
from matplotlib.figure import Figure

from ablate.figures.canvas import Styles, render, use_own_style
from ablate.figures.plots.plot import Plot
from ablate.figures.points import Tables
from ablate.study.spec import StudySpec


def _add_nothing(study: StudySpec, tables: Tables) -> Iterable[str]:
    return ()


@dataclass(frozen=True, kw_only=True)
class FigureKind:
    """A kind of figure: its file name, title and caption, and functions that make its data and draw it."""

    name: str
    title: str
    caption: str
    data: Callable[[StudySpec, Tables], pd.DataFrame]
    draw: Callable[[pd.DataFrame, StudySpec, Styles], Figure]
    plot: Callable[[pd.DataFrame, StudySpec, Styles], Plot] | None = None
    """Makes the interactive version from the same data. Without it, a page shows only the drawing."""
    notes: Callable[[StudySpec, Tables], Iterable[str]] = _add_nothing
    """Makes further sentences of the caption from the tables: what the figure leaves out, and why."""


@dataclass(frozen=True, kw_only=True)
class DrawnFigure:
    """A figure as the contents of a PNG and an SVG file, and its interactive version if it has one.

    The caption of its `kind` includes all notes.
    """

    kind: FigureKind
    png: bytes
    svg: bytes
    plot: Plot | None = None


def draw_kinds(
    kinds: Iterable[FigureKind], study: StudySpec, tables: Tables, styles: Styles
) -> Iterator[DrawnFigure]:
    """Draw every figure that the tables have data for. The same tables always give the same bytes."""
    with use_own_style():
        for kind in kinds:
            data = kind.data(study, tables)
            if not data.empty:
                png, svg = render(kind.draw(data, study, styles))
                caption = join_sentences(kind.caption, kind.notes(study, tables))
                plot = kind.plot(data, study, styles) if kind.plot is not None else None
                yield DrawnFigure(kind=replace(kind, caption=caption), png=png, svg=svg, plot=plot)


def join_sentences(caption: str, more: Iterable[str]) -> str:
    """Append sentences to a caption."""
    return " ".join([caption, *more])
