"""Layers that several interactive figures share: the margin, differences, and runs."""

from itertools import product
from typing import Literal

import pandas as pd

from ablate.figures.canvas import Styles
from ablate.figures.plots.plot import (
    BARE,
    TOLD,
    Layer,
    Panel,
    make_colour,
    make_layer,
    make_places,
    make_quantity,
    make_shape,
    name_arms,
)

ROW, AXIS = 46, 36
"""The heights in CSS pixels of a row of differences, and of the horizontal axis."""


def make_margin(margin: float | None, side: Literal["x", "y"]) -> list[Layer]:
    """Make the grey band for the margin, if there is one, and the line at zero, along the axis `side`."""
    ends = {"values": [] if margin is None else [{"low": -margin, "high": margin}]}
    band = {
        "mark": {"type": "rect", **BARE, "opacity": 0.09},
        "data": ends,
        "encoding": {
            side: {"field": "low", "type": "quantitative", "title": None},
            f"{side}2": {"field": "high"},
        },
    }
    line = {"mark": {"type": "rule", **BARE, "opacity": 0.6}, "encoding": {side: {"datum": 0}}}
    bands = [] if margin is None else [band]
    return [*bands, line | {"data": {"values": [{}]}}]


def layer_differences(count: int, margin: float | None, styles: Styles) -> list[dict[str, object]]:
    """Make the layers of `count` differences. Each label stands above its interval."""
    scale = {"domain": [count - 0.6, -0.75], "nice": False, "zero": False}
    y = {"field": "place", "type": "quantitative", "title": None, "axis": None, "scale": scale}
    colour = make_colour(styles.values())
    label = {"align": "left", "baseline": "bottom", "dy": -8, "limit": {"expr": "width"}, "fontSize": 13}
    low, middle = (make_quantity(field, grid=False) for field in ("ci_low", "difference"))
    return [
        *make_margin(margin, "x"),
        make_layer(
            "rule", "rows", TOLD | {"strokeWidth": 3}, x=low, x2={"field": "ci_high"}, y=y, color=colour
        ),
        make_layer("point", "rows", TOLD | {"filled": True, "size": 110}, x=middle, y=y, color=colour),
        make_layer("text", "rows", BARE | label, x={"value": 2}, y=y, text={"field": "label"}),
    ]


def make_runs_panel(data: pd.DataFrame, styles: Styles, *, is_share: bool, above: str) -> Panel:
    """Plot every run of `data` as a mark, and every arm's mean as a bar. A line joins the runs of one seed.

    `data` has the columns arm, value and mean. Without `seed`, there are no lines.
    """
    runs = name_arms(data, styles)
    means = runs.dropna(subset=["mean"]).drop_duplicates("arm")[["name", "mean"]]
    x = make_places([style.name for style in styles.values()])
    y, mean = (make_quantity(field, format="%" if is_share else "") for field in ("value", "mean"))
    marked = {"color": make_colour(styles.values()), "shape": make_shape(styles.values())}
    bar = BARE | TOLD | {"thickness": 3, "size": 26, "orient": "horizontal"}
    # Marks of runs come last, so that the pointer can reach each of them.
    layers = [
        make_layer("tick", "means", bar, x=x, y=mean),
        make_layer("point", "runs", TOLD | {"filled": True, "size": 70}, x=x, y=y, **marked),
    ]
    if "seed" in runs:
        # A seed without a run in an arm has a row without a value there, so that its line has a gap.
        every = pd.DataFrame(product(styles, sorted(set(data["seed"]))), columns=["arm", "seed"])
        runs = name_arms(every.merge(data, how="left"), styles)
        runs = runs.assign(place=runs["arm"].map({arm: place for place, arm in enumerate(styles)}))
        joined: dict[str, object] = {"detail": {"field": "seed"}, "order": {"field": "place"}}
        thin = BARE | {"opacity": 0.25, "strokeWidth": 1.2}
        layers.insert(0, make_layer("line", "runs", thin, x=x, y=y, **joined))
    shown = runs.drop(columns=["arm", "mean"])
    return Panel(layers=layers, data={"runs": shown, "means": means}, above=above, below="", height=340)
