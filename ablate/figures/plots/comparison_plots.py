"""The interactive figures of comparisons: differences, and the result of every seed."""

import pandas as pd

from ablate.figures.canvas import Styles
from ablate.figures.plots.layers import AXIS, ROW, layer_differences, make_runs_panel
from ablate.figures.plots.plot import INK, Column, Entry, Panel, Plot, make_legend, name_arms
from ablate.formatting import format_margin, spell_keyword
from ablate.metrics import METRICS
from ablate.study.spec import StudySpec


def plot_differences(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Plot:
    """Plot one row for each comparison with its difference and interval. A band shows the margin."""
    metric = METRICS[study.decision.metric]
    written = "+.2f" if metric.unit == "points" else "+.4f"
    quantity = f"difference in test {spell_keyword(study.decision.metric)}"
    beside = f" from {data['beside'].iloc[0]}" if data["beside"].iloc[0] else ""
    margin = format_margin(study.decision.margin, metric.unit)
    rows = name_arms(data, styles).assign(place=range(len(data)))
    columns = (
        Column(field="label", heading="comparison"),
        Column(field="difference", heading=f"{quantity}{metric.axis_unit}", format=written),
        Column(field="ci_low", heading="lower end of the interval", format=written),
        Column(field="ci_high", heading="upper end of the interval", format=written),
    )
    panel = Panel(
        layers=layer_differences(len(rows), study.decision.margin * metric.axis_scale, styles),
        data={"rows": rows[["label", "difference", "ci_low", "ci_high", "name", "place"]]},
        above="",
        below=f"{quantity}{beside}{metric.axis_unit}",
        height=ROW * len(rows) + AXIS,
    )
    return Plot(
        rows=rows,
        columns=columns,
        table="comparisons",
        panels=(panel,),
        legend=(Entry(name=f"margin ±{margin}", colour=INK, kind="band"),),
    )


def plot_paired_seeds(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Plot:
    """Plot every run as a mark and every arm's mean as a bar. A line joins the runs of one seed."""
    is_share = METRICS[study.decision.metric].unit == "points"
    written, quantity = ".2%" if is_share else ".4f", f"test {spell_keyword(study.decision.metric)}"
    arms = list(styles.values())
    return Plot(
        rows=name_arms(data, styles),
        columns=(
            Column(field="name", heading="arm"),
            Column(field="seed", heading="seed"),
            Column(field="setting", heading="setting"),
            Column(field="value", heading=quantity, format=written),
            Column(field="mean", heading="mean of the arm", format=written),
        ),
        table="runs" if study.decision.metric == "accuracy" else "metrics",
        panels=(make_runs_panel(data, styles, is_share=is_share, above=quantity),),
        legend=make_legend(arms),
    )
