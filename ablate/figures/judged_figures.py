"""The figures of judged runs: differences, runs, and the ranks of many arms over many parts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ablate.figures.canvas import (
    LINE_HEIGHT,
    MOST_ARMS,
    Styles,
    create_grid,
    create_panel,
    escape_dollars,
    format_accuracy_axis,
    label_column,
    make_styles,
    render,
    set_arm_ticks,
    use_own_style,
    wrap_label,
)
from ablate.figures.marks import draw_intervals, draw_runs

LABEL_WIDTH, AXIS_WIDTH = 32, 50
"""The maximum number of letters in a line of a label beside an axis, and of a label below an axis."""
MOST_ROWS = 40
"""A panel of differences has at most this many rows."""
MOST_PANELS = 6
"""A figure of differences has at most this many panels."""
MOST_PARTS_WITH_RUNS = 4
"""The figure of runs has at most this many panels."""
MOST_LINES = 200
"""With more seeds than this, the runs of a seed are not joined."""
MOST_MARKS = 300
"""At most this many runs of an arm are drawn, evenly chosen from all runs sorted by value."""
FEWEST_FOR_RANKS = 3
"""The figure of ranks needs at least this many arms."""


@dataclass(frozen=True, kw_only=True)
class JudgedData:
    """The data of the figures of judged runs."""

    comparisons: pd.DataFrame
    """Columns part, arm, difference, ci_low and ci_high; all differences in the unit of the axis."""
    runs: pd.DataFrame
    """Columns part, arm, seed, value and mean. `mean` is NaN for an arm of which a run diverged."""
    arms: Mapping[str, str]
    """Maps every arm to its name in figures, the baseline first."""
    parts: Mapping[str, str]
    """Maps every part of the table to its name in figures. An undivided table has the one part ''."""
    metric: str
    is_share: bool
    """Whether values are drawn in per cent, and differences in percentage points."""
    margin: float | None
    """The margin in the unit of the axis of differences. None if there is no margin."""
    paired: bool
    """Whether a comparison pairs runs with the same seed."""
    mean_ranks: pd.Series | None
    """The mean rank of each arm over the parts, the best first."""
    rank_pairs: pd.DataFrame | None
    """The p-values of Nemenyi's test, `(arms, arms)`. None if there are too few arms or parts."""
    alpha: float
    lower_is_better: bool = False
    """Whether a lower value of the metric is better. Labels of axes then say so."""

    @property
    def styles(self) -> Styles:
        """The style of each arm."""
        return make_styles(self.arms)


@dataclass(frozen=True, kw_only=True)
class JudgedKind:
    """One kind of figure of judged runs."""

    name: str
    title: str
    caption: str
    is_drawable: Callable[[JudgedData], bool]
    draw: Callable[[JudgedData], Figure]


@dataclass(frozen=True, kw_only=True)
class JudgedFigure:
    """A figure as the contents of a PNG and an SVG file."""

    kind: JudgedKind
    png: bytes
    svg: bytes


def list_kinds(data: JudgedData) -> dict[str, JudgedKind]:
    """List the figures for which there are data, by name."""
    return {kind.name: kind for kind in KINDS if kind.is_drawable(data)}


def draw_judged(data: JudgedData) -> Iterator[JudgedFigure]:
    """Draw every figure for which there are data. The same data always give the same bytes."""
    with use_own_style():
        for kind in list_kinds(data).values():
            png, svg = render(kind.draw(data))
            yield JudgedFigure(kind=kind, png=png, svg=svg)


def draw_one(kind: JudgedKind, data: JudgedData) -> Figure:
    """Draw one figure as a matplotlib Figure."""
    with use_own_style():
        return kind.draw(data)


def draw_differences(data: JudgedData) -> Figure:
    """Draw one row for each arm with its difference from the baseline and its interval."""
    rows = _choose_rows(data.comparisons)
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
    arms = list(dict.fromkeys(data.comparisons["arm"]))[:MOST_PANELS]
    here = data.comparisons[data.comparisons["arm"].isin(arms)]
    parts = [part for part in data.parts if part in set(here["part"])][:MOST_ROWS]
    columns = min(len(arms), 3)
    height = 1.5 + 0.32 * len(parts)
    figure, panels = create_grid(len(arms), columns, width=3.9 if columns > 1 else 6.4, height=height)
    names = [wrap_label(data.parts[part], 24) for part in parts]
    for place, (axes, arm) in enumerate(zip(panels, arms, strict=True)):
        of_arm = here[here["arm"] == arm].set_index("part")
        rows = of_arm.reindex(parts).reset_index().dropna(subset=["difference"])
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
    parts = [part for part in data.parts if part in set(data.runs["part"])][:MOST_PARTS_WITH_RUNS]
    styles = dict(list(data.styles.items())[:MOST_ARMS])
    width = min(11.0, max(5.0, 1.1 * len(styles) + 3)) if len(parts) == 1 else 5.2
    figure, panels = create_grid(len(parts), min(len(parts), 2), width=width, height=4.2)
    for axes, part in zip(panels, parts, strict=True):
        here = data.runs[(data.runs["part"] == part) & data.runs["arm"].isin(list(styles))]
        joined = data.paired and here["seed"].nunique() <= MOST_LINES
        draw_runs(axes, here if joined else _thin_out(here).drop(columns="seed"), styles)
        set_arm_ticks(axes, [style.name for style in styles.values()], width)
        if data.is_share:
            format_accuracy_axis(axes)
        axes.set(xlabel="", ylabel=f"{label_column(data.metric)}{_label_direction(data)}")
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


def _choose_rows(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Choose the rows with an interval. If there are too many, keep those with the largest differences."""
    rows = comparisons.dropna(subset=["difference", "ci_low", "ci_high"])
    if len(rows) > MOST_ROWS:
        rows = rows.loc[rows["difference"].abs().nlargest(MOST_ROWS).sort_index().index]
    return rows.reset_index(drop=True)


def _thin_out(runs: pd.DataFrame) -> pd.DataFrame:
    """Keep at most `MOST_MARKS` runs of each arm, evenly chosen from all runs sorted by value."""
    kept = []
    for _, of_arm in runs.groupby("arm", sort=False):
        ordered = of_arm.sort_values("value", kind="stable")
        count = min(len(ordered), MOST_MARKS)
        kept.append(ordered.iloc[np.linspace(0, len(ordered) - 1, count).astype(int)])
    return pd.concat(kept) if kept else runs


def _label_difference(data: JudgedData) -> str:
    baseline = wrap_label(next(iter(data.arms.values())), AXIS_WIDTH)
    unit = " (percentage points)" if data.is_share else ""
    return f"difference in {label_column(data.metric)}{unit}\nfrom {baseline}{_label_direction(data)}"


def _label_direction(data: JudgedData) -> str:
    return " (lower is better)" if data.lower_is_better else ""


KINDS = (
    JudgedKind(
        name="differences",
        title="Differences from the baseline",
        caption="A dot is the mean difference, and its line is the confidence interval of this comparison by "
        f"itself. A grey band is the margin. Of more than {MOST_ROWS} comparisons, the figure shows those "
        "with the largest differences.",
        is_drawable=lambda data: len(data.parts) == 1 and not _choose_rows(data.comparisons).empty,
        draw=draw_differences,
    ),
    JudgedKind(
        name="differences_by_part",
        title="Differences from the baseline in every part",
        caption="Each panel is an arm, and each row a part of the table. A dot is the mean difference, and "
        "its line is the confidence interval of this comparison by itself. A grey band is the margin. The "
        f"figure shows at most {MOST_PANELS} arms and {MOST_ROWS} parts.",
        is_drawable=lambda data: len(data.parts) > 1 and not _choose_rows(data.comparisons).empty,
        draw=draw_differences_by_part,
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
