"""Draw how arms were tuned and trained."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from ablate.figures.canvas import (
    DARK,
    LINE_HEIGHT,
    MOST_ARMS,
    NEUTRAL,
    NUMBERS,
    ROUND_STEPS,
    Styles,
    create_grid,
    create_panel,
    create_panels,
    draw_legend,
    draw_mean_lines,
    format_accuracy_axis,
    label_column,
    tilt_labels,
    wrap_label,
)
from ablate.figures.points import MOST_TOGETHER
from ablate.formatting import format_margin
from ablate.study.spec import StudySpec

LABEL_SHARE = 0.06
"""The smallest distance between two labels, as a share of the length of their axis."""
MOST_LEVEL_TICKS = 8
"""A logarithmic axis with more ticks than this has tilted labels."""
LOG_LOSS = 5.0
"""The loss axis is logarithmic if an arm's highest loss is more than this many times the median over arms."""
MOST_MARKS = 24
"""A line has marks only if it has at most this many epochs."""
LEGEND_LETTERS, LABEL_LETTERS = 60, 44
"""The maximum number of letters in a line of a legend below a figure, and of a vertical axis's label."""
DASHES: dict[str, Any] = {"train_loss": "-", "train_accuracy": "-", "validation_accuracy": "--"}


def draw_tuning_curves(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw validation accuracy over each tuned parameter, a line per arm. A ring marks the chosen value."""
    parameters = list(dict.fromkeys(data["parameter"]))
    figure, panels = create_panels(len(parameters))
    for axes, parameter in zip(panels, parameters, strict=True):
        here = data[data["parameter"] == parameter]
        draw_mean_lines(axes, here, "value", "validation_accuracy", styles, alpha=0.85)
        for arm, runs in here.groupby("arm", sort=False):
            colour = styles[arm].colour
            axes.plot(runs["value"], runs["validation_accuracy"], "o", color=colour, markersize=3, zorder=1.5)
            chosen = runs.loc[runs["chosen"], ["value", "validation_accuracy"]].mean()
            axes.plot(*chosen, "o", color=colour, markersize=15, fillstyle="none", markeredgewidth=1.8)
        if study.tuning.ranges[parameter][0].log:
            axes.set_xscale("log")
            values = sorted(set(here["value"]))
            axes.set_xticks(values, _label_ticks(values))
            if len(values) > MOST_LEVEL_TICKS:
                tilt_labels(axes, 45)
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.minorticks_off()
        format_accuracy_axis(axes)
        axes.set(xlabel=label_column(parameter), ylabel="validation accuracy")
        draw_legend(axes)
    return figure


def _label_ticks(values: Sequence[float]) -> list[str]:
    """Label the ticks of a logarithmic axis. A label that would overlap the previous label is left empty."""
    labels, last = [], 0.0
    for value in values:
        near = last > 0 and math.log(value / last) < LABEL_SHARE * math.log(values[-1] / values[0])
        labels.append("" if near else f"{value:.3g}")
        last = last if near else value
    return labels


def draw_training_curves(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw loss at the left and accuracies at the right, as means over seeds with the range of all seeds."""
    figure, (loss, accuracy) = create_panels(2)
    curves = summarise_curves(data)
    for (arm, quantity), curve in curves.groupby(["arm", "quantity"], sort=False):
        axes, colour = loss if quantity == "train_loss" else accuracy, styles[arm].colour
        axes.plot(curve["epoch"], curve["mean"], DASHES[quantity], color=colour)
        axes.fill_between(curve["epoch"], curve["min"], curve["max"], color=colour, alpha=0.15, linewidth=0)
    for axes in (loss, accuracy):
        axes.set_xlabel("epoch")
    loss.set_ylabel("training loss (nats)")
    if needs_log_loss(curves):
        loss.set_yscale("log")
        loss.set_ylabel("training loss (nats, log scale)")
        loss.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        loss.yaxis.set_major_formatter(NUMBERS)
        loss.yaxis.set_minor_formatter(NullFormatter())
    accuracy.set_ylabel("accuracy")
    format_accuracy_axis(accuracy)
    _draw_common_legend(figure, data, styles)
    return figure


def summarise_curves(data: pd.DataFrame) -> pd.DataFrame:
    """Summarise each quantity of each arm after each epoch: the mean over seeds, the minimum, the maximum."""
    # pandas summarises all groups at once. seaborn takes one group at a time: too slow for a hundred arms.
    by_epoch = data.groupby(["arm", "quantity", "epoch"], sort=False)["value"]
    return by_epoch.agg(["mean", "min", "max"]).reset_index()


def needs_log_loss(curves: pd.DataFrame) -> bool:
    """Say whether the axis of the loss is logarithmic. `curves` comes from `summarise_curves`."""
    losses = curves[curves["quantity"] == "train_loss"]
    return bool(losses["mean"].max() > LOG_LOSS * losses.groupby("arm")["mean"].max().median())


def draw_differences_by_epoch(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw a line with a band for each comparison over the epochs, and a grey band for the margin.

    Up to `MOST_TOGETHER` comparisons share one panel. If there are more, each comparison has its own panel.
    """
    curves = list(data.groupby("label", sort=False))
    beside = data["beside"].iloc[0]
    quantity = "difference in validation accuracy (points)"
    if beside:
        quantity += f"\n{wrap_label(f'from {beside}', LABEL_LETTERS, most_lines=2)}"
    if len(curves) <= MOST_TOGETHER:
        names = [wrap_label(label, LEGEND_LETTERS, most_lines=3) for label, _ in curves]
        lines = sum(name.count("\n") + 1 for name in names)
        figure, axes = create_panel(width=5.6, height=3.8 + LINE_HEIGHT * lines)
        panels = [axes] * len(curves)
        _prepare_epoch_panel(axes, data, study)
        axes.set(xlabel="epoch", ylabel=quantity)
    else:
        names = [wrap_label(label, most_lines=5) for label, _ in curves]
        tallest = max(name.count("\n") + 1 for name in names)
        figure, panels = create_grid(len(curves), 2, width=2.8, height=1.7 + LINE_HEIGHT * tallest)
        for axes, name, (_, curve) in zip(panels, names, curves, strict=True):
            _prepare_epoch_panel(axes, curve, study)
            axes.set_title(name, fontsize=8, loc="left")
        for axes in panels[-2:]:
            axes.set_xlabel("epoch")
        figure.supylabel(quantity, fontsize=9)
    seen: set[str] = set()
    for axes, name, (_, curve) in zip(panels, names, curves, strict=True):
        arm, epochs = curve["arm"].iloc[0], curve["epoch"]
        line = "--" if arm in seen else "-"  # the second comparison of an arm is dashed
        seen.add(arm)
        colour, mark = styles[arm].colour, styles[arm].marker if len(curve) <= MOST_MARKS else ""
        axes.fill_between(epochs, curve["ci_low"], curve["ci_high"], color=colour, alpha=0.15, linewidth=0)
        axes.plot(epochs, curve["difference"], f"{mark}{line}", color=colour, markersize=4, label=name)
    handles = panels[0].get_legend_handles_labels()[0]
    handles = handles if len(curves) <= MOST_TOGETHER else handles[:1]  # titles name the comparisons
    figure.legend(handles=handles, loc="outside lower center", fontsize=8)
    return figure


def _prepare_epoch_panel(axes: Axes, here: pd.DataFrame, study: StudySpec) -> None:
    """Draw the margin and a line at zero. The vertical axis is chosen for the second half of the epochs."""
    margin = study.decision.margin * 100
    told = f"margin ±{format_margin(study.decision.margin)}"
    axes.axhspan(-margin, margin, color="0.92", zorder=0, label=told)
    axes.axhline(0, color=NEUTRAL, linewidth=1)
    axes.set_ylim(find_scale(here, margin))
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(8, steps=ROUND_STEPS))


def find_scale(here: pd.DataFrame, margin: float) -> tuple[float, float]:
    """Find the ends of the vertical axis: the second half of the epochs and the margin fit between them.

    In the first epochs, runs can still be at chance, and differences can be fifty times the margin.
    """
    late = here[here["epoch"] >= here["epoch"].max() / 2]
    low = min(late["ci_low"].min(), -margin)
    high = max(late["ci_high"].max(), margin)
    room = 0.06 * (high - low)
    return low - room, high + room


def _draw_common_legend(figure: Figure, data: pd.DataFrame, styles: Styles) -> None:
    """Draw one legend below both panels, with a colour for each arm and a line style for each accuracy."""
    present = set(data["arm"])
    arms = [style for arm, style in styles.items() if arm in present]
    entries = [Line2D([], [], color=style.colour, label=wrap_label(style.name)) for style in arms]
    entries += [
        Line2D([], [], color=DARK, linestyle=DASHES[quantity], label=told)
        for quantity, told in (
            ("train_accuracy", "training accuracy"),
            ("validation_accuracy", "validation accuracy"),
        )
        if quantity in set(data["quantity"])
    ]
    if len(arms) <= MOST_ARMS:
        figure.legend(handles=entries, loc="outside lower center", ncols=4, fontsize=8)
