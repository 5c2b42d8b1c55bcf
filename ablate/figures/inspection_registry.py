"""List the figures of trained networks in the order of the report, each with its title and caption."""

import re
from collections.abc import Callable, Iterator
from functools import partial

import pandas as pd

from ablate.figures import panels
from ablate.figures.inspection_figures import (
    draw_activations,
    draw_confused_pairs,
    draw_confusion,
    draw_filters,
)
from ablate.figures.kind import FigureKind, join_sentences
from ablate.figures.points import Tables
from ablate.formatting import format_list
from ablate.records.views import View, Views
from ablate.study.spec import StudySpec

COMMAND = "`ablate activations DIR --arm NAME` draws any arm"


def list_inspection(views: Views, tables: Tables) -> Iterator[FigureKind]:
    """List the figures of trained networks: two of errors, one for each layer, and one of filters."""
    yield _describe_confusion(views, tables)
    yield _describe_confused_pairs(views)
    for layer in panels.list_layers(views):
        yield _describe_activations(views, layer)
    yield _describe_filters(views)


def _describe_confusion(views: Views, tables: Tables) -> FigureKind:
    return FigureKind(
        name="confusion",
        title="Which classes each arm confuses",
        caption=join_sentences(
            "A row is the true class of the test images. A column is the class that the arm's network of "
            "the first seed predicts. The number in a cell counts the images. The colour shows their share "
            "of the row, on a square-root scale, so that small shares can be seen. Every image off the "
            "diagonal is an error.",
            panels.explain_left_out(
                views,
                lambda view: bool(len(view.images)),
                "could not be scored",
                elsewhere="tables/confusion.csv has all arms",
            ),
        ),
        data=_return(panels.tabulate_confusion(views, tables)),
        draw=draw_confusion,
    )


def _describe_confused_pairs(views: Views) -> FigureKind:
    return FigureKind(
        name="confused_pairs",
        title="The pairs of classes confused most often",
        caption=join_sentences(
            "Each arm's most frequent errors: pairs of a true class and a wrongly predicted class, the most "
            "frequent pair at the top. A number counts the test images of a pair. The first of these images "
            "are shown below it.",
            panels.explain_left_out(
                views,
                lambda view: bool(view.confused),
                "confuses no classes",
                elsewhere="tables/confusion.csv has the numbers of all arms",
            ),
        ),
        data=_return(panels.tabulate_confused_pairs(views)),
        draw=draw_confused_pairs,
    )


def _describe_activations(views: Views, layer: str) -> FigureKind:
    numbered = layer.isdecimal()
    name = f"convolution {layer}" if numbered else layer
    return FigureKind(
        name=f"activations_{_replace_signs(layer)}",
        title=f"Activation maps of {name} for {_list_inputs(views)}",
        caption=join_sentences(
            "For each class, the left picture is the test image nearest to the class's mean image. Beside it "
            f"are the output maps of this layer{', after its activation function' if numbered else ''}. A "
            "map shows where in the image its feature was found. All classes of an arm share one colour "
            "scale.",
            panels.explain_left_out(views, partial(_has_maps, layer), "has no such layer", elsewhere=COMMAND),
        ),
        data=_return(panels.tabulate_activations(views, layer)),
        draw=draw_activations,
    )


def _describe_filters(views: Views) -> FigureKind:
    return FigureKind(
        name="filters",
        title=f"The first filters and their responses to {_list_inputs(views)}",
        caption=join_sentences(
            "Each column is one filter of the first convolution. The top row shows its weights. The rows "
            "below show its response, before any activation function, to the image at the left: red where "
            "the image matches the filter, blue where it matches the filter's negative. All responses of an "
            "arm share one colour scale.",
            panels.explain_left_out(
                views, lambda view: view.filters is not None, "has no such filters", elsewhere=COMMAND
            ),
        ),
        data=_return(panels.tabulate_filters(views)),
        draw=draw_filters,
    )


def _list_inputs(views: Views) -> str:
    return format_list([views.classes[label] for label in views.inputs])


def _has_maps(layer: str, view: View) -> bool:
    return any(found.asked == layer for found in view.layers)


def _return(data: pd.DataFrame) -> Callable[[StudySpec, Tables], pd.DataFrame]:
    return lambda *_: data


def _replace_signs(layer: str) -> str:
    """Replace characters that are unsafe in a file name. A copied report could name a layer `../x`."""
    return re.sub(r"[^A-Za-z0-9]+", "-", layer)
