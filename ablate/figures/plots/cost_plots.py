"""The interactive figures of costs: throughput, timing blocks, and the candidates of a search."""

import pandas as pd
from matplotlib.colors import to_hex

from ablate.figures.canvas import ArmStyle, Styles, widen_limits
from ablate.figures.cost_figures import find_least_span
from ablate.figures.plots.plot import (
    BARE,
    CROSS,
    INK,
    SHAPES,
    TOLD,
    YES_NO,
    Column,
    Entry,
    Panel,
    Plot,
    list_present,
    make_colour,
    make_layer,
    make_legend,
    make_quantity,
    make_shape,
    name_arms,
)
from ablate.records.run_records import Status
from ablate.study.spec import StudySpec

CROSSED = {"filled": False, "strokeWidth": 2, "size": 50}
"""The options of marks that are crosses."""
ROOM = 0.25
"""The room beside the marks on the axis of throughput, as a share of the marks' span."""


def plot_accuracy_throughput(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Plot:
    """Plot every arm's accuracy over its throughput, with both intervals. A line is the Pareto front."""
    speed, accuracy = "examples_per_second", "test_accuracy_mean"
    rows = name_arms(data, styles)
    on_front = rows["pareto"].fillna(value=False).astype(bool)
    rows = rows.assign(front=on_front.map(YES_NO)).drop(columns=["arm", "pareto"])
    arms = list_present(data, styles)
    speeds = data[[speed, f"{speed}_ci_low", f"{speed}_ci_high"]]
    low, high = float(speeds.min(axis=None)), float(speeds.max(axis=None))
    room = ROOM * (high - low)
    low, high = widen_limits((low - room, high + room), find_least_span(data))
    x = make_quantity(speed, format=",f", limits=(max(0.0, low), high), ticks=5, grid=False)
    y = make_quantity(accuracy, format="%")
    x_low, y_low = x | {"field": f"{speed}_ci_low"}, y | {"field": "test_accuracy_ci_low"}
    colour = make_colour(arms)
    wide = TOLD | {"strokeWidth": 1.5}
    step = BARE | {"interpolate": "step-before", "opacity": 0.35}
    layers = [
        make_layer("line", "front", step, x=x, y=y, order={"field": speed}),
        make_layer("rule", "rows", wide, x=x, y=y_low, y2={"field": "test_accuracy_ci_high"}, color=colour),
        make_layer("rule", "rows", wide, x=x_low, x2={"field": f"{speed}_ci_high"}, y=y, color=colour),
        make_layer(
            "point",
            "rows",
            TOLD | {"filled": True, "size": 110},
            x=x,
            y=y,
            color=colour,
            shape=make_shape(arms),
        ),
    ]
    front = rows.loc[on_front.to_numpy(), [speed, accuracy]].sort_values(speed)
    return Plot(
        rows=rows,
        columns=(
            Column(field="name", heading="arm"),
            Column(field=accuracy, heading="test accuracy (mean over seeds)", format=".2%"),
            Column(field="test_accuracy_ci_low", heading="lower end of its interval", format=".2%"),
            Column(field="test_accuracy_ci_high", heading="upper end of its interval", format=".2%"),
            Column(field=speed, heading="training examples per second", format=",.0f"),
            Column(field=f"{speed}_ci_low", heading="lower end of its interval", format=",.0f"),
            Column(field=f"{speed}_ci_high", heading="upper end of its interval", format=",.0f"),
            Column(field="front", heading="on the Pareto front"),
        ),
        table="arms",
        panels=(
            Panel(
                layers=layers,
                data={"rows": rows, "front": front},
                above="test accuracy (mean over seeds)",
                below="training examples per second",
            ),
        ),
        legend=make_legend(arms),
    )


def plot_timing_blocks(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Plot:
    """Plot every arm's throughput over the timing blocks. Crosses mark disturbed blocks."""
    speed = "examples_per_second"
    rows = name_arms(data, styles).drop(columns="arm")
    rows["disturbed"] = data["disturbed"].map(YES_NO)
    disturbed = data["disturbed"].to_numpy()
    arms = list_present(data, styles)
    means = rows[~disturbed].groupby(["name", "block"], as_index=False, sort=False)[speed].mean()
    x = make_quantity("block", format="d", ticks=sorted(set(data["block"])), grid=False, pad=True)
    y, colour = make_quantity(speed, format=",f", from_zero=True), make_colour(arms)
    marked = TOLD | {"filled": True, "size": 60}
    layers = [
        make_layer("line", "means", {"strokeWidth": 1.8}, x=x, y=y, color=colour),
        make_layer("point", "clean", marked, x=x, y=y, color=colour, shape=make_shape(arms)),
        make_layer("point", "disturbed", TOLD | CROSSED | {"shape": CROSS}, x=x, y=y, color=colour),
    ]
    crossed = [Entry(name="disturbed, left out", colour=INK, kind="cross")] if disturbed.any() else []
    return Plot(
        rows=rows,
        columns=(
            Column(field="name", heading="arm"),
            Column(field="block", heading="timing block"),
            Column(field=speed, heading="training examples per second", format=",.0f"),
            Column(field="disturbed", heading="disturbed"),
        ),
        table="timing",
        panels=(
            Panel(
                layers=layers,
                data={"means": means, "clean": rows[~disturbed], "disturbed": rows[disturbed]},
                above="training examples per second",
                below="timing block",
            ),
        ),
        legend=[*make_legend(arms), *crossed],
    )


def plot_candidates(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Plot:
    """Plot every candidate's accuracy over its FLOPs, and the hypervolume after each generation."""
    baseline = next(iter(styles.values()))
    rows = data.assign(
        generation=data["generation"] + 1,
        flops_per_example=data["flops_per_example"].astype(int),
        told=data["status"].map({Status.COMPLETE: "trained", Status.PRUNED: "stopped early"}),
        front=data["pareto"].map(YES_NO),
        final=data["finalist"].map(YES_NO),
    )
    columns = (
        Column(field="arm", heading="candidate"),
        Column(field="setting", heading="setting"),
        Column(field="generation", heading="generation"),
        Column(field="validation_accuracy", heading="validation accuracy (one seed)", format=".2%"),
        Column(field="flops_per_example", heading="FLOPs per example", format=",d"),
        Column(field="told", heading="training"),
        Column(field="front", heading="on the Pareto front"),
        Column(field="final", heading="finalist"),
        Column(field="hypervolume", heading="hypervolume", format=".4f"),
    )
    entries = [
        Entry(name="tried", colour=INK, kind="mark"),
        Entry(name="stopped early", colour=INK, kind="cross"),
        Entry(name="finalist", colour=INK, kind="ring"),
        Entry(name=baseline.name, colour=to_hex(baseline.colour), kind="mark", path=SHAPES["*"]),
    ]
    return Plot(
        rows=rows,
        columns=columns,
        table="candidates",
        panels=(
            _panel_candidates(rows, [column.field for column in columns[:-1]], baseline),
            _panel_growth(rows),
        ),
        legend=entries,
    )


def _panel_candidates(rows: pd.DataFrame, fields: list[str], baseline: ArmStyle) -> Panel:
    cost, accuracy = "flops_per_example", "validation_accuracy"
    x = make_quantity(cost, format=",f", log=True, ticks=4, grid=False, pad=True)
    y = make_quantity(accuracy, format="%")
    trained, stopped = (rows[rows["status"] == status] for status in (Status.COMPLETE, Status.PRUNED))
    front = rows.loc[rows["pareto"], [cost, accuracy]].sort_values(cost)
    own = TOLD | {"filled": True, "size": 150, "shape": SHAPES["*"], "color": to_hex(baseline.colour)}
    ring = BARE | TOLD | {"filled": False, "size": 160, "strokeWidth": 1.5}
    layers = [
        make_layer("line", "front", BARE | {"interpolate": "step-after"}, x=x, y=y, order={"field": cost}),
        make_layer("point", "stopped", BARE | TOLD | CROSSED | {"shape": CROSS, "opacity": 0.4}, x=x, y=y),
        make_layer("point", "tried", BARE | TOLD | {"filled": True, "size": 50, "opacity": 0.5}, x=x, y=y),
        make_layer("point", "finalists", ring, x=x, y=y),
        make_layer("point", "own", own, x=x, y=y),
    ]
    data = {
        "tried": trained[fields],
        "stopped": stopped[fields],
        "front": front,
        "finalists": rows.loc[rows["finalist"], fields],
        "own": rows.loc[rows["is_baseline"], fields],
    }
    above, below = "validation accuracy (one seed)", "FLOPs per example (forward pass)"
    return Panel(layers=layers, data=data, above=above, below=below)


def _panel_growth(rows: pd.DataFrame) -> Panel:
    covered = rows.groupby("generation", as_index=False)["hypervolume"].last()
    x = make_quantity("generation", format="d", ticks=8, grid=False)
    y = make_quantity("hypervolume", from_zero=True)
    options = BARE | TOLD | {"point": {"filled": True, "size": 60, "color": INK}}
    return Panel(
        layers=[make_layer("line", "covered", options, x=x, y=y)],
        data={"covered": covered},
        above="hypervolume (accuracy × decades of FLOPs)",
        below="generation",
    )
