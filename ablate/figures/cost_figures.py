"""Drawings of what accuracy costs: throughput, timing blocks, the candidates of a search."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from ablate.figures.canvas import (
    PALETTE,
    accuracy_axis,
    canvas,
    legend,
    lines,
    markers,
    palette,
    side_by_side,
    widen,
    words,
)
from ablate.records.run_records import Status
from ablate.study.spec import StudySpec

LEAST_SHARE = 0.1
"""Of the median throughput: the axis spans at least this, so that a difference of 0.1 % looks like one."""
INTERVALS_ACROSS = 3.0
"""The axis spans at least this many of the widest throughput interval."""


def draw_cost(data: pd.DataFrame, study: StudySpec) -> Figure:
    """Accuracy against throughput, both better outwards; the Pareto front joined."""
    arms = list(data["arm"])
    figure, axes = canvas()
    front = data[data["pareto"].fillna(value=False).astype(bool)].sort_values("examples_per_second")
    axes.plot(
        front["examples_per_second"],
        front["test_accuracy_mean"],
        color="0.8",
        zorder=1,
        drawstyle="steps-pre",
    )
    for row in data.itertuples():
        place = (row.examples_per_second, row.test_accuracy_mean)
        accuracies = [row.test_accuracy_ci_low, row.test_accuracy_ci_high]
        speeds = [row.examples_per_second_ci_low, row.examples_per_second_ci_high]
        for x, y in (([place[0]] * 2, accuracies), (speeds, [place[1]] * 2)):
            axes.plot(x, y, color=palette(arms)[row.arm], linewidth=1.5)
    sns.scatterplot(
        data,
        x="examples_per_second",
        y="test_accuracy_mean",
        hue="arm",
        style="arm",
        markers=markers(arms),
        palette=palette(arms),
        s=70,
        ax=axes,
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    accuracy_axis(axes, decimals=1)
    axes.margins(x=0.25, y=0.2)
    axes.set_xlim(widen(axes.get_xlim(), _least_span(data)))
    axes.set(
        xlabel="training examples per second, alone on the machine", ylabel="test accuracy (mean over seeds)"
    )
    legend(axes)
    return figure


def _least_span(data: pd.DataFrame) -> float:
    """The narrowest horizontal axis that does not enlarge noise, in examples per second."""
    widest = (data["examples_per_second_ci_high"] - data["examples_per_second_ci_low"]).max()
    least = LEAST_SHARE * float(data["examples_per_second"].median())
    return least if pd.isna(widest) else max(least, INTERVALS_ACROSS * float(widest))


def draw_timing(data: pd.DataFrame, study: StudySpec) -> Figure:
    """Every timing block: a drift or a disturbance shows as a slope or a stray."""
    arms = list(dict.fromkeys(data["arm"]))
    figure, axes = canvas()
    clean, disturbed = data[~data["disturbed"]], data[data["disturbed"]]
    if not clean.empty:
        lines(axes, clean, "block", "examples_per_second", arms)
    for number, (arm, blocks) in enumerate(disturbed.groupby("arm", sort=False)):
        once = "" if number else "disturbed, left out"
        axes.plot(
            blocks["block"],
            blocks["examples_per_second"],
            "x",
            color=palette(arms)[arm],
            label=f"{arm}, disturbed" if clean.empty else once,
        )
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylim(bottom=0)
    axes.set_xticks(sorted(set(data["block"])))
    axes.set(xlabel="block", ylabel="training examples per second")
    legend(axes)
    return figure


def draw_candidates(data: pd.DataFrame, study: StudySpec) -> Figure:
    """Every candidate's accuracy against its FLOPs, and how much the front covered after each generation."""
    figure, (axes, growth) = side_by_side(2)
    kinds = {
        Status.COMPLETE: ("o", "0.65", "tried"),
        Status.PRUNED: ("x", "0.8", "stopped early"),
    }
    for status, (mark, grey, told) in kinds.items():
        here = data[data["status"] == status]
        axes.plot(here["flops_per_example"], here["validation_accuracy"], mark, color=grey, label=told)
    colours = sns.color_palette(PALETTE)
    front = data[data["pareto"]].sort_values("flops_per_example")
    axes.step(
        front["flops_per_example"], front["validation_accuracy"], where="post", color=colours[0], zorder=1
    )
    for flag, mark, size, colour in (("finalist", "o", 11, colours[0]), ("is_baseline", "*", 13, colours[1])):
        here = data[data[flag]]
        axes.plot(
            here["flops_per_example"],
            here["validation_accuracy"],
            mark,
            fillstyle="none" if flag == "finalist" else "full",
            markersize=size,
            color=colour,
            label=words(flag.removeprefix("is_")),
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", rotation=30)
    accuracy_axis(axes, decimals=0)
    axes.set(xlabel="forward FLOP an example", ylabel="validation accuracy (one seed)")
    axes.legend(fontsize=8)
    covered = data.groupby("generation")["hypervolume"].last()
    growth.plot(covered.index + 1, covered, "o-", color=colours[0])
    growth.set_ylim(bottom=0)
    growth.set_xticks(covered.index + 1)
    growth.set(xlabel="generation", ylabel="hypervolume (accuracy × decades of FLOP)")
    return figure


def draw_importance(data: pd.DataFrame, study: StudySpec) -> Figure:
    """A bar a factor and evaluator."""
    figure, axes = canvas(height=1.2 + 0.45 * data["factor"].nunique())
    shown = data.assign(factor=data["factor"].map(words))
    sns.barplot(shown, y="factor", x="share", hue="evaluator", palette=PALETTE, ax=axes)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlabel="share of the spread of validation accuracy (screening, no test)", ylabel="")
    axes.grid(visible=False)
    axes.legend(title=None, fontsize=8)
    return figure
