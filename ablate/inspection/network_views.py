"""Make a `View` of a trained network: its feature maps, first filters and confused images."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.inspection.confusion import Score
from ablate.inspection.inputs import pick_typical_image
from ablate.inspection.networks import reopen_network
from ablate.inspection.tracing import Call, find_maps, trace_network
from ablate.records.folder import ReportFolder
from ablate.records.views import Array, ConfusedPair, Filters, Layer, View

EXAMPLES = 4
"""A view contains at most this many images for a pair of confused classes."""
MOST_MAPS, MOST_FILTERS = 16, 8
LARGEST_SIDE = 64
"""The maximum side length of stored maps and images, in pixels. This size is enough for a figure.

Larger maps and images are scaled down by averaging.
"""
HALF = torch.finfo(torch.float16)


def view_network(
    run: Run,
    folder: ReportFolder,
    dataset: Dataset,
    inputs: Sequence[int],
    layers: Sequence[str],
    *,
    key: str = "",
    score: Score | None = None,
) -> View:
    """Make the view of a run's network.

    The view has the feature maps of each layer in `layers`, for a typical image of each class in `inputs`. If
    `score` is given, the view also has test images that the network classifies wrongly.

    Raises:
        FolderError: the run's checkpoint cannot be loaded.
    """
    images, calls = trace_inputs(run, folder, dataset, inputs)
    first = next((call for call in calls if call.is_convolution), None)
    found = [(layer, find_maps(calls, layer)) for layer in layers]
    return View(
        arm=run.arm.name,
        key=key,
        images=_to_bytes(images),
        confused=tuple(_list_confused(dataset, score)) if score else (),
        layers=tuple(
            Layer(
                asked=layer,
                module=where_and_maps[0],
                channels=where_and_maps[1].shape[1],
                maps=_to_halves(where_and_maps[1][:, :MOST_MAPS]),
            )
            for layer, where_and_maps in found
            if where_and_maps is not None
        ),
        filters=_take_filters(first) if first else None,
        remark="" if first else f"{run.arm.name} has no convolution, and so no maps and no filters",
    )


def trace_inputs(
    run: Run, folder: ReportFolder, dataset: Dataset, inputs: Sequence[int]
) -> tuple[Tensor, list[Call]]:
    """Pick a typical image of each class in `inputs`, and record how the network processes these images.

    Returns:
        The images `(inputs, c, h, w)`, and the calls of the network's modules in the forward pass.
    """
    images = torch.stack([pick_typical_image(dataset, label) for label in inputs])
    return images, trace_network(reopen_network(run, folder, dataset), images).calls


def _take_filters(convolution: Call) -> Filters:
    weight = convolution.module.weight
    assert isinstance(weight, Tensor)
    return Filters(
        module=convolution.name,
        channels=len(weight),
        weights=_to_halves(weight.detach()[:MOST_FILTERS]),
        responses=_to_halves(convolution.output_values[:, :MOST_FILTERS]),
    )


def _list_confused(dataset: Dataset, score: Score) -> Iterator[ConfusedPair]:
    labels = dataset.test_labels.cpu()
    for label, guess, images in score.most_confused():
        indices = ((labels == label) & (score.guesses == guess)).nonzero().flatten()[:EXAMPLES]
        examples = _to_bytes(dataset.test_images[indices.to(dataset.test_images.device)])
        yield ConfusedPair(label=label, guess=guess, images=images, examples=examples)


def _to_bytes(images: Tensor) -> Array:
    """Convert images to uint8. Their values must be from 0 to 1. Large images are scaled down."""
    return (_shrink(images).clamp(0, 1) * 255).round().byte().cpu().numpy()


def _to_halves(values: Tensor) -> Array:
    """Convert maps or weights to float16. Scale large maps down. Clamp the values to the range of float16."""
    return _shrink(values).clamp(HALF.min, HALF.max).half().cpu().numpy()


def _shrink(images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    if max(height, width) <= LARGEST_SIDE:
        return images
    return F.adaptive_avg_pool2d(images, (min(height, LARGEST_SIDE), min(width, LARGEST_SIDE)))
