"""From points to figures: the registry of what is drawn, in the order of the report."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from ablate import points
from ablate.figures.canvas import STYLE, rendered
from ablate.figures.compared import (
    draw_differences,
    draw_interactions,
    draw_paired,
    draw_path,
    draw_references,
)
from ablate.figures.costs import draw_candidates, draw_cost, draw_importance, draw_timing
from ablate.figures.trained import draw_training, draw_tuning
from ablate.spec import StudySpec


@dataclass(frozen=True, kw_only=True)
class FigureKind:
    """One kind of figure: what it is called, says, is made of, and how it is drawn."""

    name: str
    title: str
    caption: str
    data: Callable[[StudySpec, points.Tables], pd.DataFrame]
    draw: Callable[[pd.DataFrame, StudySpec], Figure]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A figure as files."""

    kind: FigureKind
    png: bytes
    svg: bytes


def make(study: StudySpec, tables: points.Tables) -> Iterator[Drawn]:
    """Every figure the tables have data for; equal tables give equal bytes."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # A name in a script the font lacks is drawn as boxes; the tables and the page still spell it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for kind in FIGURES:
            data = kind.data(study, tables)
            if not data.empty:
                figure = kind.draw(data, study)
                yield Drawn(
                    kind=kind,
                    png=rendered(figure, "png", {"Software": None}),
                    svg=rendered(figure, "svg", {"Date": None}),
                )


FIGURES = (
    FigureKind(
        name="differences",
        title="Every difference that was tested",
        caption="Mean paired difference and its interval; inside the grey band it is too small to matter.",
        data=points.differences,
        draw=draw_differences,
    ),
    FigureKind(
        name="paired_seeds",
        title="Every seed in every arm",
        caption="One grey line a seed: same split, same order, same starting values. Dark bars are means.",
        data=points.paired_seeds,
        draw=draw_paired,
    ),
    FigureKind(
        name="interactions",
        title="What two factors do together",
        caption="Parallel lines: neither changes what the other does. Other factors are the baseline's.",
        data=points.interactions,
        draw=draw_interactions,
    ),
    FigureKind(
        name="path",
        title="Step by step from the baseline",
        caption="Each point adds one change to the one before; the bar is the interval of that step.",
        data=points.path,
        draw=draw_path,
    ),
    FigureKind(
        name="candidates",
        title="What the search tried",
        caption="Left: candidates, each on one tuning seed; rings were confirmed on fresh ones. "
        "Right: how far the front had come.",
        data=points.candidates,
        draw=draw_candidates,
    ),
    FigureKind(
        name="importance",
        title="Screening: what accuracy went with in the search",
        caption="PED-ANOVA looks at the best tenth, fANOVA at all that were not stopped. Shares, not tests.",
        data=points.importance,
        draw=draw_importance,
    ),
    FigureKind(
        name="references",
        title="Beside the published figures",
        caption="Grey: where one further run of our baseline should fall. Inside it, a figure is reproduced.",
        data=points.references,
        draw=draw_references,
    ),
    FigureKind(
        name="accuracy_throughput",
        title="Accuracy against throughput",
        caption="Up and right is better. The grey line joins the arms that no other arm beats in both.",
        data=points.accuracy_throughput,
        draw=draw_cost,
    ),
    FigureKind(
        name="tuning_curves",
        title="How every arm was tuned",
        caption="Small dots are single tuning seeds, lines their means, rings what was confirmed.",
        data=points.tuning_curves,
        draw=draw_tuning,
    ),
    FigureKind(
        name="training_curves",
        title="How the confirmed runs trained",
        caption="Means over seeds; bands span all seeds. Training curves are running means over each epoch.",
        data=points.training_curves,
        draw=draw_training,
    ),
    FigureKind(
        name="timing_blocks",
        title="Throughput, block by block",
        caption="Arms alternate; the baseline opens and closes every block (its mean is drawn).",
        data=points.timing_blocks,
        draw=draw_timing,
    ),
)
