"""From points to figures: the registry of what is drawn, in the order of the report."""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from ablate.figures import panels, points
from ablate.figures.canvas import STYLE, rendered
from ablate.figures.compared import (
    draw_differences,
    draw_interactions,
    draw_paired,
    draw_path,
    draw_references,
)
from ablate.figures.costs import draw_candidates, draw_cost, draw_importance, draw_timing
from ablate.figures.inside import draw_activations, draw_confused, draw_confusion, draw_filters
from ablate.figures.trained import draw_training, draw_tuning
from ablate.formatting import format_list
from ablate.records.views import View, Views
from ablate.study.spec import StudySpec


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
    return _drawn(FIGURES, study, tables)


def look_inside(study: StudySpec, tables: points.Tables, views: Views) -> Iterator[Drawn]:
    """Every figure of what was seen inside the arms' networks."""
    return _drawn(inside(views, tables), study, tables)


def _drawn(kinds: Iterable[FigureKind], study: StudySpec, tables: points.Tables) -> Iterator[Drawn]:
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # A name in a script the font lacks is drawn as boxes; the tables and the page still spell it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for kind in kinds:
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


def inside(views: Views, tables: points.Tables) -> Iterator[FigureKind]:
    """The figures of what was seen inside networks; how many depends on what their layers are."""
    inputs = format_list([views.classes[label] for label in views.inputs])
    command = "`ablate activations DIR --arm NAME` draws any"
    yield FigureKind(
        name="confusion",
        title="What each arm takes for what",
        caption=_told(
            "Test images of a class (row) that the arm's network of seed 0 takes for a class (column): as "
            "numbers, and as colour their share of the row (on a scale of square roots). All that is off "
            "the diagonal is wrong.",
            panels.left_out(
                views,
                lambda view: bool(len(view.images)),
                "could not be scored",
                elsewhere="all are in tables/confusion.csv",
            ),
        ),
        data=_given(panels.confusion(views, tables)),
        draw=draw_confusion,
    )
    yield FigureKind(
        name="confused_pairs",
        title="The pairs confused most",
        caption=_told(
            "From the top down the worst pairs of each arm, with the number of images and the first of them "
            "in the test set.",
            panels.left_out(
                views,
                lambda view: bool(view.confused),
                "confuses none",
                elsewhere="for all, tables/confusion.csv has the numbers",
            ),
        ),
        data=_given(panels.confused(views)),
        draw=draw_confused,
    )
    for layer in panels.layers(views):
        numbered = layer.isdecimal()
        named = f"convolution {layer}" if numbered else layer
        yield FigureKind(
            name=f"activations_{_in_file_names(layer)}",
            title=f"What {named} makes of {inputs}",
            caption=_told(
                "Of each class the test image nearest to the class's mean, and beside it the layer's maps"
                f"{' after its activation' if numbered else ''}: each shows where its feature is found. One "
                "colour scale an arm, at its right, the same for all classes.",
                panels.left_out(views, partial(_has_maps, layer), "has no such layer", elsewhere=command),
            ),
            data=_given(panels.activations(views, layer)),
            draw=draw_activations,
        )
    yield FigureKind(
        name="filters",
        title=f"The first filters and their responses to {inputs}",
        caption=_told(
            "Each column is one filter of the first convolution: its weights, and below them its response "
            "(before any activation) to the image at the left, red where the image fits the filter and "
            "blue where it is its opposite.",
            panels.left_out(views, lambda view: view.filters is not None, "has none", elsewhere=command),
        ),
        data=_given(panels.filters(views)),
        draw=draw_filters,
    )


def _has_maps(layer: str, view: View) -> bool:
    return any(found.asked == layer for found in view.layers)


def _given(data: pd.DataFrame) -> Callable[[StudySpec, points.Tables], pd.DataFrame]:
    return lambda *_: data


def _in_file_names(layer: str) -> str:
    """Letters, digits and dashes: a folder from elsewhere could name a layer like a path."""
    return re.sub(r"[^A-Za-z0-9]+", "-", layer)


def _told(caption: str, more: Iterable[str]) -> str:
    return " ".join([caption, *more])
