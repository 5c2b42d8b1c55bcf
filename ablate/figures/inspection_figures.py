"""Drawings of what was seen inside trained networks: confusions, maps, filters.

Everything is put in its place in inches: of dozens of pictures the layout that matplotlib finds differs by a
rounding from one time to the next, and equal views shall give equal files.
"""

from typing import Any
from unicodedata import east_asian_width

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import PercentFormatter

from ablate.figures.canvas import label, literal
from ablate.study.spec import StudySpec

MARGIN = 0.1
"""Inches, as are all lengths below."""
LINE, HEADING = 0.17, 0.3
"""A line of small letters; the line above a band."""
BAR, BAR_ROOM = 0.13, 0.75
"""A colour scale's width, and the room that its numbers and words take."""
IMAGE, MAPS = 1.2, 2.7
"""Widths of an input and of the maps beside it."""
TILE, TILE_GAP = 0.85, 0.07
"""A filter's column, and which share of it is left empty."""
STRIP = 2.6
"""The examples of a confused pair, side by side."""
LETTER, WIDE_LETTER = 0.075, 0.115
"""What small letters and capitals take at most; most take less."""
CLASSES_WITH_COUNTS = 12
MOST_NAMES = 30
"""Of more classes every second (third, …) is named on the axes."""
NAME_LETTERS, HEADING_LETTERS = 16, 95
SIDE_BY_SIDE = 2
"""Inputs in one row of maps."""


class _Sheet:
    """A figure on which things are put by their distances from its left and upper edges."""

    def __init__(self, width: float, height: float) -> None:
        self._width, self._height = width, height
        self.figure = Figure(figsize=(width, height))

    def axes(self, left: float, top: float, width: float, height: float, *, bare: bool = True) -> Axes:
        """A panel, without its lines and numbers if `bare`."""
        share = (left / self._width, 1 - (top + height) / self._height)
        axes = self.figure.add_axes((*share, width / self._width, height / self._height))
        axes.grid(visible=False)
        axes.set_anchor("NW")
        if bare:
            axes.set_axis_off()
        return axes

    def text(self, left: float, top: float, words: str, **how: Any) -> None:
        """Words whose upper left corner is there."""
        place = (left / self._width, 1 - top / self._height)
        self.figure.text(*place, words, **{"va": "top", "ha": "left", **how})

    def scale(self, left: float, top: float, height: float, drawn: Any, told: str) -> Any:
        """What the colours of a drawn picture mean."""
        bar = self.figure.colorbar(drawn, cax=self.axes(left, top, BAR, height, bare=False))
        bar.set_label(told, fontsize=8)
        bar.ax.tick_params(labelsize=7)
        bar.ax.grid(visible=False)
        return bar


def draw_confusion(data: pd.DataFrame, study: StudySpec) -> Figure:
    """One matrix an arm: the true class a row, the guess a column, the share of the row as colour."""
    arms = list(dict.fromkeys(data["arm"]))
    classes = list(data["label"].cat.categories)
    every = -(-len(classes) // MOST_NAMES)
    places = range(0, len(classes), every)
    names = [_name(classes[place]) for place in places]
    columns = min(2, len(arms))
    side = float(np.clip(0.4 * len(classes), 2.0, 5.0))
    beside = max(map(_length, names)) + 0.1
    above = LINE * max(label(arm).count("\n") + 1 for arm in arms) + 0.15
    width, height = side + 0.25, above + side + 0.75 * beside + 0.35
    sheet = _Sheet(
        MARGIN + 0.25 + beside + width * columns + BAR + BAR_ROOM,
        MARGIN + height * -(-len(arms) // columns),
    )
    # By its square root, or the few in a hundred that are wrong would look like none.
    scale = PowerNorm(0.5, vmin=0, vmax=1)
    for number, arm in enumerate(arms):
        row, column = divmod(number, columns)
        axes = sheet.axes(
            MARGIN + 0.25 + beside + width * column, height * row + above, side, side, bare=False
        )
        here = data[data["arm"] == arm].astype({"label": str, "guess": str})
        counts, shares = (
            here.pivot_table(index="label", columns="guess", values=value, fill_value=0.0)
            .reindex(index=classes, columns=classes, fill_value=0.0)
            .to_numpy(float)
            for value in ("images", "share")
        )
        told = np.array([[f"{count:.0f}" if count else "" for count in row] for row in counts])
        sns.heatmap(
            shares,
            ax=axes,
            cmap="Blues",
            norm=scale,
            annot=told if len(classes) <= CLASSES_WITH_COUNTS else False,
            fmt="",
            annot_kws={"fontsize": 7},
            cbar=False,
            linewidths=0.5 if len(classes) <= MOST_NAMES else 0,
            linecolor="0.9",
        )
        axes.set_title(label(arm), fontsize=9, fontweight="bold")
        at = [place + 0.5 for place in places]
        axes.set_xticks(at, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
        axes.set_yticks(at, names if column == 0 else [""] * len(names), rotation=0, fontsize=8)
        axes.tick_params(length=0)
        axes.set_xlabel("taken for", fontsize=9)
        axes.set_ylabel("test image of class" if column == 0 else "", fontsize=9)
    left = MARGIN + 0.25 + beside + width * columns
    bar = sheet.scale(left, above, side, axes.collections[0], "share of the class")
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1])
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return sheet.figure


def draw_confused(data: pd.DataFrame, study: StudySpec) -> Figure:
    """One column an arm, the pairs that it confuses most from the top down."""
    arms = list(dict.fromkeys(data["arm"]))
    above = LINE * max(label(arm).count("\n") + 1 for arm in arms) + 0.1
    # As wide as the longest row of examples, or one or two of them would be drawn larger than four.
    widest = max(pixels.shape[1] for pixels in data["pixels"])
    tall = STRIP * max(pixels.shape[0] for pixels in data["pixels"]) / widest
    row_height, column_width = LINE + tall + 0.15, STRIP + 0.2
    rows = int(data["place"].max()) + 1
    sheet = _Sheet(2 * MARGIN + column_width * len(arms), 2 * MARGIN + above + row_height * rows)
    for column, arm in enumerate(arms):
        left = MARGIN + column_width * column
        sheet.text(left, MARGIN, label(arm), fontsize=9, fontweight="bold")
        for row in data[data["arm"] == arm].itertuples():
            top = MARGIN + above + row_height * row.place
            told = f"{_name(row.label)} taken for {_name(row.guess)}: {row.images:,}"
            sheet.text(left, top, told, fontsize=8)
            axes = sheet.axes(left, top + LINE, STRIP * row.pixels.shape[1] / widest, tall)
            _picture(axes, row.pixels, cmap="gray", vmin=0, vmax=1)
    return sheet.figure


def draw_activations(data: pd.DataFrame, study: StudySpec) -> Figure:
    """One band an arm: of each class an image and what the layer makes of it, on one scale."""
    inputs = list(dict.fromkeys(data["label"]))
    parts = [inputs[at : at + SIDE_BY_SIDE] for at in range(0, len(inputs), SIDE_BY_SIDE)]
    bands = []
    top = MARGIN
    for _, here in data.groupby("arm", sort=False):
        tall = max(
            width * max(pixels.shape[0] / pixels.shape[1] for pixels in here[column])
            for column, width in (("image", IMAGE), ("pixels", MAPS))
        )
        for number, chosen in enumerate(parts):
            bands.append((here.set_index("label"), chosen, top, tall, number == 0))
            top += HEADING * (number == 0) + LINE + tall + 0.15
    step = IMAGE + MAPS + 0.4
    most = len(parts[0])
    sheet = _Sheet(MARGIN + step * most + BAR + BAR_ROOM - 0.1, top)
    for here, chosen, start, tall, begins in bands:
        first = here.iloc[0]
        if begins:
            size = f"{first['height']}×{first['width']}"
            _heading(sheet, start, first["arm"], f"{first['module']}, {_so_many(first)} maps of {size}")
        below = start + HEADING * begins + LINE
        for place, of_class in enumerate(chosen):
            row, left = here.loc[of_class], MARGIN + step * place
            sheet.text(left, below - LINE, _name(of_class), fontsize=8)
            _picture(sheet.axes(left, below, IMAGE, tall), row["image"], cmap="gray", vmin=0, vmax=1)
            maps = sheet.axes(left + IMAGE + 0.12, below, MAPS, tall)
            drawn = _picture(maps, row["pixels"], **_colours(row))
        sheet.scale(MARGIN + step * most - 0.1, below, tall, drawn, "activation")
    return sheet.figure


def draw_filters(data: pd.DataFrame, study: StudySpec) -> Figure:
    """One band an arm: the first filters, and below them what each answers to an image of each class."""
    most = int(data["shown"].max())
    # As tall for its width as the tallest: then every tile keeps its shape and has its column.
    tall = (1 - TILE_GAP) * max(stack.shape[1] / stack.shape[2] for stack in data["pixels"])
    height = TILE * tall
    row_height = height + LINE + 0.05
    left, arms = MARGIN + IMAGE, data["arm"].nunique()
    sheet = _Sheet(left + TILE * most + BAR + BAR_ROOM, MARGIN + HEADING * arms + row_height * len(data))
    top = MARGIN
    for _, here in data.groupby("arm", sort=False):
        first = here.iloc[0]
        size = f"{first['pixels'].shape[1]}×{first['pixels'].shape[2]}"
        _heading(sheet, top, first["arm"], f"{first['module']}, {_so_many(first)} filters of {size}")
        top += HEADING - LINE  # there is no name above weights
        for number, (_, row) in enumerate(here.iterrows()):
            strip = sheet.axes(left, top + LINE, TILE * most, height)
            for at, tile in enumerate(row["pixels"]):
                tile_height = (1 - TILE_GAP) * tile.shape[0] / tile.shape[1]
                extent = (at, at + 1 - TILE_GAP, tall - tile_height, tall)
                drawn = _picture(strip, tile, extent=extent, **_colours(row))
            strip.set(xlim=(0, most), ylim=(0, tall))
            if row["image"] is None:
                sheet.text(MARGIN, top + LINE, "weights", fontsize=8)
            else:
                sheet.text(MARGIN, top, _name(row["label"]), fontsize=8)
                image = sheet.axes(MARGIN, top + LINE, TILE, height)
                _picture(image, row["image"], cmap="gray", vmin=0, vmax=1)
            # Weights on colours are colours, which no scale explains.
            if number == 1 or (number == 0 and row["pixels"].ndim == 3):
                told = "response" if number else "weight"
                sheet.scale(left + TILE * most + 0.05, top + LINE, height, drawn, told)
            top += row_height
        top += LINE
    return sheet.figure


def _picture(axes: Axes, pixels: Any, **how: Any) -> AxesImage:
    return axes.imshow(pixels, interpolation="nearest", **how)  # what is in colours ignores the rest


def _colours(row: pd.Series) -> dict[str, Any]:
    """Blue to red around zero where there is anything below it, else dark to light."""
    return {"cmap": "RdBu_r" if row["low"] < 0 else "viridis", "vmin": row["low"], "vmax": row["high"]}


def _heading(sheet: _Sheet, top: float, arm: str, told: str) -> None:
    room = HEADING_LETTERS - len(told)
    short = arm if len(arm) <= room else f"{arm[: room - 1].rstrip(' :,')}…"
    sheet.text(MARGIN, top, literal(f"{short}: {told}"), fontsize=9, fontweight="bold")


def _so_many(row: pd.Series) -> str:
    few = f"{row['shown']}"
    return few if row["shown"] == row["channels"] else f"the first {few} of {row['channels']}"


def _length(name: str) -> float:
    """Inches that a name in small letters takes at most."""
    return sum(WIDE_LETTER if c.isupper() or east_asian_width(c) in "WF" else LETTER for c in name)


def _name(text: object) -> str:
    """A class's name, cut where it is long, taken literally."""
    name = str(text)
    return literal(name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 1]}…")
