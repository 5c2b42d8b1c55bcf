"""One kind of figure: how its data are made from the tables, and how it is drawn."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from ablate.figures.canvas import STYLE, Styles, render
from ablate.figures.points import Tables
from ablate.study.spec import StudySpec


def _add_nothing(study: StudySpec, tables: Tables) -> Iterable[str]:
    return ()


@dataclass(frozen=True, kw_only=True)
class FigureKind:
    """One kind of figure: its file name, title and caption, the step that makes its data, and its drawing."""

    name: str
    title: str
    caption: str
    data: Callable[[StudySpec, Tables], pd.DataFrame]
    draw: Callable[[pd.DataFrame, StudySpec, Styles], Figure]
    notes: Callable[[StudySpec, Tables], Iterable[str]] = _add_nothing
    """Makes further sentences of the caption from the tables: what the figure leaves out, and why."""


@dataclass(frozen=True, kw_only=True)
class DrawnFigure:
    """A figure as the contents of a PNG and an SVG file. The caption of its `kind` includes all notes."""

    kind: FigureKind
    png: bytes
    svg: bytes


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
                yield DrawnFigure(kind=replace(kind, caption=caption), png=png, svg=svg)


@contextmanager
def use_own_style() -> Iterator[None]:
    """Draw in the style of reports, whatever the user's own settings of matplotlib are."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()  # the user's `matplotlibrc` could set LaTeX, other fonts or other sizes
        mpl.rcParams.update(STYLE)
        # The font draws a box for each character that it lacks. Tables and pages still show the character.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def join_sentences(caption: str, more: Iterable[str]) -> str:
    """Append sentences to a caption."""
    return " ".join([caption, *more])
