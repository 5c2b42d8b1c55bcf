"""Drawings of what was compared: differences, seeds, interactions, steps, published figures."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ablate.figures.canvas import (
    MARKS,
    NEUTRAL,
    PALETTE,
    accuracy_axis,
    canvas,
    label,
    markers,
    palette,
    side_by_side,
    words,
)
from ablate.study.spec import StudySpec


def draw_differences(data: pd.DataFrame, study: StudySpec) -> Figure:
    """A forest: one line an arm, the margin as a band."""
    figure, axes = canvas(height=1.6 + 0.4 * len(data))
    margin = study.decision.margin * 100
    axes.axvspan(-margin, margin, color="0.92", zorder=0, label=f"margin ±{margin:g} points")
    axes.axvline(0, color=NEUTRAL, linewidth=1)
    colours = sns.color_palette(PALETTE, len(data) + 1)[1:]
    for row, colour in zip(data.itertuples(), colours, strict=True):
        axes.plot([row.ci_low, row.ci_high], [row.Index, row.Index], color=colour, linewidth=2.5)
        axes.plot(row.difference, row.Index, "o", color=colour, markersize=7)
    axes.set_yticks(range(len(data)), [label(arm) for arm in data["arm"]])
    axes.set_ylim(len(data) - 0.4, -0.6)
    axes.grid(visible=False)
    axes.set_xlabel("difference in test accuracy (percentage points)")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, borderaxespad=0)
    axes.margins(x=0.1)
    return figure


def draw_paired(data: pd.DataFrame, study: StudySpec) -> Figure:
    """Every seed a line from arm to arm: parallel lines are what pairing is for."""
    arms = list(dict.fromkeys(data["arm"]))
    figure, axes = canvas(
        width=min(11.0, max(5.0, 1.1 * len(arms) + 3)), height=4.0 if len(arms) < 6 else 5.0
    )
    place = {arm: i for i, arm in enumerate(arms)}
    drawn = data.assign(place=data["arm"].map(place))
    sns.lineplot(
        drawn, x="place", y="test_accuracy", units="seed", estimator=None, color="0.8", ax=axes, zorder=1
    )
    sns.scatterplot(
        drawn,
        x="place",
        y="test_accuracy",
        hue="arm",
        style="arm",
        markers=markers(arms),
        palette=palette(arms),
        ax=axes,
        s=45,
        legend=False,
        zorder=2,
    )
    for arm, accuracy in data.groupby("arm")["mean"].first().dropna().items():
        axes.plot([place[arm] - 0.18, place[arm] + 0.18], [accuracy, accuracy], color="0.15", linewidth=2)
    axes.set_xticks(range(len(arms)), [label(arm) for arm in arms], rotation=0 if len(arms) < 5 else 30)
    axes.set_xlim(-0.5, len(arms) - 0.5)
    accuracy_axis(axes, decimals=1)
    axes.set(xlabel="", ylabel="test accuracy")
    return figure


def draw_references(data: pd.DataFrame, study: StudySpec) -> Figure:
    """One panel a metric: our seeds as dots on the interval for one further run, published figures below."""
    metrics = list(dict.fromkeys(data["metric"]))
    figure, panels = side_by_side(len(metrics), height=3.4)
    for axes, metric in zip(panels, metrics, strict=True):
        here = data[data["metric"] == metric]
        low, high = here.loc[here["kind"] == "interval", "value"]
        published = here[here["kind"] == "published"]
        axes.axvspan(low, high, color="0.92", zorder=0)
        seeds = here.loc[here["kind"] == "ours", "value"]
        colours = sns.color_palette(PALETTE, len(published) + 1)
        axes.plot(seeds, [0] * len(seeds), "o", color=colours[0], alpha=0.6)
        for line, (row, colour) in enumerate(zip(published.itertuples(), colours[1:], strict=True), start=1):
            axes.plot(row.value, line, MARKS[line % len(MARKS)], color=colour, markersize=9)
        axes.set_yticks(range(len(published) + 1), ["our seeds", *map(label, published["who"])])
        axes.set_ylim(len(published) + 0.5, -0.5)
        axes.grid(visible=False)
        axes.set_xlabel(words(metric))
        axes.locator_params(axis="x", nbins=5)
    return figure


def draw_interactions(data: pd.DataFrame, study: StudySpec) -> Figure:
    """One panel a pair of factors: parallel lines where the one does not change what the other does."""
    pairs = list(dict.fromkeys(data["pair"]))
    figure, panels = side_by_side(len(pairs))
    for axes, pair in zip(panels, pairs, strict=True):
        here = data[data["pair"] == pair]
        values, lines = list(dict.fromkeys(here["value"])), list(dict.fromkeys(here["line"]))
        for shift, line in enumerate(lines):
            of_line = here[here["line"] == line]
            # A little apart, so that intervals do not cover each other.
            place = of_line["value"].map({value: i for i, value in enumerate(values)}) + 0.04 * shift
            axes.errorbar(
                place,
                of_line["accuracy"],
                yerr=(of_line["accuracy"] - of_line["low"], of_line["high"] - of_line["accuracy"]),
                color=palette(lines)[line],
                marker=markers(lines)[line],
                label=label(line),
                capsize=3,
            )
        axes.set_xticks(range(len(values)), [label(value) for value in values])
        axes.set_xlim(-0.4, len(values) - 0.4)
        accuracy_axis(axes, decimals=1)
        axes.set(xlabel=words(here["factor"].iloc[0]), ylabel="test accuracy (mean over seeds)")
        axes.legend(title=words(here["by"].iloc[0]), fontsize=8)
    return figure


def draw_path(data: pd.DataFrame, study: StudySpec) -> Figure:
    """A staircase from the baseline to the full arm, each step with the interval of what it added."""
    figure, axes = canvas(width=max(6.4, 1.25 * len(data)))
    axes.step(range(len(data)), data["accuracy"], where="mid", color="0.8", zorder=1)
    axes.plot(range(len(data)), data["accuracy"], "o", color=sns.color_palette(PALETTE)[0], zorder=3)
    steps = data.dropna(subset=["low", "high"])
    axes.vlines(steps.index, steps["low"], steps["high"], color=sns.color_palette(PALETTE)[0], linewidth=2)
    for row in steps.itertuples():
        axes.annotate(
            f"{row.step * 100:+.2f}".replace("-", "−"),
            (row.Index, row.high),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    axes.set_xticks(range(len(data)), [label(arm) for arm in data["arm"]], rotation=20)
    axes.set_xlim(-0.5, len(data) - 0.5)
    accuracy_axis(axes, decimals=1)
    axes.margins(y=0.15)
    axes.set(xlabel="", ylabel="test accuracy")
    return figure
