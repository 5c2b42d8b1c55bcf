"""What every figure is drawn on: size, colours, marks and lettering."""

import io
import textwrap
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ablate.formatting import spell_keyword

PALETTE = "colorblind"
NEUTRAL = "0.45"
LABEL_WIDTH = 28
ENTRIES_INSIDE = 4
MOST_ENTRIES = 14
"""A legend of more entries says less than the tables do; one of more than a few stands beside its panel."""
MARKS = ["o", "s", "D", "^", "v", "P", "X", "*", "<", ">"]
"""Shapes beside colours, so that arms are told apart in grey as well."""
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
    "svg.hashsalt": "ablate",  # equal tables give equal files
}


def canvas(width: float = 6.4, height: float = 4.0) -> tuple[Figure, Axes]:
    """An empty figure of so many inches and its one panel."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def side_by_side(count: int, height: float = 4.0) -> tuple[Figure, list[Axes]]:
    """An empty figure and so many panels side by side."""
    figure = Figure(figsize=(max(6.4, 4.6 * count), height), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def rendered(figure: Figure, kind: str, metadata: dict[str, None]) -> bytes:
    """The figure as a file of that kind."""
    stream = io.BytesIO()
    figure.savefig(stream, format=kind, metadata=metadata, facecolor="white")
    return stream.getvalue()


def palette(arms: list[str]) -> dict[str, tuple[float, float, float]]:
    """A colour an arm, told apart by colour-blind readers as far as there are colours."""
    return dict(zip(arms, sns.color_palette(PALETTE, len(arms)), strict=True))


def diverging(steps: int) -> list[str]:
    """Colours `#rrggbb` from far below zero by white to far above, for colour-blind readers as well."""
    return list(sns.color_palette("PuOr_r", steps).as_hex())


def markers(arms: list[str]) -> dict[str, str]:
    """A shape an arm."""
    return {arm: MARKS[i % len(MARKS)] for i, arm in enumerate(arms)}


def lines(axes: Axes, data: pd.DataFrame, x: str, y: str, arms: list[str], **how: Any) -> None:
    """Lines through the means of `y` over `x`, one for each of `arms` there, in its colour, with its mark.

    seaborn tries every colour with every mark: of a hundred arms it took seconds a panel.
    """
    colours, marks = palette(arms), markers(arms)
    means = data.groupby(["arm", x])[y].mean()
    present = set(data["arm"])
    for arm in [arm for arm in arms if arm in present]:
        line = means.loc[arm]
        axes.plot(
            line.index,
            line.to_numpy(),
            marks[arm],
            linestyle="-",
            color=colours[arm],
            markeredgecolor="white",
            label=arm,
            **how,
        )


def legend(axes: Axes) -> None:
    """The panel's own legend with readable labels, or none where it would hide the figure."""
    handles, labels = axes.get_legend_handles_labels()
    if 1 < len(labels) <= MOST_ENTRIES:
        beside: dict[str, Any] = (
            {"loc": "upper left", "bbox_to_anchor": (1, 1)} if len(labels) > ENTRIES_INSIDE else {}
        )
        axes.legend(handles, [label(entry) for entry in labels], fontsize=8, title=None, **beside)
    elif given := axes.get_legend():
        given.remove()


def label(text: object) -> str:
    """Text that matplotlib takes literally, a dollar not as a formula, long names over several lines."""
    spaced = str(text).replace(",", ", ")
    lines = (
        textwrap.wrap(spaced, LABEL_WIDTH, break_long_words=False) if len(spaced) > LABEL_WIDTH else [spaced]
    )
    return literal("\n".join(lines))


def literal(text: str) -> str:
    """Text that matplotlib takes literally, in the lines it has."""
    return text.replace("$", r"\$")


def accuracy_axis(axes: Axes, decimals: int) -> None:
    """The vertical axis in per cent, without the accuracies beyond 0 and 1 that an interval may reach."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -0.02), min(high, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=decimals))


def widen(limits: tuple[float, float], span: float) -> tuple[float, float]:
    """The limits of an axis, moved apart evenly until they span at least `span`."""
    missing = max(0.0, span - (limits[1] - limits[0])) / 2
    return limits[0] - missing, limits[1] + missing


def words(name: str) -> str:
    """A column's name as an axis says it."""
    return label(spell_keyword(name))
