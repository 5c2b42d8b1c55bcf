"""From what was seen inside networks to the panels of figures: pure, one function a figure; draws nothing.

A panel's picture is an array `(height, width)` of values, or `(height, width, 3)` of colours from 0 to 1;
several are put together as one, in rows, with gaps of no number (in colours: of white) between them, or
stand in a stack `(n, …)` where each is drawn by itself.
"""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from ablate.figures.points import Tables
from ablate.records.views import Array, View, Views

MOST_ARMS = 4
"""Arms beside each other in one figure: more would be too small to read."""
GAP_SHARE = 0.07
"""Of a picture's width, between it and the next."""


def confusion(views: Views, tables: Tables) -> pd.DataFrame:
    """Arm, class, guess, images, and which share of the class's test images these are; of the first arms."""
    if "confusion" not in tables:
        return pd.DataFrame()
    counts = tables["confusion"].astype({"arm": str, "images": int})
    counts = counts[counts["arm"].isin(counts["arm"].unique()[:MOST_ARMS])]
    of_class = counts.groupby(["arm", "label"])["images"].transform("sum")
    classes = {
        side: pd.Categorical(counts[side], categories=list(views.classes)) for side in ("label", "guess")
    }
    return counts.assign(**classes, share=counts["images"] / of_class).reset_index(drop=True)


def confused(views: Views) -> pd.DataFrame:
    """Arm, place from 0 on, class, guess, images, and examples in a row; of the first arms."""
    rows = [
        {
            "arm": view.arm,
            "place": place,
            "label": views.classes[pair.label],
            "guess": views.classes[pair.guess],
            "images": pair.images,
            "pixels": mosaic(_shades(pair.examples), columns=len(pair.examples)),
        }
        for view in [view for view in views.arms if view.confused][:MOST_ARMS]
        for place, pair in enumerate(view.confused)
    ]
    return pd.DataFrame(rows)


def activations(views: Views, layer: str) -> pd.DataFrame:
    """Arm, where its maps come from, class, the image of it, the maps, and the ends of the arm's scale."""
    rows = []
    seen = [(view, found) for view in views.arms for found in view.layers if found.asked == layer]
    for view, found in seen[:MOST_ARMS]:
        maps = found.maps.astype(np.float32)
        low, high = _ends(maps)
        rows += [
            {
                "arm": view.arm,
                "module": found.module,
                "channels": found.channels,
                "shown": maps.shape[1],
                "height": maps.shape[2],
                "width": maps.shape[3],
                "label": views.classes[label],
                "image": _shades(view.images)[place],
                "pixels": mosaic(maps[place], columns=math.ceil(math.sqrt(maps.shape[1]))),
                "low": low,
                "high": high,
            }
            for place, label in enumerate(views.inputs)
        ]
    return pd.DataFrame(rows)


def filters(views: Views) -> pd.DataFrame:
    """Arm, module, and a stack of its filters; then for each class its image and a stack of the responses."""
    rows = []
    seen = [(view, view.filters) for view in views.arms if view.filters is not None]
    for view, found in seen[:MOST_ARMS]:
        weights = found.weights.astype(np.float32)
        reach = _reach(weights)
        common = {
            "arm": view.arm,
            "module": found.module,
            "channels": found.channels,
            "shown": len(weights),
        }
        # Three channels are a colour image, and so are the weights on them.
        colours = _shades(0.5 + weights / (2 * reach)) if weights.shape[1] == 3 else weights.mean(1)
        rows.append({**common, "label": "", "image": None, "pixels": colours, "low": -reach, "high": reach})
        responses = found.responses.astype(np.float32)
        reach = _reach(responses)
        rows += [
            {
                **common,
                "label": views.classes[label],
                "image": _shades(view.images)[place],
                "pixels": responses[place],
                "low": -reach,
                "high": reach,
            }
            for place, label in enumerate(views.inputs)
        ]
    return pd.DataFrame(rows)


def layers(views: Views) -> list[str]:
    """The layers that any arm has maps of, as they were asked for."""
    return list(dict.fromkeys(layer.asked for view in views.arms for layer in view.layers))


def left_out(views: Views, shows: Callable[[View], bool], otherwise: str, *, elsewhere: str) -> list[str]:
    """Sentences on the arms that a figure does not show, be it that there is nothing or no room."""
    told = [f"{view.remark or f'{view.arm} {otherwise}'}." for view in views.arms if not shows(view)]
    count = sum(map(shows, views.arms))
    if count > MOST_ARMS:
        told.append(f"These are the first {MOST_ARMS} of {count} arms ({elsewhere}).")
    return told


def mosaic(pictures: Array, *, columns: int) -> Array:
    """Pictures `(n, height, width)` or `(n, height, width, 3)` as one, so many in a row."""
    count, height, width = pictures.shape[:3]
    rows, gap = math.ceil(count / columns), max(1, round(GAP_SHARE * width))
    empty = 1.0 if pictures.ndim == 4 else np.nan
    size = (rows * (height + gap) - gap, columns * (width + gap) - gap, *pictures.shape[3:])
    whole: Array = np.full(size, empty, np.float32)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        whole[top : top + height, left : left + width] = picture
    return whole


def _shades(images: Array) -> Array:
    """Images `(n, channels, height, width)`, bytes or shares, as greys or, of three channels, as colours."""
    shares = images.astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
    return shares.transpose(0, 2, 3, 1) if images.shape[1] == 3 else shares.mean(1)


def _ends(maps: Array) -> tuple[float, float]:
    """The lowest and the highest value; as far from zero as each other where there are values below it."""
    low, high = float(maps.min()), float(maps.max())
    return (-_reach(maps), _reach(maps)) if low < 0 else (low, max(high, low + 1e-6))


def _reach(values: Array) -> float:
    return max(float(np.abs(values).max()), 1e-6)
