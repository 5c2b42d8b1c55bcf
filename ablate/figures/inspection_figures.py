"""Draw trained networks: confusions, activation maps, filters.

The same data must give the same files, byte for byte. For dozens of pictures, matplotlib's own layout has
rounding errors that differ from call to call. This module therefore places every part itself, in inches.
"""

from typing import Any
from unicodedata import east_asian_width

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import PercentFormatter

from ablate.figures.canvas import Drawing, Styles, escape_dollars, wrap_label
from ablate.study.spec import StudySpec

MARGIN = 0.1
"""The empty border of a figure, in inches. All lengths below are in inches, too."""
LINE, HEADING = 0.17, 0.3
"""The heights of a line in the small font, and of a band's heading."""
BAR, BAR_ROOM = 0.13, 0.75
"""The width of a colour scale, and the width of its numbers and label."""
IMAGE, MAPS = 1.2, 2.7
"""The widths of an input image and of the maps beside the image."""
TILE, TILE_GAP = 0.85, 0.07
"""The width of a filter's column, and the share of this width that stays empty."""
STRIP = 2.6
"""The width of all examples of a confused pair, side by side."""
LETTER, WIDE_LETTER = 0.075, 0.115
"""The largest widths of lower-case and upper-case letters in the small font. Most are narrower."""
CLASSES_WITH_COUNTS = 12
"""A confusion matrix with more classes than this has no numbers in its cells."""
MOST_NAMES = 30
"""An axis with more classes than this names only every second class, or every third, and so on."""
NAME_LETTERS, HEADING_LETTERS = 16, 95
"""The maximum number of letters in the name of a class, and in the heading of a band."""
SIDE_BY_SIDE = 2
"""The number of input images whose maps stand in one row."""


class _Sheet:
    """A figure whose parts are placed by their distances from its left and upper edges."""

    def __init__(self, width: float, height: float) -> None:
        self._width, self._height = width, height
        self.figure = Drawing(figsize=(width, height))

    def add_axes(self, left: float, top: float, width: float, height: float, *, bare: bool = True) -> Axes:
        """Add a panel. A `bare` panel has no axis lines and no numbers."""
        share = (left / self._width, 1 - (top + height) / self._height)
        # With a grid, matplotlib makes the ticks here, even for a bare panel. That takes half of the
        # time.
        with mpl.rc_context({"axes.grid": False}):
            axes = self.figure.add_axes((*share, width / self._width, height / self._height))
        axes.set_anchor("NW")
        if bare:
            axes.set_axis_off()
        return axes

    def add_text(self, left: float, top: float, text: str, **options: Any) -> None:
        """Add a text. `left` and `top` give the place of its upper left corner."""
        place = (left / self._width, 1 - top / self._height)
        self.figure.text(*place, text, **{"va": "top", "ha": "left", **options})

    def add_scale(self, left: float, top: float, height: float, drawn: Any, told: str) -> Any:
        """Add the colour scale of the picture `drawn`, with the label `told`."""
        bar = self.figure.colorbar(drawn, cax=self.add_axes(left, top, BAR, height, bare=False))
        bar.set_label(told, fontsize=8)
        bar.ax.tick_params(labelsize=7)
        return bar


def draw_confusion(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw one matrix for each arm. A row is a true class, and a column is a predicted class."""
    arms = list(dict.fromkeys(data["arm"]))
    classes = list(data["label"].cat.categories)
    longest = max(_estimate_length(_shorten_name(name)) for name in classes) + 0.1
    columns = min(2, len(arms))
    side = float(np.clip(0.4 * len(classes), 2.0, 5.0))
    above = LINE * _count_lines(arms, styles) + 0.15
    start = MARGIN + 0.25 + longest
    width, height = side + 0.25, above + side + 0.75 * longest + 0.35
    sheet = _Sheet(
        start + width * columns + BAR + BAR_ROOM,
        MARGIN + height * -(-len(arms) // columns),
    )
    for number, arm in enumerate(arms):
        row, column = divmod(number, columns)
        axes = sheet.add_axes(start + width * column, height * row + above, side, side, bare=False)
        _draw_matrix(axes, data[data["arm"] == arm], classes, named=column == 0)
        axes.set_title(wrap_label(styles[arm].name), fontsize=9, fontweight="bold")
    bar = sheet.add_scale(
        start + width * columns, above, side, axes.collections[0], "share of the true class"
    )
    bar.set_ticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1])
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return sheet.figure


def _draw_matrix(axes: Axes, of_arm: pd.DataFrame, classes: list[str], *, named: bool) -> None:
    """Draw one arm's confusion matrix. If `named`, write the true classes at the left."""
    of_arm = of_arm.astype({"label": str, "guess": str})
    counts, shares = (
        of_arm.pivot_table(index="label", columns="guess", values=value, fill_value=0.0)
        .reindex(index=classes, columns=classes, fill_value=0.0)
        .to_numpy(float)
        for value in ("images", "share")
    )
    told = np.array([[f"{count:.0f}" if count else "" for count in row] for row in counts])
    sns.heatmap(
        shares,
        ax=axes,
        cmap="Blues",
        # The square root makes a few errors in a hundred images visible. A linear scale would hide them.
        norm=PowerNorm(0.5, vmin=0, vmax=1),
        annot=told if len(classes) <= CLASSES_WITH_COUNTS else False,
        fmt="",
        annot_kws={"fontsize": 7},
        cbar=False,
        linewidths=0.5 if len(classes) <= MOST_NAMES else 0,
        linecolor="0.9",
    )
    places = range(0, len(classes), -(-len(classes) // MOST_NAMES))
    names = [_shorten_name(classes[place]) for place in places]
    at = [place + 0.5 for place in places]
    axes.set_xticks(at, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(at, names if named else [""] * len(names), rotation=0, fontsize=8)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class", fontsize=9)
    axes.set_ylabel("true class" if named else "", fontsize=9)


def draw_confused_pairs(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw one column for each arm. The pair of classes that the arm confuses most is at the top."""
    arms = list(dict.fromkeys(data["arm"]))
    above = LINE * _count_lines(arms, styles) + 0.1
    # All rows are drawn to the scale of the longest row. Otherwise examples in shorter rows would be larger.
    widest = max(pixels.shape[1] for pixels in data["pixels"])
    tall = STRIP * max(pixels.shape[0] for pixels in data["pixels"]) / widest
    row_height, column_width = LINE + tall + 0.15, STRIP + 0.2
    rows = int(data["place"].max()) + 1
    sheet = _Sheet(2 * MARGIN + column_width * len(arms), 2 * MARGIN + above + row_height * rows)
    for column, arm in enumerate(arms):
        left = MARGIN + column_width * column
        sheet.add_text(left, MARGIN, wrap_label(styles[arm].name), fontsize=9, fontweight="bold")
        for row in data[data["arm"] == arm].itertuples():
            top = MARGIN + above + row_height * row.place
            told = f"{_shorten_name(row.label)} predicted as {_shorten_name(row.guess)}: {row.images:,}"
            sheet.add_text(left, top, told, fontsize=8)
            axes = sheet.add_axes(left, top + LINE, STRIP * row.pixels.shape[1] / widest, tall)
            _show_pixels(axes, row.pixels, cmap="gray", vmin=0, vmax=1)
    return sheet.figure


def draw_activations(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw a band for each arm, with an image of each class and its maps, all in one colour scale."""
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
            _add_heading(
                sheet,
                start,
                styles[first["arm"]].name,
                f"{first['module']}, {_count_shown(first)} maps of {size}",
            )
        below = start + HEADING * begins + LINE
        for place, of_class in enumerate(chosen):
            row, left = here.loc[of_class], MARGIN + step * place
            sheet.add_text(left, below - LINE, _shorten_name(of_class), fontsize=8)
            _show_pixels(sheet.add_axes(left, below, IMAGE, tall), row["image"], cmap="gray", vmin=0, vmax=1)
            maps = sheet.add_axes(left + IMAGE + 0.12, below, MAPS, tall)
            drawn = _show_pixels(maps, row["pixels"], **_choose_colours(row))
        sheet.add_scale(MARGIN + step * most - 0.1, below, tall, drawn, "activation")
    return sheet.figure


def draw_filters(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw one band for each arm, with its first filters above and their responses to each input below."""
    most = int(data["shown"].max())
    # Every row has room for the tallest filter, so that each tile keeps its proportions and its column.
    tall = (1 - TILE_GAP) * max(stack.shape[1] / stack.shape[2] for stack in data["pixels"])
    height = TILE * tall
    row_height = height + LINE + 0.05
    left, arms = MARGIN + IMAGE, data["arm"].nunique()
    sheet = _Sheet(left + TILE * most + BAR + BAR_ROOM, MARGIN + HEADING * arms + row_height * len(data))
    top = MARGIN
    for _, here in data.groupby("arm", sort=False):
        first = here.iloc[0]
        size = f"{first['pixels'].shape[1]}×{first['pixels'].shape[2]}"
        _add_heading(
            sheet,
            top,
            styles[first["arm"]].name,
            f"{first['module']}, {_count_shown(first)} filters of {size}",
        )
        top += HEADING - LINE  # the first row shows weights, which need no class name above
        for number, (_, row) in enumerate(here.iterrows()):
            strip = sheet.add_axes(left, top + LINE, TILE * most, height)
            for at, tile in enumerate(row["pixels"]):
                tile_height = (1 - TILE_GAP) * tile.shape[0] / tile.shape[1]
                extent = (at, at + 1 - TILE_GAP, tall - tile_height, tall)
                drawn = _show_pixels(strip, tile, extent=extent, **_choose_colours(row))
            strip.set(xlim=(0, most), ylim=(0, tall))
            if row["image"] is None:
                sheet.add_text(MARGIN, top + LINE, "weights", fontsize=8)
            else:
                sheet.add_text(MARGIN, top, _shorten_name(row["label"]), fontsize=8)
                image = sheet.add_axes(MARGIN, top + LINE, TILE, height)
                _show_pixels(image, row["image"], cmap="gray", vmin=0, vmax=1)
            # Weights of three channels are drawn as colours, which need no scale.
            if number == 1 or (number == 0 and row["pixels"].ndim == 3):
                told = "response" if number else "weight"
                sheet.add_scale(left + TILE * most + 0.05, top + LINE, height, drawn, told)
            top += row_height
        top += LINE
    return sheet.figure


def _show_pixels(axes: Axes, pixels: Any, **options: Any) -> AxesImage:
    return axes.imshow(pixels, interpolation="nearest", **options)  # colour images ignore `cmap`


def _choose_colours(row: pd.Series) -> dict[str, Any]:
    """Choose the colours: from blue to red around zero if a value is negative, else from dark to light."""
    return {"cmap": "RdBu_r" if row["low"] < 0 else "viridis", "vmin": row["low"], "vmax": row["high"]}


def _count_lines(arms: list[str], styles: Styles) -> int:
    """Count the lines of the longest arm name."""
    return max(wrap_label(styles[arm].name).count("\n") + 1 for arm in arms)


def _add_heading(sheet: _Sheet, top: float, arm: str, told: str) -> None:
    """Add a band's heading: the arm's name, shortened if it is long, and the text `told`."""
    room = HEADING_LETTERS - len(told)
    short = arm if len(arm) <= room else f"{arm[: room - 1].rstrip(' :,')}…"
    sheet.add_text(MARGIN, top, escape_dollars(f"{short}: {told}"), fontsize=9, fontweight="bold")


def _count_shown(row: pd.Series) -> str:
    few = f"{row['shown']}"
    return few if row["shown"] == row["channels"] else f"the first {few} of {row['channels']}"


def _estimate_length(name: str) -> float:
    """Estimate the largest width of a name in the small font, in inches."""
    return sum(WIDE_LETTER if c.isupper() or east_asian_width(c) in "WF" else LETTER for c in name)


def _shorten_name(text: object) -> str:
    """Shorten a long class name, and escape dollar signs."""
    name = str(text)
    return escape_dollars(name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 1]}…")
