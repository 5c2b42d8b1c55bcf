"""An interactive figure: its panels as Vega-Lite specifications, its legend, and its values as a table."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from matplotlib.colors import to_hex

from ablate.figures.canvas import MOST_ARMS, ArmStyle, Styles

Channel = dict[str, Any]
Layer = dict[str, Any]
INK = "currentColor"
"""The colour of the page's text, which is dark in the light theme and light in the dark theme."""
DIGITS = 7
"""Values are rounded to this many significant digits, in the plot and in the table alike."""
ROWS_IN_TABLE = 100
"""A table in the page has at most this many rows."""
PADDING = 12
"""The room between the first value and the end of an axis, in CSS pixels."""
_STAR = "".join(
    f"{'L' if corner else 'M'}{reach * math.sin(angle):.2f},{-reach * math.cos(angle):.2f}"
    for corner in range(10)
    for reach, angle in [(1.3 if corner % 2 == 0 else 0.55, corner * math.pi / 5)]
)
SHAPES = {
    "o": "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0Z",
    "s": "M-.9,-.9H.9V.9H-.9Z",
    "D": "M0,-1.2L1.2,0L0,1.2L-1.2,0Z",
    "^": "M0,-1.1L1.1,.9H-1.1Z",
    "v": "M0,1.1L1.1,-.9H-1.1Z",
    "P": "M-.4,-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z",
    "X": "M0,-.55L.6,-1.1L1.1,-.6L.55,0L1.1,.6L.6,1.1L0,.55L-.6,1.1L-1.1,.6L-.55,0L-1.1,-.6L-.6,-1.1Z",
    "<": "M-1.1,0L.9,-1.1V1.1Z",
    ">": "M1.1,0L-.9,-1.1V1.1Z",
    "*": f"{_STAR}Z",
}
"""Maps matplotlib's markers to SVG paths from −1 to 1. The plots and the legends draw these paths."""
CROSS = "M-1,-1L1,1M-1,1L1,-1"
"""The path of a cross of two strokes."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the table, which is also a line of the tooltips."""

    field: str
    heading: str
    """The heading, with the unit of the values."""
    format: str = ""
    """How a number is written. Python and d3-format both understand it. Texts have no format."""
    format_from: str = ""
    """The column of the rows that has the format of each row's number, instead of one format for all."""

    @property
    def is_text(self) -> bool:
        """Whether the column has texts."""
        return not (self.format or self.format_from)

    def write(self, value: Any, form: str) -> str:
        """Write a value of this column as the page shows it. `form` is the format of a number."""
        if pd.isna(value):
            return "–"
        return f"{value:{form}}".replace("-", "−") if form else str(value)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of the legend."""

    name: str
    colour: str
    kind: Literal["mark", "line", "dashed", "band", "ring", "cross"]
    path: str = SHAPES["o"]
    """The SVG path of a mark."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One plot of a figure, without its size. Its labels stand above and below it, as text of the page."""

    layers: Sequence[Layer]
    data: Mapping[str, pd.DataFrame]
    """Maps the names of data sets, which the layers use, to data frames."""
    above: str
    """The label of the vertical axis, or the title of the panel."""
    below: str
    """The label of the horizontal axis."""
    height: int = 320
    """The height in CSS pixels."""

    def describe(self) -> dict[str, Any]:
        """Describe the panel for the script of the page: a Vega-Lite specification, and data by column."""
        return {
            "data": {name: list_by_code(frame) for name, frame in self.data.items()},
            "layer": list(self.layers),
        }


@dataclass(frozen=True, kw_only=True)
class Plot:
    """An interactive figure."""

    rows: pd.DataFrame
    """The values of the figure. A tooltip shows the columns of the mark below the pointer."""
    columns: Sequence[Column]
    table: str | None
    """The table of the report folder that has all values. None: only the judged table has them."""
    panels: Sequence[Panel]
    legend: Sequence[Entry] = ()

    def list_cells(self) -> list[list[str]]:
        """List the cells of the first `ROWS_IN_TABLE` rows of the table."""
        shown = list_values(self.rows.head(ROWS_IN_TABLE))
        count = min(len(self.rows), ROWS_IN_TABLE)
        written = []
        for column in self.columns:
            forms = shown[column.format_from] if column.format_from else [column.format] * count
            written.append(map(column.write, shown[column.field], forms))
        return [list(cells) for cells in zip(*written, strict=True)]

    def describe(self) -> dict[str, Any]:
        """Describe the figure for the script of the page: the panels, and how tooltips write values."""
        return {
            "panels": [panel.describe() for panel in self.panels],
            "columns": [
                [column.field, column.heading, column.format, column.format_from] for column in self.columns
            ],
        }


def list_values(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """List the values of each column for JSON. A missing number becomes None."""
    return {name: _list_column(frame[name]) for name in frame.columns}


def _list_column(column: pd.Series) -> list[Any]:
    if not pd.api.types.is_float_dtype(column):
        return column.tolist()
    return [None if math.isnan(x) else float(f"{x:.{DIGITS}g}") for x in column.tolist()]


def list_by_code(frame: pd.DataFrame) -> dict[str, Any]:
    """List the values of each column for JSON. A column of texts is `[texts, codes]`, each text once."""
    listed: dict[str, Any] = {}
    for name in frame.columns:
        if pd.api.types.is_numeric_dtype(frame[name]):
            listed[name] = _list_column(frame[name])
        else:
            codes, texts = pd.factorize(frame[name], use_na_sentinel=False)
            listed[name] = [[None if pd.isna(text) else text for text in texts], codes.tolist()]
    return listed


def make_seen_on_hover(layer: Layer) -> Layer:
    """Make the marks of a layer invisible, except the mark under the pointer."""
    select = {"type": "point", "on": "pointerover", "clear": "pointerout"}
    opacity = {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0}
    return {
        **layer,
        "params": [{"name": "near", "select": select}],
        "encoding": {**layer["encoding"], "opacity": opacity},
    }


def list_present(data: pd.DataFrame, styles: Styles) -> list[ArmStyle]:
    """List the styles of the arms that have data, in the study's order."""
    present = set(data["arm"])
    return [style for arm, style in styles.items() if arm in present]


def name_arms(data: pd.DataFrame, styles: Styles) -> pd.DataFrame:
    """Add the column `name`: each arm's name as figures show it, or an empty text if `arm` is no arm."""
    return data.assign(name=[styles[arm].name if arm in styles else "" for arm in data["arm"]])


def make_layer(mark: str, rows: str, options: Mapping[str, Any] | None = None, **encoding: Any) -> Layer:
    """Make a layer that draws `mark` for each row of the data set `rows`."""
    return {"mark": {"type": mark, **(options or {})}, "data": {"name": rows}, "encoding": encoding}


def make_quantity(field: str, **options: Any) -> Channel:
    """Encode a numeric column by a position. `options` are those of `make_scale`."""
    return {"field": field, "type": "quantitative", "title": None, **make_scale(**options)}


def make_scale(
    *,
    format: str = "",  # noqa: A002 - the key of Vega-Lite
    limits: tuple[float, float] | None = None,
    log: bool = False,
    from_zero: bool = False,
    ticks: Sequence[float] | int | None = None,
    grid: bool = True,
    pad: bool = False,
) -> Channel:
    """Describe the scale and the axis of a position. All layers of a panel share it.

    With `pad`, the axis is a little longer than the span of the values.
    """
    scale: Channel = {"zero": from_zero} if limits is None else {"domain": list(limits), "nice": False}
    axis: Channel = {"grid": grid}
    if log:
        scale = {"type": "log", "nice": False} | ({"domain": list(limits)} if limits else {})
    if pad:
        scale |= {"nice": False, "padding": PADDING}
    if format:
        axis["format"] = format
    if ticks is not None:
        axis["tickCount" if isinstance(ticks, int) else "values"] = ticks
        axis["labelOverlap"] = "greedy"
    return {"scale": scale, "axis": axis}


def make_places(names: Sequence[str]) -> Channel:
    """Encode the column `name` by its place among all names, on the horizontal axis."""
    tilted = sum(map(len, names)) > 36
    axis = {"labelAngle": -35, "labelLimit": 110} if tilted else {"labelAngle": 0}
    scale = {"type": "point", "domain": list(names), "padding": 0.5}
    return {"field": "name", "type": "nominal", "title": None, "scale": scale, "axis": axis | {"grid": False}}


def make_colour(styles: Iterable[ArmStyle]) -> Channel:
    """Encode the column `name` by the colours of the arms. A mark with an empty name belongs to no arm."""
    return _make_choice({style.name: to_hex(style.colour) for style in styles} | {"": INK})


def make_shape(styles: Iterable[ArmStyle]) -> Channel:
    """Encode the column `name` by the markers of the arms."""
    return _make_choice({style.name: SHAPES[style.marker] for style in styles})


def _make_choice(choices: Mapping[str, str]) -> Channel:
    scale = {"domain": list(choices), "range": list(choices.values())}
    return {"field": "name", "type": "nominal", "scale": scale, "legend": None}


def make_legend(styles: Sequence[ArmStyle], kind: Literal["mark", "line"] = "mark") -> list[Entry]:
    """Make one entry for each arm. A single arm, and more arms than `MOST_ARMS`, have no entries."""
    if not 1 < len(styles) <= MOST_ARMS:
        return []
    return [
        Entry(name=style.name, colour=to_hex(style.colour), path=SHAPES[style.marker], kind=kind)
        for style in styles
    ]


YES_NO = {True: "yes", False: "no"}
"""How a table shows whether something holds."""
BARE = {"tooltip": None, "color": INK}
"""The options of marks that have no tooltip and belong to no arm."""
TOLD: dict[str, Any] = {"tooltip": {"content": "data"}}
"""The option of marks that have a tooltip."""
