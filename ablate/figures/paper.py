"""The figures of a report for a paper: PDF files at the widths of one and two columns, readable in grey."""

import io
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text

from ablate.figures.canvas import Styles, use_own_style
from ablate.figures.kind import FigureKind, join_sentences
from ablate.figures.points import Tables
from ablate.figures.registry import FIGURES, style_arms
from ablate.study.spec import StudySpec

COLUMN, PAGE = 3.25, 6.75
"""The widths of one and of two columns of a paper, in inches."""
TALLEST = 7.5
"""The largest height of a figure, in inches. A page has room for such a figure and its caption."""
TEXT_SIZE = 8
SMALLEST_TEXT = 6
"""Sizes of text, in points. The text of a figure shrinks to them if it is narrower than in the report."""
ROW_HEIGHT = 0.14
"""The height of a row of a legend, in inches."""
NARROWEST_PANEL = 2.0
"""Panels that would be narrower than this, in inches, stand below each other."""
STACKED_HEIGHT = 0.75
"""The height of a panel that stands above others, as a share of its height beside them."""
MARKS, MARKER_SIZE = 6, 3.5
"""Roughly how many markers a curve gets, and their size in points."""
LEGEND_LETTERS, LABEL_LETTERS, TITLE_LETTERS, NAME_LETTERS = 26, 30, 26, 22
"""The most letters in a line of a legend, a vertical axis's label, a panel's title and an arm's name, if the
figure is one column wide."""
MOST_TILTED = 1.3
"""If an axis has more names for each inch than this, the names are upright instead of tilted."""


WIDTHS = {"column": COLUMN, "page": PAGE}
"""The widths by the end of a figure's file name."""


@dataclass(frozen=True, kw_only=True)
class PaperFigure:
    """A figure as the content of a PDF file."""

    kind: FigureKind
    """The kind of the figure. Its caption includes all notes."""
    width: str
    """A key of `WIDTHS`."""
    pdf: bytes


def draw_for_paper(study: StudySpec, tables: Tables) -> Iterator[PaperFigure]:
    """Draw every figure that the tables have data for at both widths. Equal tables give equal bytes."""
    styles = style_arms(study, tables)
    for kind in FIGURES:
        data = kind.data(study, tables)
        if data.empty:
            continue
        caption = join_sentences(kind.caption, kind.notes(study, tables))
        for width, inches in WIDTHS.items():
            with use_own_style():
                figure = fit(kind.draw(data, study, styles), inches, styles)
                yield PaperFigure(kind=replace(kind, caption=caption), width=width, pdf=render_pdf(figure))


def fit(figure: Figure, width: float, styles: Styles) -> Figure:
    """Give the figure this width in inches, with text of a size that a paper can print.

    Its height shrinks less than its width, because its text keeps its room. Panels that would be narrower
    than a column stand below each other. Lines get their arm's marker, which also tells them apart in grey.
    """
    own_width, height = figure.get_size_inches()
    height *= _stack_panels(figure, width)
    scale = min(1.0, width / own_width)
    for text in figure.findobj(Text):
        text.set_fontsize(max(SMALLEST_TEXT, min(TEXT_SIZE, text.get_fontsize() * max(scale, 0.75))))
    _mark_lines(figure, styles)
    rows = _move_legends(figure) if width < PAGE else 0
    figure.set_size_inches(width, min(TALLEST, height * max(scale, 0.6) + rows * ROW_HEIGHT))
    for axes in figure.axes:
        if width < PAGE:
            _narrow_labels(axes)
        names = axes.get_xticklabels()
        if len(names) / width > MOST_TILTED and any(0 < name.get_rotation() < 90 for name in names):
            _raise_names(axes)
    return figure


def _narrow_labels(axes: Axes) -> None:
    """Break the label of the vertical axis and the titles of the panel into short lines."""
    axes.set_ylabel(_wrap(axes.get_ylabel(), LABEL_LETTERS))
    for place in ("left", "center"):
        if title := axes.get_title(place):
            axes.set_title(_wrap(title, TITLE_LETTERS), loc=place, fontsize=SMALLEST_TEXT)


def _raise_names(axes: Axes) -> None:
    """Turn the names below the panel upright, because they would overlap if they were tilted."""
    names = [_wrap(name.get_text(), NAME_LETTERS) for name in axes.get_xticklabels()]
    axes.set_xticks(axes.get_xticks(), names)
    for name in axes.get_xticklabels():
        name.set(rotation=90, ha="center", rotation_mode="default", fontsize=SMALLEST_TEXT)


def _wrap(text: str, letters: int) -> str:
    """Break a text into lines anew. A word that is longer than a line stays whole."""
    return textwrap.fill(" ".join(text.split()), letters, break_long_words=False)


def _stack_panels(figure: Figure, width: float) -> float:
    """Stand narrow panels of one row below each other. Return the factor by which the height grows."""
    places = [axes.get_subplotspec() for axes in figure.axes]
    grids = {place.get_gridspec().get_geometry() for place in places if place is not None}
    if grids != {(1, len(places))} or len(places) < 2 or width / len(places) >= NARROWEST_PANEL:
        return 1.0
    grid = GridSpec(len(places), 1, figure=figure)
    for row, axes in enumerate(figure.axes):
        axes.set_subplotspec(grid[row])
    return STACKED_HEIGHT * len(places)


def _mark_lines(figure: Figure, styles: Styles) -> None:
    """Give each curve without markers the marker of the arm that has its colour, at a few of its points."""
    markers = {to_rgb(style.colour): (place, style.marker) for place, style in enumerate(styles.values())}
    keys = {key for legend in figure.findobj(Legend) for key in legend.legend_handles}
    for line in figure.findobj(Line2D):
        points = len(np.atleast_1d(line.get_xdata()))
        if line.get_marker() != "None" or to_rgb(line.get_color()) not in markers:
            continue
        place, marker = markers[to_rgb(line.get_color())]
        if line in keys:
            line.set(marker=marker, markersize=MARKER_SIZE)
        elif points > 2:
            # Arms begin at different points, so that the markers of curves that coincide stand side by side.
            every = max(1, points // MARKS)
            line.set(marker=marker, markersize=MARKER_SIZE, markevery=(place * every // 4 % every, every))


def _move_legends(figure: Figure) -> int:
    """Draw all legends as one below the panels, in two columns. Return the number of its rows."""
    entries: dict[str, Any] = {}
    titles: dict[str, None] = {}
    found: list[tuple[Legend | None, Any]] = [(legend, legend.legend_handles) for legend in figure.legends]
    # A panel's own artists make a legend with markers. The parts of its old legend have none.
    found += [(axes.get_legend(), axes.get_legend_handles_labels()[0]) for axes in figure.axes]
    for legend, keys in found:
        if legend is not None:
            texts = [_wrap(text.get_text(), LEGEND_LETTERS) for text in legend.get_texts()]
            entries |= dict(zip(texts, keys, strict=False))
            titles[legend.get_title().get_text()] = None
            legend.remove()
    if not entries:
        return 0
    figure.legend(
        handles=list(entries.values()),
        labels=list(entries),
        loc="outside lower center",
        ncols=min(2, len(entries)),
        fontsize=SMALLEST_TEXT + 1,
        title=", ".join(filter(None, titles)) or None,
        title_fontsize=SMALLEST_TEXT + 1,
    )
    return -(-sum(label.count("\n") + 1 for label in entries) // 2)


def render_pdf(figure: Figure) -> bytes:
    """Render the figure as a PDF file whose text stays text: readers can search it and copy it."""
    pdf = io.BytesIO()
    with mpl.rc_context({"pdf.fonttype": 42}):
        figure.savefig(pdf, format="pdf", metadata={"CreationDate": None}, facecolor="white")
    return pdf.getvalue()
