"""Draw comparisons: differences, paired seeds, published values, interactions, the path to the full arm."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ablate.figures.canvas import (
    DARK,
    LINE_HEIGHT,
    MARKERS,
    MOST_ARMS,
    Styles,
    create_panel,
    create_panels,
    format_accuracy_axis,
    label_column,
    set_arm_ticks,
    wrap_label,
)
from ablate.figures.marks import draw_intervals, draw_runs
from ablate.formatting import format_margin, spell_keyword
from ablate.metrics import METRICS
from ablate.study.spec import StudySpec

VALUE_PALETTE = "dark:#5A9_r"
"""The colours of a factor's values. Arms have other colours."""
CONTRAST_WIDTH, AXIS_WIDTH = 32, 50
"""The maximum number of letters in a line of a comparison's label, and of the label below an axis."""


def draw_differences(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw one row for each comparison with its difference and interval. A band shows the margin."""
    labels = [wrap_label(label, CONTRAST_WIDTH) for label in data["label"]]
    tallest = max(label.count("\n") + 1 for label in labels)
    figure, axes = create_panel(
        width=6.4 if tallest == 1 else 7.6,
        height=1.6 + max(0.4, LINE_HEIGHT * tallest + 0.1) * len(data),
    )
    metric = METRICS[study.decision.metric]
    margin, unit = study.decision.margin * metric.axis_scale, metric.unit
    draw_intervals(axes, data, styles, margin, f"margin ±{format_margin(study.decision.margin, unit)}")
    axes.set_yticks(range(len(data)), labels)
    axes.set_ylim(len(data) - 0.4, -0.6)
    axes.grid(visible=False)
    beside = data["beside"].iloc[0]
    other = f"\nfrom {wrap_label(beside, AXIS_WIDTH)}" if beside else ""
    axes.set_xlabel(f"difference in {_name_metric(study)}{metric.axis_unit}{other}", loc="right")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, borderaxespad=0)
    axes.margins(x=0.1)
    return figure


def draw_paired_seeds(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw every run as a mark and every arm's mean as a bar. A line joins the runs of one seed."""
    arms = list(styles)
    width = min(11.0, max(5.0, 1.1 * len(arms) + 3))
    figure, axes = create_panel(
        width=width,
        height=4.0 if len(arms) < 6 else 5.0 if len(arms) <= MOST_ARMS else 6.5,
    )
    draw_runs(axes, data, styles)
    set_arm_ticks(axes, [style.name for style in styles.values()], width)
    if METRICS[study.decision.metric].unit == "points":
        format_accuracy_axis(axes)
    axes.set(xlabel="", ylabel=_name_metric(study))
    return figure


def _name_metric(study: StudySpec) -> str:
    """Name the metric on which the verdicts rest, as the label of an axis."""
    return f"test {spell_keyword(study.decision.metric)}"


def draw_references(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw one panel for each metric: an arm's runs, their prediction interval, published values."""
    metrics = list(dict.fromkeys(data["metric"]))
    figure, panels = create_panels(len(metrics), height=3.4, width=3.8)
    for axes, metric in zip(panels, metrics, strict=True):
        here = data[data["metric"] == metric]
        low, high = here.loc[here["kind"] == "interval", "value"]
        published = here[here["kind"] == "published"]
        axes.axvspan(low, high, color="0.92", zorder=0)
        ours = here[here["kind"] == "ours"]
        arm = ours["who"].iloc[0]
        label = "our runs" if arm == next(iter(styles)) else f"our runs of {styles[arm].name}"
        axes.plot(ours["value"], [0] * len(ours), "o", color=styles[arm].colour, alpha=0.6)
        for line, row in enumerate(published.itertuples(), start=1):
            axes.plot(row.value, line, MARKERS[line % len(MARKERS)], color=DARK, markersize=8)
        # Panels have different rows, because some sources publish only one of the metrics.
        axes.set_yticks(range(len(published) + 1), [*map(wrap_label, [label, *published["who"]])])
        axes.set_ylim(len(published) + 0.5, -0.5)
        axes.grid(visible=False)
        axes.set_xlabel(label_column(metric))
        axes.locator_params(axis="x", nbins=4)
    return figure


def draw_interactions(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw one panel for each pair of factors. Parallel lines mean that the two factors do not interact."""
    pairs = list(dict.fromkeys(data["pair"]))
    figure, panels = create_panels(len(pairs))
    for axes, pair in zip(panels, pairs, strict=True):
        here = data[data["pair"] == pair]
        values, lines = list(dict.fromkeys(here["value"])), list(dict.fromkeys(here["line"]))
        colours = sns.color_palette(VALUE_PALETTE, len(lines))
        for number, (line, colour) in enumerate(zip(lines, colours, strict=True)):
            of_line = here[here["line"] == line].set_index("value").reindex(values)
            axes.errorbar(
                # Lines are moved a little apart, so that every interval stays visible.
                [place + 0.04 * number for place in range(len(values))],
                of_line["accuracy"],
                yerr=(of_line["accuracy"] - of_line["low"], of_line["high"] - of_line["accuracy"]),
                color=colour,
                marker=MARKERS[number % len(MARKERS)],
                label=wrap_label(line),
                capsize=3,
            )
        axes.set_xticks(range(len(values)), [wrap_label(value) for value in values])
        axes.set_xlim(-0.4, len(values) - 0.4)
        format_accuracy_axis(axes)
        axes.set(xlabel=label_column(here["factor"].iloc[0]), ylabel="test accuracy (mean over seeds)")
        axes.legend(title=label_column(here["by"].iloc[0]), fontsize=8)
    return figure


def draw_path(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw the steps from the baseline to the full arm. Each step has the interval of its difference."""
    width = max(6.4, 1.25 * len(data))
    figure, axes = create_panel(width=width)
    axes.step(range(len(data)), data["accuracy"], where="mid", color="0.8", zorder=1)
    for row in data.itertuples():
        axes.plot(row.Index, row.accuracy, "o", color=styles[row.arm].colour, zorder=3)
    steps = data.dropna(subset=["low", "high"])
    for row in steps.itertuples():
        axes.vlines(row.Index, row.low, row.high, color=styles[row.arm].colour, linewidth=2)
        axes.annotate(
            f"{row.step * 100:+.2f}".replace("-", "−"),
            (row.Index, row.high),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    set_arm_ticks(axes, [styles[arm].name for arm in data["arm"]], width)
    axes.margins(y=0.15)
    format_accuracy_axis(axes)
    axes.set(xlabel="", ylabel="test accuracy")
    return figure
