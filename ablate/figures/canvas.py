"""Functions that all figures use: for size, the style of each arm, labels, legends and axes."""

import io
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from PIL import Image

from ablate.formatting import spell_keyword

Colour = tuple[float, float, float]
PALETTE = "colorblind"
NEUTRAL = "0.45"
DARK = "0.25"
"""The colour of marks and lines that do not belong to an arm."""
LABEL_WIDTH = 28
LINES_INSIDE = 5
"""A legend with more lines of text than this stands to the right of its panel, not inside it."""
MOST_ARMS = 14
"""A figure with more arms than this has no legend, and the labels below its axis are vertical."""
MARKERS = ["o", "s", "D", "^", "v", "P", "X", "<", ">", "*"]
"""The shapes of the arms' marks. They distinguish arms in a print without colours."""
ROUND_STEPS = [1, 2, 5, 10]
MOST_LEVEL = 4
"""A figure with more arms than this has tilted labels below its axis."""
LETTER = 0.078
"""The width of one letter of a label, in inches."""
LINE_HEIGHT = 0.17
"""The height of one line of a label, in inches."""
MOST_UPRIGHT = 100
"""An axis with more labels than this shows only every second label, or every third, and so on."""
STYLE: dict[Any, Any] = {
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "0.9",
    "legend.frameon": False,
    "svg.hashsalt": "ablate",  # so that equal tables give equal files
}


@dataclass(frozen=True, kw_only=True)
class ArmStyle:
    """The colour and the marker of one arm, the same in every figure of a report."""

    name: str
    """The arm's name in figures and pages."""
    colour: Colour
    marker: str


Styles = Mapping[str, ArmStyle]
"""Maps the name of every arm in the tables to the arm's style, in the study's order."""


def make_styles(names: Mapping[str, str]) -> Styles:
    """Give every arm its style. `names` maps all arms, in the study's order, to the names that figures show.

    An arm has the same style in every figure. Colours and markers repeat after ten arms, but among the first
    hundred arms every pair of colour and marker is unique.
    """
    colours = sns.color_palette(PALETTE, len(names))
    markers = [MARKERS[(i + i // len(MARKERS)) % len(MARKERS)] for i in range(len(names))]
    return {
        arm: ArmStyle(name=names[arm], colour=colour, marker=marker)
        for arm, colour, marker in zip(names, colours, markers, strict=True)
    }


def list_diverging_colours(steps: int) -> list[str]:
    """List the colours (`#rrggbb`) of a scale from negative to positive values, in which zero is white.

    People with colour blindness can tell the colours apart.
    """
    return list(sns.color_palette("PuOr_r", steps).as_hex())


@contextmanager
def use_own_style() -> Iterator[None]:
    """Draw in the style of reports, and ignore the user's own settings of matplotlib."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()  # the user's `matplotlibrc` could set LaTeX, other fonts or other sizes
        mpl.rcParams.update(STYLE)
        # The font draws a box for each character that it lacks. Tables and pages still show the character.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


class Drawing(Figure):
    """A figure that a notebook shows, also without pyplot."""

    def _repr_png_(self) -> bytes:
        return encode_png(self)


def encode_png(figure: Figure) -> bytes:
    """Encode the figure as a PNG file for a notebook. The figure's layout stays as it is."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=STYLE["savefig.dpi"], facecolor="white")
    return png.getvalue()


def create_panel(width: float = 6.4, height: float = 4.0) -> tuple[Figure, Axes]:
    """Create an empty figure with one panel. Sizes are in inches."""
    figure = Drawing(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def create_panels(count: int, height: float = 4.0, *, width: float = 4.6) -> tuple[Figure, list[Axes]]:
    """Create an empty figure with `count` panels side by side. `width` is for one panel, in inches."""
    figure = Drawing(figsize=(max(6.4, width * count), height), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def create_grid(count: int, columns: int, *, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Create an empty figure with `count` panels, `columns` in a row. Sizes are for one panel, in inches."""
    rows = -(-count // columns)
    figure = Drawing(figsize=(width * columns, height * rows), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def render(figure: Figure) -> tuple[bytes, bytes]:
    """Render the figure as the contents of a PNG and an SVG file, both in the layout of the PNG file."""
    figure.set_dpi(STYLE["savefig.dpi"])
    if (layout := figure.get_layout_engine()) is not None:
        # savefig would compute the layout anew for each file, which takes as long as the drawing. With the
        # engine "none" instead of None, savefig would still draw each file twice.
        layout.execute(figure)
        figure.set_layout_engine(None)
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None}, facecolor="white")
    return _render_png(figure), svg.getvalue()


def _render_png(figure: Figure) -> bytes:
    # With at most 256 colours, the figures of the published reports look the same, but take 3.0 MB instead of
    # 8.4 MB. Their size counts twice, because every report.html contains a second copy of its figures.
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB")
    png = io.BytesIO()
    dpi = (figure.dpi, figure.dpi)
    pixels.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(png, "PNG", dpi=dpi)
    return png.getvalue()


def draw_mean_lines(axes: Axes, data: pd.DataFrame, x: str, y: str, styles: Styles, **options: Any) -> None:
    """Draw for each arm in `data` a line through the means of `y` over `x`."""
    # seaborn would combine every colour with every marker. For a hundred arms, that takes seconds per panel.
    means = data.groupby(["arm", x])[y].mean()
    present = set(data["arm"])
    for arm in [arm for arm in styles if arm in present]:
        line = means.loc[arm]
        axes.plot(
            line.index,
            line.to_numpy(),
            styles[arm].marker,
            linestyle="-",
            color=styles[arm].colour,
            markeredgecolor="white",
            label=styles[arm].name,
            **options,
        )


def draw_legend(axes: Axes) -> None:
    """Draw the panel's legend, unless it has only one entry, or so many that they would hide the figure."""
    handles, labels = axes.get_legend_handles_labels()
    if 1 < len(labels) <= MOST_ARMS + 1:  # one further entry can explain the marks of disturbed blocks
        entries = [wrap_label(entry) for entry in labels]
        lines = sum(entry.count("\n") + 1 for entry in entries)
        beside: dict[str, Any] = (
            {"loc": "upper left", "bbox_to_anchor": (1, 1)} if lines > LINES_INSIDE else {}
        )
        axes.legend(handles, entries, fontsize=8, title=None, **beside)


def wrap_label(text: object, width: int = LABEL_WIDTH, *, most_lines: int | None = None) -> str:
    """Break a long text into lines, and escape dollar signs, which begin a formula in matplotlib.

    With `most_lines`, the text ends after this many lines, and a word longer than a line is broken.
    """
    spaced = re.sub(r",(?=\S)", ", ", str(text))
    parts = [spaced]
    if len(spaced) > width:
        cut = most_lines is not None
        parts = textwrap.wrap(
            spaced, width, break_long_words=cut, max_lines=most_lines, placeholder=" …" if cut else ""
        )
    return escape_dollars("\n".join(parts))


def escape_dollars(text: str) -> str:
    """Escape dollar signs, which begin a formula in matplotlib. The text is not broken into lines."""
    return text.replace("$", r"\$")


def label_column(name: str) -> str:
    """Make the label of an axis from a column's name."""
    return wrap_label(spell_keyword(name))


def set_arm_ticks(axes: Axes, names: Sequence[str], width: float) -> None:
    """Write the names at the places 0, 1, 2, … of the horizontal axis.

    A few names that fit are level. Otherwise names are tilted, and very many names are vertical.
    `width` is the width of the figure in inches.
    """
    if len(names) > MOST_ARMS:
        every = -(-len(names) // MOST_UPRIGHT)
        upright = [escape_dollars(name) for name in names[::every]]
        axes.set_xticks(range(0, len(names), every), upright, rotation=90, fontsize=6)
    else:
        labels = [wrap_label(name) for name in names]
        axes.set_xticks(range(len(names)), labels)
        longest = [max(map(len, label.split("\n"))) for label in labels]
        room = (width - 1) / len(names) / LETTER
        if len(names) > MOST_LEVEL or any(a + b > 2 * room for a, b in pairwise(longest)):
            tilt_labels(axes)
    axes.set_xlim(-0.5, len(names) - 0.5)


def tilt_labels(axes: Axes, degrees: int = 30) -> None:
    """Turn the labels of the horizontal axis, so that each ends at its tick."""
    for label in axes.get_xticklabels():
        label.set(rotation=degrees, ha="right", rotation_mode="anchor")


class _Percentages(PercentFormatter):
    """A tick format in per cent, with as few decimals as the ticks of the axis need."""

    def __init__(self) -> None:
        super().__init__(1, decimals=0)

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Format all labels of the axis with the same number of decimals."""
        shares = [value * 100 for value in values]
        self.decimals = next((n for n in (0, 1) if all(abs(s - round(s, n)) < 1e-6 for s in shares)), 2)
        return [self.format_pct(value, self.xmax) for value in values]


def format_accuracy_axis(axes: Axes) -> None:
    """Label the vertical axis in per cent. It ends near 0 and 1, even if an interval reaches further."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -0.02), min(high, 1.02))
    axes.yaxis.set_major_locator(MaxNLocator(9, steps=ROUND_STEPS))
    axes.yaxis.set_major_formatter(_Percentages())


def format_number(value: float, _: object = None) -> str:
    """Format the label of a tick: `12,500`, `0.5`."""
    return f"{value:,.10g}"


NUMBERS = FuncFormatter(format_number)


def widen_limits(limits: tuple[float, float], span: float) -> tuple[float, float]:
    """Move both limits of an axis outwards by the same amount, until they are at least `span` apart."""
    missing = max(0.0, span - (limits[1] - limits[0])) / 2
    return limits[0] - missing, limits[1] + missing
