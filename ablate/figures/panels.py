"""Compute the data for the figures that show trained networks. Each figure has one pure function.

A picture is an array `(height, width)` of values, or `(height, width, 3)` of colours from 0 to 1. Some
figures join several pictures into one, in rows with gaps. A gap is NaN in pictures of values, and white in
pictures of colours. Other figures have a stack of pictures, `(n, …)`, and draw each picture by itself.
"""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from ablate.figures.points import Tables
from ablate.records.views import Array, View, Views

MOST_ARMS = 4
"""One figure shows at most this many arms. The pictures of more arms would be too small to read."""
GAP_SHARE = 0.07
"""The gap between two pictures, as a share of a picture's width."""


def tabulate_confusion(views: Views, tables: Tables) -> pd.DataFrame:
    """Tabulate arm, true class, predicted class, number of images, and their share of the true class.

    Only the first `MOST_ARMS` arms have rows.
    """
    if "confusion" not in tables:
        return pd.DataFrame()
    counts = tables["confusion"].astype({"arm": str, "images": int})
    counts = counts[counts["arm"].isin(counts["arm"].unique()[:MOST_ARMS])]
    of_class = counts.groupby(["arm", "label"])["images"].transform("sum")
    classes = {
        side: pd.Categorical(counts[side], categories=list(views.classes)) for side in ("label", "guess")
    }
    return counts.assign(**classes, share=counts["images"] / of_class).reset_index(drop=True)


def tabulate_confused_pairs(views: Views) -> pd.DataFrame:
    """Tabulate arm, rank from 0, true class, predicted class, number of images, and the joined examples.

    Only the first `MOST_ARMS` arms have rows.
    """
    rows = [
        {
            "arm": view.arm,
            "place": place,
            "label": views.classes[pair.label],
            "guess": views.classes[pair.guess],
            "images": pair.images,
            "pixels": join_pictures(_make_shades(pair.examples), columns=len(pair.examples)),
        }
        for view in [view for view in views.arms if view.confused][:MOST_ARMS]
        for place, pair in enumerate(view.confused)
    ]
    return pd.DataFrame(rows)


def tabulate_activations(views: Views, layer: str) -> pd.DataFrame:
    """Tabulate arm, the layer's module, class, image, joined maps, and the ends of the arm's colour scale.

    Only the first `MOST_ARMS` arms have rows.
    """
    rows = []
    seen = [(view, found) for view in views.arms for found in view.layers if found.asked == layer]
    for view, found in seen[:MOST_ARMS]:
        maps = found.maps.astype(np.float32)
        low, high = _find_scale(maps)
        rows += [
            {
                "arm": view.arm,
                "module": found.module,
                "channels": found.channels,
                "shown": maps.shape[1],
                "height": maps.shape[2],
                "width": maps.shape[3],
                "label": views.classes[label],
                "image": _make_shades(view.images)[place],
                "pixels": join_pictures(maps[place], columns=math.ceil(math.sqrt(maps.shape[1]))),
                "low": low,
                "high": high,
            }
            for place, label in enumerate(views.inputs)
        ]
    return pd.DataFrame(rows)


def tabulate_filters(views: Views) -> pd.DataFrame:
    """Tabulate for each arm a row of filters, then a row of responses to each class's image.

    Each row has the arm, the module and a stack of pictures. A row of responses also has the image.
    """
    rows = []
    seen = [(view, view.filters) for view in views.arms if view.filters is not None]
    for view, found in seen[:MOST_ARMS]:
        weights = found.weights.astype(np.float32)
        reach = _find_reach(weights)
        common = {
            "arm": view.arm,
            "module": found.module,
            "channels": found.channels,
            "shown": len(weights),
        }
        # A filter on three channels is drawn in colour. Any other filter is drawn as its channels' mean.
        colours = _make_shades(0.5 + weights / (2 * reach)) if weights.shape[1] == 3 else weights.mean(1)
        rows.append({**common, "label": "", "image": None, "pixels": colours, "low": -reach, "high": reach})
        responses = found.responses.astype(np.float32)
        reach = _find_reach(responses)
        rows += [
            {
                **common,
                "label": views.classes[label],
                "image": _make_shades(view.images)[place],
                "pixels": responses[place],
                "low": -reach,
                "high": reach,
            }
            for place, label in enumerate(views.inputs)
        ]
    return pd.DataFrame(rows)


def list_layers(views: Views) -> list[str]:
    """List the layers for which at least one arm has maps, as the user named them."""
    return list(dict.fromkeys(layer.asked for view in views.arms for layer in view.layers))


def explain_left_out(
    views: Views, shows: Callable[[View], bool], otherwise: str, *, elsewhere: str
) -> list[str]:
    """Say which arms a figure leaves out: those with nothing to show, and those for which it has no room.

    `shows` says whether an arm has something to show. If not, a sentence says so, such as `ARM has no such
    layer`. `otherwise` is the part of this sentence after the arm's name. `elsewhere` says where a reader can
    see all arms.
    """
    told = [f"{view.remark or f'{view.arm} {otherwise}'}." for view in views.arms if not shows(view)]
    count = sum(map(shows, views.arms))
    if count > MOST_ARMS:
        told.append(f"These are the first {MOST_ARMS} of {count} arms ({elsewhere}).")
    return told


def join_pictures(pictures: Array, *, columns: int) -> Array:
    """Join pictures `(n, height, width)` or `(n, height, width, 3)` into one, with `columns` in a row."""
    count, height, width = pictures.shape[:3]
    rows, gap = math.ceil(count / columns), max(1, round(GAP_SHARE * width))
    empty = 1.0 if pictures.ndim == 4 else np.nan
    size = (rows * (height + gap) - gap, columns * (width + gap) - gap, *pictures.shape[3:])
    whole: Array = np.full(size, empty, np.float32)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        whole[top : top + height, left : left + width] = picture
    return whole


def _make_shades(images: Array) -> Array:
    """Convert images `(n, channels, height, width)` for plotting.

    Images with three channels become colour images. Images with any other number of channels become grey.
    """
    shares = images.astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
    return shares.transpose(0, 2, 3, 1) if images.shape[1] == 3 else shares.mean(1)


def _find_scale(maps: Array) -> tuple[float, float]:
    """Find the ends of the colour scale: the lowest and the highest value, or ± the largest absolute value.

    The scale is symmetric if a value is negative."""
    low, high = float(maps.min()), float(maps.max())
    return (-_find_reach(maps), _find_reach(maps)) if low < 0 else (low, max(high, low + 1e-6))


def _find_reach(values: Array) -> float:
    return max(float(np.abs(values).max()), 1e-6)
