"""Run a trained network on one image, and explain its units: receptive fields, inputs, weights."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from ablate.inspection.tracing import Call, trace_calls

EXACT = torch.float64
"""The data type for probes with NaN. Convolutions in float64 multiply and add term by term on every machine.

Without oneDNN, convolutions in float32 can use Fourier transforms. These spread a NaN to outputs that do not
depend on the NaN's input.
"""
PROBES = 32
"""Images in one batch of probes."""

Span = tuple[int, int]
"""The first and the last of adjacent rows or columns. An empty span is (0, -1)."""


@dataclass(frozen=True, kw_only=True)
class LayerFacts:
    """Name, class and output shape of one module of the network."""

    name: str
    kind: str
    shape: tuple[int, ...]
    """Shape of the output for one image, `(channels, height, width)` or `(features,)`."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The outputs of all layers for one image, and the class probabilities."""

    probabilities: Tensor
    """The softmax of the network's output, `(classes,)`."""
    layers: tuple[Tensor, ...]
    """Each layer's output, with the order and the shapes of `Reader.layers`."""


@dataclass(frozen=True, kw_only=True)
class ReceptiveFields:
    """The part of the image on which each unit of a layer depends."""

    rows: tuple[Span, ...]
    """For each row of the layer's maps, the image rows that it depends on. Without maps, a single span."""
    columns: tuple[Span, ...]
    """For each column of the layer's maps, the image columns that it depends on. Without maps, one span."""


@dataclass(frozen=True, kw_only=True)
class UnitInputs:
    """The inputs of a module on which one unit of its output depends."""

    channels: tuple[int, ...]
    """The input channels, or the input features if the module has no maps as input."""
    rows: Span | None
    """The rows of the input maps. None if the input is a vector of features."""
    columns: Span | None
    values: Tensor
    """The values of the inputs, `(channels, rows, columns)` or `(features,)`."""
    weights: Tensor
    """The unit's derivative with respect to each input, shaped like `values`: a convolution's weights."""
    rest: float
    """The unit's value minus the sum of values times weights: the bias, or the non-linear part."""
    weighted: bool
    """Whether the module is a convolution or a dense layer, so that `weights` are its parameters."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One number of a layer's output, and the inputs that determine it."""

    value: float
    inputs: UnitInputs


class Reader:
    """Reads images with one trained network, which is in evaluation mode on the CPU."""

    def __init__(self, network: nn.Module, image_shape: Sequence[int]) -> None:
        """`image_shape` is `(channels, height, width)`."""
        self._network = network
        self.image_shape = tuple(image_shape)
        self.layers = tuple(
            LayerFacts(
                name=call.name, kind=type(call.module).__name__, shape=tuple(call.output_values.shape[1:])
            )
            for call in _trace_layers(self._network, torch.zeros(1, *image_shape))
        )

    def read(self, image: Tensor) -> Reading:
        """Run the network on an image `(channels, height, width)`."""
        return Reading(
            probabilities=self.probabilities(image[None])[0],
            layers=tuple(call.output_values[0] for call in _trace_layers(self._network, image[None])),
        )

    def probabilities(self, images: Tensor) -> Tensor:
        """Class probabilities `(n, classes)` for images `(n, channels, height, width)`."""
        with torch.inference_mode():
            return self._network(images).softmax(1)

    def unit(self, image: Tensor, layer: int, place: Sequence[int]) -> Unit:
        """Read the unit at index `place` of a layer's output. Layers are counted from 0."""
        call = _trace_layers(self._network, image[None])[layer]
        return Unit(value=float(call.output_values[0][tuple(place)]), inputs=find_unit_inputs(call, place))

    @cached_property
    def receptive_fields(self) -> tuple[ReceptiveFields, ...]:
        """Each layer's receptive fields, found with NaN.

        If one row of the image is NaN, exactly the units that depend on this row become NaN. The network runs
        once for each row and once for each column of the image.
        """
        _, height, width = self.image_shape
        rows = self._find_dependence(height, axis=-2)
        columns = self._find_dependence(width, axis=-1)
        return tuple(
            ReceptiveFields(rows=tuple(map(_span, of_rows)), columns=tuple(map(_span, of_columns)))
            for of_rows, of_columns in zip(rows, columns, strict=True)
        )

    def _find_dependence(self, count: int, axis: int) -> list[Tensor]:
        """Find for each row (or column) of each layer the rows (or columns) of the image on which it depends.

        There are booleans `(rows or columns of the layer, count)` for each layer. The image has `count` rows
        or columns. Axis -2 stands for rows, axis -1 for columns.
        """
        by_batch: list[list[Tensor]] = []
        exact = copy.deepcopy(self._network).to(EXACT)
        for indices in _batches(count):
            images = torch.zeros(len(indices), *self.image_shape, dtype=EXACT)
            for image, index in zip(images, indices, strict=True):
                image.select(axis, index).fill_(torch.nan)
            calls = _trace_layers(exact, images)
            by_batch.append([_find_nan(call.output_values, axis) for call in calls])
        return [torch.cat(parts).T for parts in zip(*by_batch, strict=True)]


def _trace_layers(network: nn.Module, images: Tensor) -> list[Call]:
    # Dropout is left out: in evaluation mode it returns its input.
    return [call for call in trace_calls(network, images) if not isinstance(call.module, _DropoutNd)]


def find_unit_inputs(call: Call, place: Sequence[int]) -> UnitInputs:
    """Find the inputs on which the unit at index `place` of the call's output depends, and their weights.

    A weight is the unit's derivative with respect to one input, computed by autograd. For a convolution, a
    dense layer and average pooling, this is the factor of the input. For max pooling, the largest input has
    weight 1.
    """
    inputs = call.input_values[:1].clone().requires_grad_()
    index = (0, *place)
    # The input is cloned, because a module that works in place must not overwrite a leaf of autograd.
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
    """Find the indices that the unit depends on, for each axis of the module's input but the batch axis."""
    module = copy.deepcopy(call.module).to(EXACT)
    shape = call.input_values.shape[1:]
    if any(True for _ in module.parameters()):
        # A module with parameters multiplies and adds, so one backward pass suffices: if the gradient is NaN
        # at the unit, it becomes NaN at every input on which the unit depends.
        inputs = torch.rand(1, *shape, dtype=EXACT).requires_grad_()
        output = module(inputs.clone())
        gradient = torch.zeros_like(output)
        gradient[index] = torch.nan
        (input_gradient,) = torch.autograd.grad(output, inputs, gradient)
        depends = input_gradient[0].isnan()
        others = [[other for other in range(depends.ndim) if other != axis] for axis in range(depends.ndim)]
        return [depends.amax(dims) if dims else depends for dims in others]
    # The derivative of an activation or a pooling can be zero although the unit depends on the input. A
    # forward pass therefore probes each index of each axis.
    return [
        torch.cat([_probe(module, shape, axis, indices, index) for indices in _batches(count)])
        for axis, count in enumerate(shape)
    ]


def _probe(
    module: nn.Module, shape: Sequence[int], axis: int, indices: range, unit: tuple[int, ...]
) -> Tensor:
    """Find for each of `indices` along the axis whether a NaN at this index makes the unit NaN."""
    probes = torch.zeros(len(indices), *shape, dtype=EXACT)
    for probe, index in zip(probes, indices, strict=True):
        probe.select(axis, index).fill_(torch.nan)
    with torch.inference_mode():
        return module(probes)[(slice(None), *unit[1:])].isnan()


def _batches(count: int) -> list[range]:
    return [range(first, min(first + PROBES, count)) for first in range(0, count, PROBES)]


def _find_nan(output: Tensor, axis: int) -> Tensor:
    """Find which rows or columns of each output contain NaN, `(n, rows or columns)`."""
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
