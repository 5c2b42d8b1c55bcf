"""The interactive figures of judged runs."""

import math

import pandas as pd

from ablate.figures.judged_data import JudgedData, choose_rows, choose_runs, label_direction, split_by_arm
from ablate.figures.plots.layers import AXIS, ROW, layer_differences, make_runs_panel
from ablate.figures.plots.plot import INK, Column, Entry, Panel, Plot, make_legend, name_arms
from ablate.formatting import spell_keyword

DIGITS = 4
"""A number without a unit is written with this many significant digits of the largest value."""


def plot_differences(data: JudgedData) -> Plot:
    """Plot one row for each arm with its difference from the baseline and its interval."""
    rows = choose_rows(data.comparisons)
    rows = rows.assign(label=rows["arm"].map(dict(data.arms)), place=range(len(rows)))
    return _plot_rows(data, rows, [("", rows)])


def plot_differences_by_part(data: JudgedData) -> Plot:
    """Plot one panel for each arm, with one row for each part."""
    _, by_arm = split_by_arm(data)
    panels = [
        (data.arms[arm], rows.assign(label=rows["part"].map(dict(data.parts)), place=range(len(rows))))
        for arm, rows in by_arm.items()
    ]
    return _plot_rows(data, pd.concat([rows for _, rows in panels], ignore_index=True), panels)


def _plot_rows(data: JudgedData, rows: pd.DataFrame, groups: list[tuple[str, pd.DataFrame]]) -> Plot:
    form = "+.2f" if data.is_share else choose_format(rows["difference"], "+")
    quantity = f"difference in {spell_keyword(data.metric)}{' (percentage points)' if data.is_share else ''}"
    baseline = next(iter(data.arms.values()))
    below = f"{quantity} from {baseline}{label_direction(data)}"
    fields = ["label", "name", "difference", "ci_low", "ci_high", "place"]
    panels = [
        Panel(
            layers=layer_differences(len(here), data.margin, data.styles),
            data={"rows": name_arms(here, data.styles)[fields]},
            above=title,
            below=below,
            height=ROW * len(here) + AXIS,
        )
        for title, here in groups
    ]
    of_part = [Column(field="label", heading="part")] if len(data.parts) > 1 else []
    columns = (
        *of_part,
        Column(field="name", heading="arm"),
        Column(field="difference", heading=quantity, format=form),
        Column(field="ci_low", heading="lower end of the interval", format=form),
        Column(field="ci_high", heading="upper end of the interval", format=form),
    )
    band = [] if data.margin is None else [Entry(name="margin", colour=INK, kind="band")]
    named = name_arms(rows, data.styles)
    return Plot(rows=named, columns=columns, table="comparisons", panels=panels, legend=band)


def plot_all_runs(data: JudgedData) -> Plot:
    """Plot every run as a mark, with one panel for each part."""
    styles, by_part = choose_runs(data)
    quantity = f"{spell_keyword(data.metric)}{label_direction(data)}"
    rows = pd.concat(by_part.values(), ignore_index=True)
    form = ".2%" if data.is_share else choose_format(rows["value"])
    panels = [
        make_runs_panel(
            here.drop(columns="part"),
            styles,
            is_share=data.is_share,
            above=f"{data.parts[part]}: {quantity}" if data.parts[part] else quantity,
        )
        for part, here in by_part.items()
    ]
    named = name_arms(rows, styles).assign(told=rows["part"].map(dict(data.parts)))
    columns = [
        *([Column(field="told", heading="part")] if len(data.parts) > 1 else []),
        Column(field="name", heading="arm"),
        *([Column(field="seed", heading="seed")] if "seed" in rows else []),
        Column(field="value", heading=quantity, format=form),
        Column(field="mean", heading="mean of the arm", format=form),
    ]
    return Plot(
        rows=named, columns=columns, table=None, panels=panels, legend=make_legend(list(styles.values()))
    )


def choose_format(values: pd.Series, sign: str = "") -> str:
    """Choose the decimals for numbers without a unit: the largest value has `DIGITS` significant digits."""
    largest = values.abs().max()
    exponent = math.floor(math.log10(largest)) if largest > 0 and math.isfinite(largest) else 0
    return f"{sign},.{min(max(DIGITS - 1 - exponent, 0), 12)}f"
