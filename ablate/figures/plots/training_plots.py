"""The interactive figures of tuning and training."""

import pandas as pd

from ablate.figures.canvas import ArmStyle, Styles
from ablate.figures.plots.layers import make_margin
from ablate.figures.plots.plot import (
    BARE,
    INK,
    TOLD,
    YES_NO,
    Column,
    Entry,
    Layer,
    Panel,
    Plot,
    list_present,
    make_colour,
    make_layer,
    make_legend,
    make_quantity,
    make_seen_on_hover,
    make_shape,
    name_arms,
)
from ablate.figures.points import MOST_TOGETHER
from ablate.figures.training_figures import find_scale, needs_log_loss, summarise_curves
from ablate.formatting import format_margin, spell_keyword
from ablate.study.spec import StudySpec

BAND = BARE | {"opacity": 0.15}
LARGE = TOLD | {"filled": True, "size": 90}
"""The options of marks that are easy to point at."""
QUANTITIES = {
    "train_loss": "training loss (nats)",
    "train_accuracy": "training accuracy",
    "validation_accuracy": "validation accuracy",
}


def plot_tuning_curves(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Plot:
    """Plot validation accuracy over each tuned parameter, a line per arm. A ring marks the chosen value."""
    arms = list_present(data, styles)
    rows = name_arms(data, styles).drop(columns="arm")
    rows["taken"] = data["chosen"].map(YES_NO)
    rows["spelled"] = data["parameter"].map(spell_keyword)
    rows["written"] = [f"{value:.4g}" for value in data["value"]]
    panels = [
        _panel_parameter(rows[rows["parameter"] == name], arms, log=study.tuning.ranges[name][0].log)
        for name in dict.fromkeys(data["parameter"])
    ]
    ring = Entry(name="confirmed with this value", colour=INK, kind="ring")
    return Plot(
        rows=rows,
        columns=(
            Column(field="name", heading="arm"),
            Column(field="seed", heading="tuning seed"),
            Column(field="spelled", heading="tuned parameter"),
            Column(field="written", heading="value"),
            Column(field="validation_accuracy", heading="validation accuracy", format=".2%"),
            Column(field="taken", heading="chosen value"),
        ),
        table="runs",
        panels=panels,
        legend=[*make_legend(arms), ring],
    )


def _panel_parameter(here: pd.DataFrame, arms: list[ArmStyle], *, log: bool) -> Panel:
    accuracy = "validation_accuracy"
    means = here.groupby(["name", "value"], as_index=False, sort=False)[accuracy].mean()
    taken = here[here["chosen"]].groupby("name", as_index=False, sort=False)[["value", accuracy]].mean()
    ticks = sorted(set(here["value"])) if log else 6
    x = make_quantity("value", format=".3~g", log=log, ticks=ticks, grid=False, pad=True)
    y, colour = make_quantity(accuracy, format="%"), make_colour(arms)
    ring = {"tooltip": None, "size": 260, "strokeWidth": 2, "filled": False}
    layers = [
        make_layer("line", "means", {"tooltip": None, "strokeWidth": 1.8}, x=x, y=y, color=colour),
        make_layer("point", "taken", ring, x=x, y=y, color=colour),
        make_layer(
            "point",
            "means",
            {"tooltip": None, "filled": True, "size": 55},
            x=x,
            y=y,
            color=colour,
            shape=make_shape(arms),
        ),
        make_layer("point", "runs", TOLD | {"filled": True, "size": 26}, x=x, y=y, color=colour),
    ]
    fields = ["name", "seed", "spelled", "written", "value", accuracy, "taken"]
    return Panel(
        layers=layers,
        data={"means": means, "taken": taken, "runs": here[fields]},
        above=accuracy.replace("_", " "),
        below=here["spelled"].iloc[0],
    )


def plot_training_curves(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Plot:
    """Plot loss and accuracies over the epochs, as means over seeds with the range of all seeds."""
    arms = list_present(data, styles)
    curves = summarise_curves(data)
    by_epoch = data.groupby(["arm", "quantity", "epoch"], sort=False)
    ends = {
        "setting": by_epoch["setting"].first().to_numpy(),
        "lowest": data.loc[by_epoch["value"].idxmin(), "seed"].to_numpy(),
        "highest": data.loc[by_epoch["value"].idxmax(), "seed"].to_numpy(),
    }
    rows = name_arms(curves, styles).assign(**ends, told=curves["quantity"].map(QUANTITIES))
    rows = rows.drop(columns="arm")
    of_loss = rows["quantity"] == "train_loss"
    rows["how"] = of_loss.map({True: ".4f", False: ".2%"})
    panels = [
        _panel_curves(rows[chosen], arms, log=log)
        for chosen, log in ((of_loss, needs_log_loss(curves)), (~of_loss, False))
        if chosen.any()
    ]
    lines = [
        Entry(name="training accuracy", colour=INK, kind="line"),
        Entry(name="validation accuracy", colour=INK, kind="dashed"),
    ]
    return Plot(
        rows=rows,
        columns=(
            Column(field="name", heading="arm"),
            Column(field="told", heading="quantity"),
            Column(field="setting", heading="setting"),
            Column(field="epoch", heading="epoch", format=".1f"),
            Column(field="mean", heading="mean over seeds", format_from="how"),
            Column(field="min", heading="lowest value", format_from="how"),
            Column(field="lowest", heading="seed of the lowest value"),
            Column(field="max", heading="highest value", format_from="how"),
            Column(field="highest", heading="seed of the highest value"),
        ),
        table="epochs",
        panels=panels,
        legend=[*make_legend(arms, "line"), *lines],
    )


def _panel_curves(here: pd.DataFrame, arms: list[ArmStyle], *, log: bool) -> Panel:
    is_loss = here["quantity"].iloc[0] == "train_loss"
    x = make_quantity("epoch", ticks=6, grid=False)
    y = make_quantity("mean", format="" if is_loss else "%", log=log)
    colour = make_colour(arms)
    dash = {
        "field": "quantity",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": list(QUANTITIES), "range": [[1, 0], [1, 0], [5, 4]]},
    }
    by = {"field": "quantity"}
    ends = {"x": x, "y": y | {"field": "min"}, "y2": {"field": "max"}, "color": colour, "detail": by}
    layers = [
        make_layer("area", "rows", BAND, **ends),
        make_layer(
            "line", "rows", {"tooltip": None, "strokeWidth": 1.8}, x=x, y=y, color=colour, strokeDash=dash
        ),
        make_seen_on_hover(make_layer("point", "rows", LARGE, x=x, y=y, color=colour)),
    ]
    above = QUANTITIES["train_loss"] if is_loss else "accuracy"
    return Panel(
        layers=layers, data={"rows": here}, above=above + (", log scale" if log else ""), below="epoch"
    )


def plot_differences_by_epoch(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Plot:
    """Plot a line with a band for each comparison over the epochs, and a grey band for the margin.

    As in the drawing, up to `MOST_TOGETHER` comparisons share one panel.
    """
    arms = list_present(data, styles)
    margin = study.decision.margin * 100
    rows = name_arms(data, styles)
    beside = f" from {data['beside'].iloc[0]}" if data["beside"].iloc[0] else ""
    quantity = "difference in validation accuracy"
    together = rows["label"].nunique() <= MOST_TOGETHER
    groups = [("", rows)] if together else list(rows.groupby("label", sort=False))
    panels = [
        _panel_epochs(here, arms, margin, title or f"{quantity}{beside} (percentage points)")
        for title, here in groups
    ]
    band = Entry(name=f"margin ±{format_margin(study.decision.margin)}", colour=INK, kind="band")
    return Plot(
        rows=rows,
        columns=(
            Column(field="label", heading="comparison"),
            Column(field="epoch", heading="epoch"),
            Column(field="difference", heading=f"{quantity} (percentage points)", format="+.2f"),
            Column(field="ci_low", heading="lower end of the interval", format="+.2f"),
            Column(field="ci_high", heading="upper end of the interval", format="+.2f"),
        ),
        table="differences_by_epoch",
        panels=panels,
        legend=[*(make_legend(arms) if together else []), band],
    )


def _panel_epochs(here: pd.DataFrame, arms: list[ArmStyle], margin: float, title: str) -> Panel:
    limits = find_scale(here, margin)
    x = make_quantity("epoch", format="d", ticks=6, grid=False, pad=True)
    y = make_quantity("difference", limits=limits, ticks=6)
    colour, by = make_colour(arms), {"field": "label"}
    bands: Layer = make_layer(
        "area",
        "rows",
        BAND | {"clip": True},
        x=x,
        y=y | {"field": "ci_low"},
        y2={"field": "ci_high"},
        color=colour,
        detail=by,
    )
    layers = [
        *make_margin(margin, "y"),
        bands,
        make_layer("line", "rows", {"tooltip": None, "clip": True}, x=x, y=y, color=colour, detail=by),
        make_layer(
            "point",
            "rows",
            TOLD | {"filled": True, "size": 45, "clip": True},
            x=x,
            y=y,
            color=colour,
            shape=make_shape(arms),
        ),
    ]
    fields = ["label", "name", "epoch", "difference", "ci_low", "ci_high"]
    return Panel(layers=layers, data={"rows": here[fields]}, above=title, below="epoch", height=300)
