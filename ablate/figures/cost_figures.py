"""Draw costs: throughput, timing blocks, the candidates of a search, and the importance of its factors."""

from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from ablate.figures.canvas import (
    DARK,
    NUMBERS,
    PALETTE,
    ROUND_STEPS,
    Styles,
    create_panel,
    create_panels,
    draw_legend,
    draw_mean_lines,
    format_accuracy_axis,
    label_column,
    widen_limits,
    wrap_label,
)
from ablate.records.run_records import Status
from ablate.study.spec import StudySpec

LEAST_SHARE = 0.1
"""The throughput axis spans at least this share of the median throughput, so that 0.1 % looks small."""
INTERVALS_ACROSS = 3.0
"""The throughput axis is at least this many times as wide as the widest throughput interval."""


def draw_accuracy_throughput(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw every arm's accuracy over its throughput, with both intervals. A grey line is the Pareto front."""
    figure, axes = create_panel()
    front = data[data["pareto"].fillna(value=False).astype(bool)].sort_values("examples_per_second")
    axes.plot(
        front["examples_per_second"],
        front["test_accuracy_mean"],
        color="0.7",
        zorder=1,
        drawstyle="steps-pre",
    )
    for row in data.itertuples():
        style = styles[row.arm]
        speed, accuracy = row.examples_per_second, row.test_accuracy_mean
        accuracies = [row.test_accuracy_ci_low, row.test_accuracy_ci_high]
        speeds = [row.examples_per_second_ci_low, row.examples_per_second_ci_high]
        for x, y in (([speed, speed], accuracies), (speeds, [accuracy, accuracy])):
            axes.plot(x, y, color=style.colour, linewidth=1.5)
        axes.plot(
            speed,
            accuracy,
            style.marker,
            color=style.colour,
            markersize=7,
            linestyle="none",
            label=style.name,
        )
    axes.margins(x=0.25, y=0.2)
    format_accuracy_axis(axes)
    low, high = widen_limits(axes.get_xlim(), find_least_span(data))
    axes.set_xlim(max(0.0, low), high)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(NUMBERS)
    axes.set(xlabel="training examples per second", ylabel="test accuracy (mean over seeds)")
    draw_legend(axes)
    return figure


def find_least_span(data: pd.DataFrame) -> float:
    """Find the smallest span of the throughput axis. On a shorter axis, noise would look large."""
    widest = (data["examples_per_second_ci_high"] - data["examples_per_second_ci_low"]).max()
    least = LEAST_SHARE * float(data["examples_per_second"].median())
    return least if pd.isna(widest) else max(least, INTERVALS_ACROSS * float(widest))


def draw_timing_blocks(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw every arm's throughput over the timing blocks. Crosses mark disturbed blocks."""
    figure, axes = create_panel()
    clean, disturbed = data[~data["disturbed"]], data[data["disturbed"]]
    if not clean.empty:
        draw_mean_lines(axes, clean, "block", "examples_per_second", styles)
    for arm, blocks in disturbed.groupby("arm", sort=False):
        axes.plot(
            blocks["block"],
            blocks["examples_per_second"],
            "x",
            color=styles[arm].colour,
            label=f"{styles[arm].name}, disturbed" if clean.empty else None,
        )
    if not (clean.empty or disturbed.empty):
        axes.plot([], [], "x", color=DARK, label="disturbed, left out")
    axes.yaxis.set_major_formatter(NUMBERS)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(12, steps=ROUND_STEPS, integer=True))
    axes.set(xlabel="timing block", ylabel="training examples per second")
    draw_legend(axes)
    return figure


def draw_candidates(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw every candidate's accuracy over its FLOPs, and the hypervolume after each generation."""
    figure, (axes, growth) = create_panels(2)
    kinds = {
        Status.COMPLETE: ("o", "0.65", "tried"),
        Status.PRUNED: ("x", "0.8", "stopped early"),
    }
    for status, (marker, grey, told) in kinds.items():
        here = data[data["status"] == status]
        axes.plot(here["flops_per_example"], here["validation_accuracy"], marker, color=grey, label=told)
    front = data[data["pareto"]].sort_values("flops_per_example")
    axes.step(front["flops_per_example"], front["validation_accuracy"], where="post", color=DARK, zorder=1)
    baseline = next(iter(styles.values()))
    marks: dict[str, dict[str, Any]] = {
        "finalist": {"marker": "o", "fillstyle": "none", "markersize": 11, "color": DARK},
        "is_baseline": {"marker": "*", "markersize": 13, "color": baseline.colour},
    }
    for flag, mark in marks.items():
        here = data[data[flag]]
        axes.plot(
            here["flops_per_example"],
            here["validation_accuracy"],
            linestyle="none",
            label=wrap_label("finalist" if flag == "finalist" else baseline.name),
            **mark,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(NUMBERS)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", rotation=30)
    format_accuracy_axis(axes)
    axes.set(xlabel="FLOPs per example (forward pass)", ylabel="validation accuracy (one seed)")
    axes.legend(fontsize=8)
    covered = data.groupby("generation")["hypervolume"].last()
    growth.plot(covered.index + 1, covered, "o-", color=DARK)
    growth.set_ylim(bottom=0)
    growth.xaxis.set_major_locator(MaxNLocator(12, steps=ROUND_STEPS, integer=True))
    growth.set(xlabel="generation", ylabel="hypervolume (accuracy × decades of FLOPs)")
    return figure


def draw_importance(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw one bar for each factor and each way to estimate its importance."""
    figure, axes = create_panel(height=1.2 + 0.45 * data["factor"].nunique())
    shown = data.assign(factor=data["factor"].map(label_column))
    sns.barplot(shown, y="factor", x="share", hue="evaluator", palette=PALETTE, ax=axes)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlabel="share of the variation in validation accuracy (screening, no test)", ylabel="")
    axes.grid(visible=False)
    axes.legend(title=None, fontsize=8)
    return figure
