"""Draw the figure of a study with contexts: the difference of each comparison in each context."""

from collections.abc import Iterator

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from ablate.figures.canvas import (
    LINE_HEIGHT,
    MARKERS,
    PALETTE,
    Styles,
    create_panel,
    wrap_label,
)
from ablate.figures.kind import FigureKind
from ablate.figures.marks import draw_margin
from ablate.figures.notes import explain_missing_interval, say_not_drawn
from ablate.figures.points import Tables
from ablate.formatting import format_margin, spell_keyword
from ablate.metrics import METRICS
from ablate.stats.contrasts import BOTH_ALONE
from ablate.stats.verdicts import UNTRAINED
from ablate.study.spec import StudySpec

LETTERS = 32
"""The maximum number of letters in a line of a label."""
APART = 0.22
"""The distance between the rows of two contexts of one comparison. Comparisons are 1 apart."""
MOST_COMPARISONS = 25


def tabulate_by_context(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Tabulate label, context, difference and interval of each comparison that has an interval in a context.

    Differences of shares are in percentage points. `place` is the position of the comparison. If there are
    more than `MOST_COMPARISONS`, the first ones are kept. If some runs of a comparison did not train in one
    context, its difference there is missing, and `untrained` is true.
    """
    given = tables["contexts"]
    pairs = given["arm"] + " against " + given["baseline"]
    drawn = given[["difference", "ci_low", "ci_high"]].notna().all(axis=1)
    untrained = given["verdict"].isin(UNTRAINED)
    known = given[pairs.isin(pairs[drawn]) & (drawn | untrained)]
    if known.empty:
        return pd.DataFrame()
    scale = METRICS[study.decision.metric].axis_scale
    numbers = known[["difference", "ci_low", "ci_high"]].astype(float).where(drawn) * scale
    common = known["baseline"].nunique() == 1
    points = known[["context", "baseline"]].assign(
        label=known["arm"] if common else pairs, untrained=untrained, **numbers
    )
    places = {label: place for place, label in enumerate(points["label"].drop_duplicates())}
    points = points.assign(place=points["label"].map(places).astype(int))
    return points[points["place"] < MOST_COMPARISONS].reset_index(drop=True)


def draw_by_context(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw one row for each comparison and context. A band shows the margin."""
    labels = [wrap_label(label, LETTERS) for label in data["label"].drop_duplicates()]
    contexts = list(data["context"].drop_duplicates())
    tallest = max(label.count("\n") + 1 for label in labels)
    row = max(0.25 + APART * 1.2 * len(contexts), LINE_HEIGHT * tallest + 0.1)
    figure, axes = create_panel(width=7.2, height=1.7 + row * len(labels))
    metric = METRICS[study.decision.metric]
    margin = study.decision.margin * metric.axis_scale
    told = f"margin ±{format_margin(study.decision.margin, metric.unit)}"
    draw_margin(axes, margin, told)
    colours, apart = sns.color_palette(PALETTE, len(contexts)), min(APART, 0.8 / len(contexts))
    for index, (context, colour) in enumerate(zip(contexts, colours, strict=True)):
        here = data[data["context"] == context]
        heights = here["place"] + apart * (index - (len(contexts) - 1) / 2)
        axes.hlines(heights, here["ci_low"], here["ci_high"], color=colour, linewidth=2.5)
        axes.plot(here["difference"], heights, MARKERS[index], color=colour, markersize=7, label=context)
        for height in heights[here["untrained"]]:
            axes.text(
                0.99,
                height,
                f"{context}: some runs did not train",
                transform=axes.get_yaxis_transform(),
                color=colour,
                fontsize=8,
                horizontalalignment="right",
                verticalalignment="center",
            )
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(visible=False)
    baselines = data["baseline"].unique()
    beside = f" from {baselines[0]}" if len(baselines) == 1 else ""
    axes.set_xlabel(
        f"difference{beside} in test {spell_keyword(study.decision.metric)}{metric.axis_unit}, "
        f"{(1 - study.decision.alpha) * 100:g} % interval",
        loc="right",
    )
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), fontsize=8, borderaxespad=0, ncols=min(4, len(contexts) + 1)
    )
    axes.margins(x=0.1)
    return figure


def list_not_drawn(study: StudySpec, tables: Tables) -> Iterator[str]:
    """Say which comparisons have no mark in a context, and why."""
    known = tables["contexts"]
    missing = known[known[["difference", "ci_low", "ci_high"]].isna().any(axis=1)]
    for reason, rows in missing.groupby(missing["verdict"].map(explain_missing_interval), sort=False):
        told = [
            f"{'interaction of ' if other == BOTH_ALONE else ''}{arm} in {context}"
            for arm, other, context in zip(rows["arm"], rows["baseline"], rows["context"], strict=True)
        ]
        yield say_not_drawn(told, reason)


CONTEXTS = FigureKind(
    name="contexts",
    title="Differences in each context",
    caption="A mark is the mean difference from the baseline in one context, over pairs of runs with the "
    "same seed. The line through a mark is the confidence interval. The grey band is the margin: "
    "differences inside it are too small to matter.",
    data=tabulate_by_context,
    draw=draw_by_context,
    notes=list_not_drawn,
)
