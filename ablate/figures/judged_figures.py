"""Draw the figures of judged runs: differences, runs, and the ranks of many arms over many parts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ablate.figures.canvas import (
    LINE_HEIGHT,
    MOST_ARMS,
    create_grid,
    create_panel,
    escape_dollars,
    format_accuracy_axis,
    label_column,
    render,
    set_arm_ticks,
    use_own_style,
    wrap_label,
)
from ablate.figures.judged_data import (
    MOST_LINES,
    MOST_MARKS,
    MOST_PANELS,
    MOST_PARTS_WITH_RUNS,
    MOST_ROWS,
    JudgedData,
    choose_rows,
    choose_runs,
    label_direction,
    split_by_arm,
)
from ablate.figures.marks import draw_intervals, draw_runs
from ablate.figures.plots.judged_plots import plot_all_runs, plot_differences, plot_differences_by_part
from ablate.figures.plots.plot import Plot

LABEL_WIDTH, AXIS_WIDTH = 32, 50
"""The maximum number of letters in a line of a label beside an axis, and of a label below an axis."""
FEWEST_FOR_RANKS = 3
"""The figure of ranks needs at least this many arms."""


@dataclass(frozen=True, kw_only=True)
class JudgedKind:
    """One kind of figure of judged runs."""

    name: str
    title: str
    caption: str
    is_drawable: Callable[[JudgedData], bool]
    draw: Callable[[JudgedData], Figure]
    plot: Callable[[JudgedData], Plot] | None = None
    """Makes the interactive version. Without it, a page shows only the drawing."""


@dataclass(frozen=True, kw_only=True)
class JudgedFigure:
    """A figure as the contents of a PNG and an SVG file, and its interactive version."""

    kind: JudgedKind
    png: bytes
    svg: bytes
    plot: Plot | None = None


def list_kinds(data: JudgedData) -> dict[str, JudgedKind]:
    """List the figures for which there are data, by name."""
    return {kind.name: kind for kind in KINDS if kind.is_drawable(data)}


def draw_judged(data: JudgedData) -> Iterator[JudgedFigure]:
    """Draw every figure for which there are data. The same data always give the same bytes."""
    with use_own_style():
        for kind in list_kinds(data).values():
            png, svg = render(kind.draw(data))
            plot = kind.plot(data) if kind.plot is not None else None
            yield JudgedFigure(kind=kind, png=png, svg=svg, plot=plot)


def draw_one(kind: JudgedKind, data: JudgedData) -> Figure:
    """Draw one figure as a matplotlib Figure."""
    with use_own_style():
        return kind.draw(data)


def draw_differences(data: JudgedData) -> Figure:
    """Draw one row for each arm with its difference from the baseline and its interval."""
    rows = choose_rows(data.comparisons)
    labels = [wrap_label(data.arms[arm], LABEL_WIDTH) for arm in rows["arm"]]
    tallest = max(label.count("\n") + 1 for label in labels)
    figure, axes = create_panel(height=1.6 + max(0.4, LINE_HEIGHT * tallest + 0.1) * len(rows))
    draw_intervals(axes, rows, data.styles, data.margin, "margin")
    axes.set_yticks(range(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False)
    axes.set_xlabel(_label_difference(data), loc="right")
    axes.margins(x=0.1)
    if data.margin is not None:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, borderaxespad=0)
    return figure


def draw_differences_by_part(data: JudgedData) -> Figure:
    """Draw one panel for each arm, with one row for each part."""
    parts, by_arm = split_by_arm(data)
    columns = min(len(by_arm), 3)
    height = 1.5 + 0.32 * len(parts)
    figure, panels = create_grid(len(by_arm), columns, width=3.9 if columns > 1 else 6.4, height=height)
    names = [wrap_label(data.parts[part], 24) for part in parts]
    for place, (axes, (arm, rows)) in enumerate(zip(panels, by_arm.items(), strict=True)):
        draw_intervals(axes, rows, data.styles, data.margin)
        labels = names if place % columns == 0 else [""] * len(parts)
        axes.set_yticks(range(len(parts)), labels, fontsize=8)
        axes.set_ylim(len(parts) - 0.4, -0.6)
        axes.grid(visible=False)
        axes.set_title(wrap_label(data.arms[arm], LABEL_WIDTH), fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.margins(x=0.1)
    figure.supxlabel(_label_difference(data), fontsize=9)
    return figure


def draw_all_runs(data: JudgedData) -> Figure:
    """Draw every run as a mark, with one panel for each part."""
    styles, by_part = choose_runs(data)
    width = min(11.0, max(5.0, 1.1 * len(styles) + 3)) if len(by_part) == 1 else 5.2
    figure, panels = create_grid(len(by_part), min(len(by_part), 2), width=width, height=4.2)
    for axes, (part, here) in zip(panels, by_part.items(), strict=True):
        draw_runs(axes, here, styles)
        set_arm_ticks(axes, [style.name for style in styles.values()], width)
        if data.is_share:
            format_accuracy_axis(axes)
        axes.set(xlabel="", ylabel=f"{label_column(data.metric)}{label_direction(data)}")
        if data.parts[part]:
            axes.set_title(wrap_label(data.parts[part], AXIS_WIDTH), fontsize=10)
    return figure


def draw_ranks(data: JudgedData) -> Figure:
    """Draw the mean ranks of all arms. A bar joins arms between which Nemenyi's test shows no difference."""
    from scikit_posthocs import critical_difference_diagram

    assert data.mean_ranks is not None
    assert data.rank_pairs is not None
    names = {arm: escape_dollars(data.arms[arm]) for arm in data.mean_ranks.index}
    figure, axes = create_panel(width=8.0, height=1.4 + 0.22 * len(names))
    critical_difference_diagram(
        data.mean_ranks.rename(names),
        data.rank_pairs.rename(index=names, columns=names),
        alpha=data.alpha,
        ax=axes,
        label_props={"fontsize": 9},
        color_palette={names[arm]: data.styles[arm].colour for arm in names},
    )
    axes.grid(visible=False)
    return figure


def _label_difference(data: JudgedData) -> str:
    baseline = wrap_label(next(iter(data.arms.values())), AXIS_WIDTH)
    unit = " (percentage points)" if data.is_share else ""
    return f"difference in {label_column(data.metric)}{unit}\nfrom {baseline}{label_direction(data)}"


KINDS = (
    JudgedKind(
        name="differences",
        title="Differences from the baseline",
        caption="A dot is the mean difference. The line through a dot is the confidence interval of this "
        f"comparison alone. A grey band is the margin. If there are more than {MOST_ROWS} comparisons, the "
        "figure shows those with the largest differences.",
        is_drawable=lambda data: len(data.parts) == 1 and not choose_rows(data.comparisons).empty,
        draw=draw_differences,
        plot=plot_differences,
    ),
    JudgedKind(
        name="differences_by_part",
        title="Differences from the baseline in every part",
        caption="Each panel is an arm, and each row is a part of the table. A dot is the mean difference. "
        "The line through a dot is the confidence interval of this comparison alone. A grey band is the "
        f"margin. The figure shows at most {MOST_PANELS} arms and {MOST_ROWS} parts.",
        is_drawable=lambda data: len(data.parts) > 1 and not choose_rows(data.comparisons).empty,
        draw=draw_differences_by_part,
        plot=plot_differences_by_part,
    ),
    JudgedKind(
        name="runs",
        title="Every run",
        caption="A mark is a run, or the mean of all runs with one arm and seed. A dark bar is an arm's "
        "mean. A grey line joins the marks of one seed, if at least one comparison is paired. An arm has no "
        f"bar if one of its runs diverged. The figure has lines only for at most {MOST_LINES} seeds. "
        f"Otherwise it shows at most {MOST_MARKS} runs of an arm, evenly chosen by value. It shows at most "
        f"{MOST_ARMS} arms and {MOST_PARTS_WITH_RUNS} parts.",
        is_drawable=lambda data: not data.runs.empty,
        draw=draw_all_runs,
        plot=plot_all_runs,
    ),
    JudgedKind(
        name="ranks",
        title="Mean ranks over all parts",
        caption="Rank 1 is the best arm of a part. A bar joins arms between which Nemenyi's test shows no "
        "difference (Demšar, 2006). The test takes each part as one observation, however many runs it has.",
        is_drawable=lambda data: (
            data.mean_ranks is not None
            and data.rank_pairs is not None
            and FEWEST_FOR_RANKS <= len(data.mean_ranks) <= MOST_ROWS
        ),
        draw=draw_ranks,
    ),
)
