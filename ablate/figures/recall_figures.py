"""Make the figure of differences in recall by class: its data, its drawing, its notes."""

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ablate.figures.canvas import (
    DARK,
    LINE_HEIGHT,
    NEUTRAL,
    ROUND_STEPS,
    Styles,
    create_grid,
    create_panel,
    wrap_label,
)
from ablate.figures.points import Tables, label_comparisons
from ablate.stats.decision_values import DEFAULT
from ablate.study.spec import StudySpec

MOST_CLASSES = 20
"""The figure shows at most this many classes."""
MOST_PANELS = 6
"""The figure shows at most this many comparisons, each in a panel of its own."""
CLASS_LETTERS, TITLE_LETTERS, LABEL_LETTERS = 20, 28, 36
"""The maximum number of letters in a line of a class's name, a panel's title, and the axis label."""


def tabulate_recall_differences(study: StudySpec, tables: Tables) -> pd.DataFrame:
    """Tabulate each comparison's difference in recall and its interval by class, in percentage points.

    The column `label` names the comparison, and the column `class` names the class. The column `beside` is
    made as in `tabulate_differences`. If there are too many comparisons or classes to draw, the result keeps
    the ones with the largest differences. All comparisons keep the same classes, sorted by their largest
    difference.
    """
    if "recalls_by_class" not in tables:
        return pd.DataFrame()
    table = tables["recalls_by_class"].dropna(subset=["recall_ci_low"])
    if table.empty:
        return pd.DataFrame()
    renamed = table.rename(columns={"label": "class"}).rename(columns=lambda c: c.removeprefix("recall_"))
    points = label_comparisons(renamed, study, tables, metric=DEFAULT)  # recall is a share, as accuracy is
    sizes = points["difference"].abs()
    shown = sizes.groupby(points["label"], sort=False).max().nlargest(MOST_PANELS).index
    points, sizes = points[points["label"].isin(shown)], sizes[points["label"].isin(shown)]
    classes = sizes.groupby(points["class"], sort=False).max().nlargest(MOST_CLASSES).index
    order = {name: place for place, name in enumerate(classes)}
    points = points[points["class"].isin(order)]
    return points.assign(place=points["class"].map(order).astype(int)).reset_index(drop=True)


def draw_recall_differences(data: pd.DataFrame, study: StudySpec, styles: Styles) -> Figure:
    """Draw a panel for each comparison, with a row for each class."""
    comparisons = list(data.groupby("label", sort=False))
    rows = int(data["place"].max()) + 1
    height = 1.1 + 0.24 * rows
    beside = data["beside"].iloc[0]
    quantity = "difference in recall (percentage points)"
    from_ = f"\nfrom {wrap_label(beside, LABEL_LETTERS, most_lines=2)}" if beside else ""
    if len(comparisons) == 1:
        figure, axes = create_panel(height=height)
        panels = [axes]
        axes.set_xlabel(f"{quantity}{from_}", loc="right")
    else:
        figure, panels = create_grid(len(comparisons), 2, width=3.4, height=height + 2 * LINE_HEIGHT)
        figure.supxlabel(f"{quantity}{from_}", fontsize=9)
    names = data.drop_duplicates("place").sort_values("place")["class"]
    labels = [wrap_label(name, CLASS_LETTERS, most_lines=1) for name in names]
    for panel, (axes, (label, here)) in enumerate(zip(panels, comparisons, strict=True)):
        arm = here["arm"].iloc[0]
        colour = styles[arm].colour if arm in styles else DARK
        axes.axvline(0, color=NEUTRAL, linewidth=1)
        axes.hlines(here["place"], here["ci_low"], here["ci_high"], color=colour, linewidth=2)
        axes.plot(here["difference"], here["place"], "o", color=colour, markersize=5)
        axes.set_yticks(range(rows), labels if panel % 2 == 0 else [""] * rows)  # two panels a row
        axes.set_ylim(rows - 0.4, -0.6)
        axes.grid(visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=ROUND_STEPS))
        axes.set_title(wrap_label(label, TITLE_LETTERS, most_lines=3), fontsize=9, loc="left")
    return figure


def explain_recall_differences(study: StudySpec, tables: Tables) -> Iterator[str]:
    """Say which classes and comparisons the figure leaves out."""
    drawn = tabulate_recall_differences(study, tables)
    if drawn.empty:
        return
    table = tables["recalls_by_class"].dropna(subset=["recall_ci_low"])
    classes, among = drawn["class"].nunique(), table["label"].nunique()
    if classes < among:
        yield f"These are the {classes} of {among} classes with the largest differences."
    shown = drawn["label"].nunique()
    known = len(table[["arm", "baseline"]].drop_duplicates())
    if shown > 1:
        yield "Each panel has a scale of its own."
    if shown < known:
        yield f"These are the {shown} of {known} comparisons with the largest differences."
    if known < len(tables["comparisons"]):
        yield "Interactions, and comparisons with runs that did not train, have no panel."
