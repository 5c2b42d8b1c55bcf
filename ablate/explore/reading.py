"""Run a trained network on one image, and explain its units by receptive fields, inputs and weights."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from ablate.inspection.tracing import Call, trace_network

EXACT = torch.float64
"""The data type for images in which some pixels are NaN, to find out which outputs depend on these pixels.

On every machine, convolutions in float64 multiply and add term by term. In float32, they can use Fourier
transforms if torch has no oneDNN. A Fourier transform spreads a NaN to outputs that do not depend on it.
"""
PROBES = 32
"""The number of images in one batch of images with NaN."""

Span = tuple[int, int]
"""The first and the last of adjacent rows or columns. An empty span is (0, -1)."""


@dataclass(frozen=True, kw_only=True)
class LayerFacts:
    """The name, the class and the output shape of one module of the network."""

    name: str
    kind: str
    shape: tuple[int, ...]
    """The shape of the output for one image: `(channels, height, width)` or `(features,)`."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The outputs of all layers for one image, and the class probabilities."""

    probabilities: Tensor
    """The softmax of the network's output, `(classes,)`."""
    layers: tuple[Tensor, ...]
    """Each layer's output, in the order of `Reader.layers`."""


@dataclass(frozen=True, kw_only=True)
class ReceptiveFields:
    """The part of the image on which each unit of a layer depends."""

    rows: tuple[Span, ...]
    """For each row of the layer's maps, the image rows on which it depends.

    If the layer has no maps, there is one span for the whole layer.
    """
    columns: tuple[Span, ...]
    """For each column of the layer's maps, the image columns on which it depends.

    If the layer has no maps, there is one span for the whole layer.
    """


@dataclass(frozen=True, kw_only=True)
class UnitInputs:
    """The inputs of a module on which one unit of the module's output depends."""

    channels: tuple[int, ...]
    """The input channels, or the input features if the input is a vector of features."""
    rows: Span | None
    """The rows of the input maps. None if the input is a vector of features."""
    columns: Span | None
    """The columns of the input maps. None if the input is a vector of features."""
    values: Tensor
    """The values of the inputs, `(channels, rows, columns)` or `(features,)`."""
    weights: Tensor
    """The unit's derivative with respect to each input, in the shape of `values`.

    For a convolution or a dense layer, these are the weights that multiply the inputs.
    """
    rest: float
    """The unit's value minus the sum of `values` times `weights`.

    For a convolution or a dense layer, this is the bias. For other modules, it is the non-linear part.
    """
    weighted: bool
    """Whether `weights` are parameters of the module. They are if it is a convolution or a dense layer."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One number of a layer's output, and the inputs on which it depends."""

    value: float
    inputs: UnitInputs


class Reader:
    """Runs one trained network on images. The network must be in evaluation mode on the CPU."""

    def __init__(self, network: nn.Module, image_shape: Sequence[int]) -> None:
        """List the layers of `network`. Its images have the shape `(channels, height, width)`."""
        self.network = network
        self.image_shape = tuple(image_shape)
        self.layers = tuple(
            LayerFacts(
                name=call.name, kind=type(call.module).__name__, shape=tuple(call.output_values.shape[1:])
            )
            for call in _trace_layers(self.network, torch.zeros(1, *image_shape))
        )

    def read(self, image: Tensor) -> Reading:
        """Run the network on an image `(channels, height, width)`."""
        trace = trace_network(self.network, image[None])
        return Reading(
            probabilities=trace.output[0].softmax(0),
            layers=tuple(call.output_values[0] for call in _leave_out_dropout(trace.calls)),
        )

    def probabilities(self, images: Tensor) -> Tensor:
        """Compute the class probabilities `(n, classes)` of images `(n, channels, height, width)`."""
        with torch.inference_mode():
            return self.network(images).softmax(1)

    def layer_values(self, images: Tensor, layer: int) -> Tensor:
        """Compute a layer's output for images `(n, channels, height, width)`. Layers are counted from 0."""
        return _trace_layers(self.network, images)[layer].output_values

    def unit(self, image: Tensor, layer: int, place: Sequence[int]) -> Unit:
        """Explain the unit at index `place` of a layer's output. Layers are counted from 0."""
        call = _trace_layers(self.network, image[None])[layer]
        return Unit(value=float(call.output_values[0][tuple(place)]), inputs=find_unit_inputs(call, place))

    @cached_property
    def receptive_fields(self) -> tuple[ReceptiveFields, ...]:
        """The receptive fields of each layer.

        They are found with NaN: if one row of the image is NaN, exactly the units that depend on this row
        become NaN. The network runs once for each row and once for each column of the image.
        """
        _, height, width = self.image_shape
        rows = self._find_dependence(height, axis=-2)
        columns = self._find_dependence(width, axis=-1)
        return tuple(
            ReceptiveFields(rows=tuple(map(_span, of_rows)), columns=tuple(map(_span, of_columns)))
            for of_rows, of_columns in zip(rows, columns, strict=True)
        )

    def _find_dependence(self, count: int, axis: int) -> list[Tensor]:
        """Find on which image rows (axis -2) or image columns (axis -1) each layer depends.

        `count` is the number of rows or columns of the image.

        Returns:
            For each layer, whether its rows depend on the image's rows: booleans `(layer's rows, count)`. For
            axis -1, the same for columns.
        """
        by_batch: list[list[Tensor]] = []
        exact = copy.deepcopy(self.network).to(EXACT)
        for indices in _batches(count):
            images = torch.zeros(len(indices), *self.image_shape, dtype=EXACT)
            for image, index in zip(images, indices, strict=True):
                image.select(axis, index).fill_(torch.nan)
            calls = _trace_layers(exact, images)
            by_batch.append([_find_nan(call.output_values, axis) for call in calls])
        return [torch.cat(parts).T for parts in zip(*by_batch, strict=True)]


def _trace_layers(network: nn.Module, images: Tensor) -> list[Call]:
    return _leave_out_dropout(trace_network(network, images).calls)


def _leave_out_dropout(calls: Sequence[Call]) -> list[Call]:
    """Leave out dropout. In evaluation mode, dropout returns its input."""
    return [call for call in calls if not isinstance(call.module, _DropoutNd)]


def find_unit_inputs(call: Call, place: Sequence[int]) -> UnitInputs:
    """Find the inputs on which the unit at index `place` of the call's output depends, and their weights.

    An input's weight is the unit's derivative with respect to this input, computed by autograd. In a
    convolution, a dense layer or average pooling, this is the factor that multiplies the input. In max
    pooling, the largest input has the weight 1, and the other inputs have the weight 0.
    """
    inputs = call.input_values[:1].clone().requires_grad_()
    index = (0, *place)
    # Copy the input: a module can change its input in place, which autograd forbids for a leaf tensor.
    output = call.module(inputs.clone())
    (derivatives,) = torch.autograd.grad(output[index], inputs)
    axes = [_indices(depends) for depends in _find_dependent_inputs(call, index)]
    values, weights = (
        tensor.detach()[0][torch.meshgrid(*axes, indexing="ij")] for tensor in (inputs, derivatives)
    )
    has_maps = inputs.ndim == 4
    return UnitInputs(
        channels=tuple(axes[0].tolist()),
        rows=_ends(axes[1]) if has_maps else None,
        columns=_ends(axes[2]) if has_maps else None,
        values=values,
        weights=weights,
        weighted=isinstance(call.module, (_ConvNd, nn.Linear)),
        rest=float(output[index].detach() - (values.double() * weights.double()).sum()),
    )


def _find_dependent_inputs(call: Call, index: tuple[int, ...]) -> list[Tensor]:
    """Find on which part of the module's input the unit depends.

    Returns:
        For each axis of the input except the batch axis, whether the unit depends on each index of the axis.
    """
    module = copy.deepcopy(call.module).to(EXACT)
    shape = call.input_values.shape[1:]
    if any(True for _ in module.parameters()):
        # A module with parameters multiplies and adds. So one backward pass is enough: if the gradient of the
        # unit is NaN, the gradient of each input on which the unit depends becomes NaN.
        inputs = torch.rand(1, *shape, dtype=EXACT).requires_grad_()
        output = module(inputs.clone())
        gradient = torch.zeros_like(output)
        gradient[index] = torch.nan
        (input_gradient,) = torch.autograd.grad(output, inputs, gradient)
        depends = input_gradient[0].isnan()
        others = [[other for other in range(depends.ndim) if other != axis] for axis in range(depends.ndim)]
        return [depends.amax(dims) if dims else depends for dims in others]
    # An activation or pooling layer can have a derivative of zero for an input on which the unit depends. So
    # backward passes do not help. Forward passes with NaN test each index of each axis instead.
    return [
        torch.cat([_probe(module, shape, axis, indices, index) for indices in _batches(count)])
        for axis, count in enumerate(shape)
    ]


def _probe(
    module: nn.Module, shape: Sequence[int], axis: int, indices: range, unit: tuple[int, ...]
) -> Tensor:
    """For each of the `indices` of an axis, find out whether NaN inputs at this index make the unit NaN."""
    probes = torch.zeros(len(indices), *shape, dtype=EXACT)
    for probe, index in zip(probes, indices, strict=True):
        probe.select(axis, index).fill_(torch.nan)
    with torch.inference_mode():
        return module(probes)[(slice(None), *unit[1:])].isnan()


def _batches(count: int) -> list[range]:
    return [range(first, min(first + PROBES, count)) for first in range(0, count, PROBES)]


def _find_nan(output: Tensor, axis: int) -> Tensor:
    """Find which rows or columns of each of n outputs contain NaN, `(n, rows or columns)`."""
    if output.ndim != 4:
        return output.isnan().flatten(1).any(1, keepdim=True)
    return output.isnan().movedim(axis, 1).flatten(2).any(2)


def _indices(depends: Tensor) -> Tensor:
    return depends.nonzero().flatten()


def _span(depends: Tensor) -> Span:
    return _ends(_indices(depends))


def _ends(indices: Tensor) -> Span:
    """Return the first and the last index, or an empty span if there are no indices."""
    return (int(indices[0]), int(indices[-1])) if len(indices) else (0, -1)
