"""The list of figures in the order of the report, each with its title, caption, data step and drawing."""

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
from ablate.figures.comparison_figures import (
    draw_differences,
    draw_interactions,
    draw_paired,
    draw_path,
    draw_references,
)
from ablate.figures.cost_figures import draw_candidates, draw_cost, draw_importance, draw_timing
from ablate.figures.inspection_figures import draw_activations, draw_confused, draw_confusion, draw_filters
from ablate.figures.training_figures import draw_training, draw_tuning
from ablate.formatting import format_list
from ablate.records.views import View, Views
from ablate.study.spec import StudySpec

COMMAND = "`ablate activations DIR --arm NAME` draws any"


@dataclass(frozen=True, kw_only=True)
class FigureKind:
    """One kind of figure: its file name, title and caption, the step that makes its data, and its drawing."""

    name: str
    title: str
    caption: str
    data: Callable[[StudySpec, points.Tables], pd.DataFrame]
    draw: Callable[[pd.DataFrame, StudySpec], Figure]


@dataclass(frozen=True, kw_only=True)
class DrawnFigure:
    """A figure as the contents of a PNG file and of an SVG file."""

    kind: FigureKind
    png: bytes
    svg: bytes


def draw_results(study: StudySpec, tables: points.Tables) -> Iterator[DrawnFigure]:
    """Draw every figure that the tables have data for. Equal tables give equal bytes."""
    return _draw(FIGURES, study, tables)


def draw_inspection(study: StudySpec, tables: points.Tables, views: Views) -> Iterator[DrawnFigure]:
    """Draw every figure of the arms' trained networks: confusions, activation maps and filters."""
    return _draw(list_inspection(views, tables), study, tables)


def _draw(kinds: Iterable[FigureKind], study: StudySpec, tables: points.Tables) -> Iterator[DrawnFigure]:
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # The font lacks some scripts and draws boxes instead. The tables and the page still spell the name.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        for kind in kinds:
            data = kind.data(study, tables)
            if not data.empty:
                figure = kind.draw(data, study)
                yield DrawnFigure(
                    kind=kind,
                    png=rendered(figure, "png", {"Software": None}),
                    svg=rendered(figure, "svg", {"Date": None}),
                )


FIGURES = (
    FigureKind(
        name="differences",
        title="Difference of each arm from what it is compared with",
        caption="An arm is one setting of the factors under study. A dot is the mean difference in test "
        "accuracy, paired by seed, and its line is the confidence interval. The grey band is the "
        "margin: differences inside it are too small to matter.",
        data=points.differences,
        draw=draw_differences,
    ),
    FigureKind(
        name="paired_seeds",
        title="Test accuracy of every seed in every arm",
        caption="A grey line joins the runs of one seed. They share the training and validation split, "
        "the order of the examples, and the starting values of equal parameters. A dark bar is an "
        "arm's mean. An arm has none if some of its runs did not train.",
        data=points.paired_seeds,
        draw=draw_paired,
    ),
    FigureKind(
        name="interactions",
        title="How two factors act together",
        caption="A dot is the mean test accuracy over seeds, with its confidence interval. Parallel lines "
        "mean that the effect of one factor does not depend on the other. All other factors keep "
        "the baseline's values.",
        data=points.interactions,
        draw=draw_interactions,
    ),
    FigureKind(
        name="path",
        title="Test accuracy step by step from the baseline",
        caption="Each dot adds one change to the arm before it. The number is the change in percentage "
        "points, and the bar is its confidence interval. Both are missing where a run of either arm did "
        "not train.",
        data=points.path,
        draw=draw_path,
    ),
    FigureKind(
        name="candidates",
        title="What the search tried",
        caption="Left: each mark is a candidate, trained with one tuning seed. Rings are finalists, which "
        "were trained again with fresh seeds. The line joins the candidates that no other "
        "candidate beats in both accuracy and FLOPs (the Pareto front). Right: the area under "
        "this front (hypervolume) after each generation.",
        data=points.candidates,
        draw=draw_candidates,
    ),
    FigureKind(
        name="importance",
        title="Screening: how much each factor mattered in the search",
        caption="Two estimates of how strongly validation accuracy depends on each factor, as shares of "
        "the whole. PED-ANOVA looks at the best tenth of the candidates, fANOVA at all that were "
        "not stopped early. They suggest what to test and are no tests.",
        data=points.importance,
        draw=draw_importance,
    ),
    FigureKind(
        name="references",
        title="The baseline beside published values",
        caption="The grey band is the prediction interval: one further run of the baseline should fall in "
        "it. A published value inside the band is reproduced.",
        data=points.references,
        draw=draw_references,
    ),
    FigureKind(
        name="accuracy_throughput",
        title="Accuracy against throughput",
        caption="Up is more accurate and right is faster. The lines through a mark are confidence "
        "intervals. The grey line joins the arms that no other arm beats in both (the Pareto "
        "front).",
        data=points.accuracy_throughput,
        draw=draw_cost,
    ),
    FigureKind(
        name="tuning_curves",
        title="How every arm was tuned",
        caption="Each small dot is one training run with one tuning seed. Lines join the means over these "
        "seeds. A ring marks the value with which the arm was then confirmed on fresh seeds.",
        data=points.tuning_curves,
        draw=draw_tuning,
    ),
    FigureKind(
        name="training_curves",
        title="How the confirmed runs trained",
        caption="Lines are means over seeds, and bands reach from the lowest to the highest seed. Values "
        "on training data are running means since the start of the epoch.",
        data=points.training_curves,
        draw=draw_training,
    ),
    FigureKind(
        name="timing_blocks",
        title="Throughput in every timing block",
        caption="In each block every arm is timed once, alone on the machine, in random order. The "
        "baseline is timed first and last, and the figure shows its mean. Level lines mean that "
        "the machine was steady.",
        data=points.timing_blocks,
        draw=draw_timing,
    ),
)


def list_inspection(views: Views, tables: points.Tables) -> Iterator[FigureKind]:
    """List the figures of trained networks; how many there are depends on the layers."""
    yield _describe_confusion(views, tables)
    yield _describe_confused_pairs(views)
    for layer in panels.layers(views):
        yield _describe_activations(views, layer)
    yield _describe_filters(views)


def _describe_confusion(views: Views, tables: points.Tables) -> FigureKind:
    return FigureKind(
        name="confusion",
        title="Which classes each arm confuses",
        caption=_join(
            "A row is the true class of the test images, a column is the class that the arm's network of "
            "seed 0 predicts. Each cell gives the number of images, and its colour their share of the row "
            "(on a square-root scale, so that small shares can be seen). Everything off the diagonal is "
            "an error.",
            panels.left_out(
                views,
                lambda view: bool(len(view.images)),
                "could not be scored",
                elsewhere="all are in tables/confusion.csv",
            ),
        ),
        data=_give(panels.confusion(views, tables)),
        draw=draw_confusion,
    )


def _describe_confused_pairs(views: Views) -> FigureKind:
    return FigureKind(
        name="confused_pairs",
        title="The pairs of classes confused most often",
        caption=_join(
            "The most frequent errors of each arm, the worst at the top, with the number of test images "
            "and the first of these images.",
            panels.left_out(
                views,
                lambda view: bool(view.confused),
                "confuses none",
                elsewhere="for all, tables/confusion.csv has the numbers",
            ),
        ),
        data=_give(panels.confused(views)),
        draw=draw_confused,
    )


def _describe_activations(views: Views, layer: str) -> FigureKind:
    numbered = layer.isdecimal()
    name = f"convolution {layer}" if numbered else layer
    return FigureKind(
        name=f"activations_{_replace_signs(layer)}",
        title=f"Activation maps of {name} for {_list_inputs(views)}",
        caption=_join(
            "For each class: the test image nearest to the class's mean image, and beside it the output maps "
            f"of the layer{', after its activation function' if numbered else ''}. A map shows where in the "
            "image its feature was found. All classes of an arm share the colour scale at its right.",
            panels.left_out(views, partial(_has_maps, layer), "has no such layer", elsewhere=COMMAND),
        ),
        data=_give(panels.activations(views, layer)),
        draw=draw_activations,
    )


def _describe_filters(views: Views) -> FigureKind:
    return FigureKind(
        name="filters",
        title=f"The first filters and their responses to {_list_inputs(views)}",
        caption=_join(
            "Each column is one filter of the first convolution. The top row shows its weights. The rows "
            "below show its response, before any activation function, to the image at the left: red where "
            "the image matches the filter, blue where it matches the filter's negative.",
            panels.left_out(views, lambda view: view.filters is not None, "has none", elsewhere=COMMAND),
        ),
        data=_give(panels.filters(views)),
        draw=draw_filters,
    )


def _list_inputs(views: Views) -> str:
    return format_list([views.classes[label] for label in views.inputs])


def _has_maps(layer: str, view: View) -> bool:
    return any(found.asked == layer for found in view.layers)


def _give(data: pd.DataFrame) -> Callable[[StudySpec, points.Tables], pd.DataFrame]:
    return lambda *_: data


def _replace_signs(layer: str) -> str:
    """Keep only letters, digits and dashes: a report folder from elsewhere could name a layer like a path."""
    return re.sub(r"[^A-Za-z0-9]+", "-", layer)


def _join(caption: str, more: Iterable[str]) -> str:
    return " ".join([caption, *more])
