"""Find the images that excite one map of a layer most."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ablate.explore.reading import Reader

MOST_NUMBERS = 20_000_000
"""The maximum number of values that the layers of one batch of images may have together."""


@dataclass(frozen=True, kw_only=True)
class Excitation:
    """The largest value of a map for one image, and the place of this value."""

    image: int
    """The index of the image among those that were searched."""
    value: float
    place: tuple[int, ...]
    """The index of the value in the layer's output."""


def rank_images(reader: Reader, images: Tensor, layer: int, chosen: int) -> list[Excitation]:
    """Sort images `(n, channels, height, width)` by the largest value of one map. The largest comes first.

    Args:
        layer: the number of the layer, counted from 0.
        chosen: the number of the map. In a layer without maps, the index of a unit in the flattened output.
    """
    shape = reader.layers[layer].shape
    numbers = 2 * sum(math.prod(facts.shape) for facts in reader.layers)  # inputs and outputs are kept
    size = max(1, min(len(images), MOST_NUMBERS // numbers))
    values, places = [], []
    for batch in images.split(size):
        output = reader.layer_values(batch, layer)
        of_map = output[:, chosen].flatten(1) if len(shape) == 3 else output.flatten(1)[:, chosen, None]
        most = of_map.max(1)
        values.append(most.values)
        places.append(most.indices)
    value, place = torch.cat(values), torch.cat(places)
    return [
        Excitation(
            image=image, value=float(value[image]), place=_find_place(shape, chosen, int(place[image]))
        )
        for image in value.argsort(descending=True, stable=True).tolist()
    ]


def _find_place(shape: tuple[int, ...], chosen: int, at: int) -> tuple[int, ...]:
    if len(shape) == 3:
        return (chosen, at // shape[2], at % shape[2])
    return tuple(int(index) for index in torch.unravel_index(torch.tensor(chosen), shape))
