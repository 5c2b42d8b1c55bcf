"""Marks that several figures draw: intervals of differences, and runs."""

import pandas as pd
from matplotlib.axes import Axes

from ablate.figures.canvas import DARK, NEUTRAL, Styles


def draw_margin(axes: Axes, margin: float | None, told: str | None = None) -> None:
    """Draw a line at zero, and a band for the margin. `told` is the legend's entry for the band."""
    if margin is not None:
        axes.axvspan(-margin, margin, color="0.92", zorder=0, label=told)
    axes.axvline(0, color=NEUTRAL, linewidth=1)


def draw_intervals(
    axes: Axes, data: pd.DataFrame, styles: Styles, margin: float | None, told: str | None = None
) -> None:
    """Draw the difference and the interval of each row of `data`, and a band for the margin.

    `data` has the columns arm, difference, ci_low and ci_high. `told` is the legend's entry for the band.
    """
    draw_margin(axes, margin, told)
    for row in data.itertuples():
        colour = styles[row.arm].colour if row.arm in styles else DARK
        axes.plot([row.ci_low, row.ci_high], [row.Index, row.Index], color=colour, linewidth=2.5)
        axes.plot(row.difference, row.Index, "o", color=colour, markersize=7)


def draw_runs(axes: Axes, data: pd.DataFrame, styles: Styles) -> None:
    """Draw every run of `data` as a mark, and every arm's mean as a bar. A line joins the runs of one seed.

    `data` has the columns arm, seed, value and mean. Without `seed`, there are no lines.
    """
    arms = list(styles)
    if "seed" in data:
        # The line of a seed has a gap at an arm in which the seed has no run.
        by_seed = data.pivot(index="arm", columns="seed", values="value").reindex(arms)
        axes.plot(range(len(arms)), by_seed.to_numpy(), color="0.8", zorder=1.6)
    for place, (arm, style) in enumerate(styles.items()):
        of_arm = data[data["arm"] == arm]
        axes.plot(
            [place] * len(of_arm),
            of_arm["value"],
            style.marker,
            color=style.colour,
            markeredgecolor="white",
            markersize=7,
            zorder=2,
        )
        for mean in of_arm["mean"].dropna().unique():
            axes.plot([place - 0.18, place + 0.18], [mean, mean], color="0.15", linewidth=2)
