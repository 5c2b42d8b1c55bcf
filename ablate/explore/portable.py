"""Pack trained networks for a saved page, which runs them in the browser."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ablate.data.loading import resize_images
from ablate.explore.answers import encode_floats
from ablate.explore.module_operations import UncoveredError
from ablate.explore.operations import write_operations
from ablate.explore.reading import Reader
from ablate.explore.session import ExploredArm

EXACT_NUMBERS = 2_000_000
"""Up to this number of parameters, a network's weights are packed in float32.

The weights of larger networks are packed in float16, if all predictions for test images stay the same.
"""
MOST_NUMBERS = 8_000_000
"""Networks with more parameters are not packed, because the page would become too large to pass round."""


def pack_network(arm: ExploredArm, image_shape: Sequence[int]) -> dict[str, Any]:
    """Pack an arm's network for the page, as JSON. `image_shape` is the shape of the study's images.

    Returns:
        Either `operations`, `resize` and `half` (whether weights are in float16), or `uncovered`, the reason
        why the page cannot run the network.
    """
    network = arm.reader.network
    count = sum(parameter.numel() for parameter in network.parameters())
    if count > MOST_NUMBERS:
        return {"uncovered": f"it has {count:,} parameters, and a saved page has room for {MOST_NUMBERS:,}"}
    half = count > EXACT_NUMBERS and guesses_alike_in_half(arm, arm.reader)
    try:
        operations = write_operations(
            network, arm.reader.image_shape, arm.reader.layers, torch.float16 if half else torch.float32
        )
    except UncoveredError as error:
        return {"uncovered": f"the page cannot compute {error}"}
    return {
        "operations": operations,
        "half": half,
        "resize": _pack_resizing(image_shape, arm.run.recipe.input_size),
    }


def guesses_alike_in_half(arm: ExploredArm, reader: Reader, answers: Tensor | None = None) -> bool:
    """Whether rounding the weights to float16 leaves the predicted class of each test image as it is.

    `reader` has one of the arm's networks, and `answers` its class probabilities `(n, classes)`. By default,
    these are the answers of the arm at the end of training.
    """
    rounded = copy.deepcopy(reader.network)
    for module in rounded.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data = module.weight.data.half().float()
    found = arm.compute_answers(Reader(rounded, reader.image_shape))
    expected = arm.answers if answers is None else answers
    return torch.equal(found.argmax(1), expected.argmax(1))


def _pack_resizing(image_shape: Sequence[int], size: int | None) -> dict[str, str] | None:
    """Pack the two matrices that scale an image's rows and columns to the size of the network's input."""
    _, height, width = image_shape
    if size is None or (height, width) == (size, size):
        return None
    return {
        "rows": encode_floats(_find_matrix(height, size)),
        "columns": encode_floats(_find_matrix(width, size)),
    }


def _find_matrix(length: int, size: int) -> Tensor:
    """Find the matrix `(size, length)` by which resizing multiplies the rows of an image.

    Image i of the batch has ones in row i, and zeros elsewhere. So the result's first column is column i.
    """
    images = torch.eye(length)[:, None, :, None].expand(length, 1, length, length)
    return resize_images(images, size)[:, 0, :, 0].T
