"""Drawings of how arms were tuned and trained."""

import math
from collections.abc import Sequence

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from ablate.figures.canvas import (
    MARKS,
    accuracy_axis,
    label,
    legend,
    lines,
    palette,
    side_by_side,
    words,
)
from ablate.study.spec import StudySpec

LABEL_SHARE = 0.06
"""Of an axis, what a label takes at least."""


def draw_tuning(data: pd.DataFrame, study: StudySpec) -> Figure:
    """Validation accuracy over what was tuned, one line an arm, a ring where it was confirmed."""
    arms = list(dict.fromkeys(data["arm"]))
    parameters = list(dict.fromkeys(data["parameter"]))
    figure, panels = side_by_side(len(parameters))
    for axes, parameter in zip(panels, parameters, strict=True):
        here = data[data["parameter"] == parameter]
        lines(axes, here, "value", "validation_accuracy", arms, alpha=0.85)
        sns.scatterplot(
            here,
            x="value",
            y="validation_accuracy",
            hue="arm",
            palette=palette(arms),
            s=14,
            legend=False,
            ax=axes,
        )
        chosen = here[here["chosen"]].groupby("arm")[["value", "validation_accuracy"]].mean()
        for arm, at in chosen.iterrows():
            axes.plot(
                *at, "o", markersize=15, fillstyle="none", color=palette(arms)[str(arm)], markeredgewidth=1.8
            )
        if study.tuning.ranges[parameter][0].log:
            axes.set_xscale("log")
            values = sorted(set(here["value"]))
            axes.set_xticks(values, _apart(values), rotation=0 if len(values) < 9 else 45)
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.minorticks_off()
        accuracy_axis(axes, decimals=0)
        axes.set(xlabel=words(parameter), ylabel="validation accuracy")
        legend(axes)
    return figure


def _apart(values: Sequence[float]) -> list[str]:
    """Labels of a logarithmic axis, empty where one would stand upon the one before it."""
    labels, last = [], 0.0
    for value in values:
        near = last > 0 and math.log(value / last) < LABEL_SHARE * math.log(values[-1] / values[0])
        labels.append("" if near else f"{value:.3g}")
        last = last if near else value
    return labels


def draw_training(data: pd.DataFrame, study: StudySpec) -> Figure:
    """Loss at the left, accuracies at the right: means over seeds with the range of all seeds."""
    arms = list(dict.fromkeys(data["arm"]))
    colours = palette(arms)
    figure, (loss, accuracy) = side_by_side(2)
    wanted = [(loss, ["train_loss"]), (accuracy, ["train_accuracy", "validation_accuracy"])]
    for axes, quantities in wanted:
        here = data[data["quantity"].isin(quantities)].replace(
            {"quantity": {q: words(q) for q in quantities}}
        )
        curves = here.rename(columns={"quantity": "curve"}).groupby(["arm", "curve", "epoch"], sort=False)
        # Summed up at once: seaborn's own way, group after group, took most of a report of a hundred arms.
        summed = curves["value"].agg(["mean", "min", "max"]).reset_index()
        sns.lineplot(
            summed,
            x="epoch",
            y="mean",
            hue="arm",
            style="curve",
            style_order=[words(q) for q in quantities if words(q) in set(here["quantity"])],
            palette=colours,
            estimator=None,
            ax=axes,
        )
        for (arm, _), band in summed.groupby(["arm", "curve"], sort=False):
            axes.fill_between(
                band["epoch"], band["min"], band["max"], color=colours[str(arm)], alpha=0.15, linewidth=0
            )
        axes.set_xlabel("epoch")
        if legend := axes.get_legend():
            legend.remove()
    loss.set_ylabel("train loss (nats)")
    accuracy.set_ylabel("accuracy")
    # One legend for both panels, beside the curves; seaborn's headings 'arm' and 'curve' say nothing more.
    entries = [
        (handle, label(entry))
        for handle, entry in zip(*accuracy.get_legend_handles_labels(), strict=True)
        if entry not in ("arm", "curve")
    ]
    if len(arms) <= len(MARKS):
        figure.legend(*zip(*entries, strict=True), loc="outside lower center", ncols=4, fontsize=8)
    accuracy_axis(accuracy, decimals=0)
    return figure
