"""What a trained network makes of one image, layer by layer and unit by unit: asked of the module itself."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

from ablate.inspection.tracing import Call, traced

EXACT = torch.float64
"""Convolved term by term everywhere. Where there is no oneDNN float32 may go by Fourier transforms, which let
what is no number into places that do not depend on it."""
PROBES = 32
"""Images at once when it is found out what depends on what."""

Span = tuple[int, int]
"""The first and the last of neighbouring rows or columns."""


@dataclass(frozen=True, kw_only=True)
class LayerFacts:
    """One module at work, as a pass through the network meets it."""

    name: str
    kind: str
    shape: tuple[int, ...]
    """Of its output for one image, `(channels, height, width)` or `(features,)`."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the network makes of one image."""

    probabilities: Tensor
    """`(classes,)`, the softmax of its output."""
    layers: tuple[Tensor, ...]
    """Each layer's output, in the order and the shapes of `Reader.layers`."""


@dataclass(frozen=True, kw_only=True)
class Fields:
    """Which part of the image each place of a layer's maps depends on."""

    rows: tuple[Span, ...]
    """One for each row of the maps; a single one for a layer without maps."""
    columns: tuple[Span, ...]


@dataclass(frozen=True, kw_only=True)
class Feeds:
    """The inputs of a module on which one unit of its output depends."""

    channels: tuple[int, ...]
    rows: Span | None
    """None where the module is given features instead of maps."""
    columns: Span | None
    inputs: Tensor
    """What they hold, `(channels, rows, columns)` or `(features,)`."""
    weights: Tensor
    """How much the unit grows with each, in the shape of `inputs`: of a convolution, its weights."""
    rest: float
    """What of the unit's value is not the sum of the products: a bias, or what is not linear."""
    weighted: bool
    """Whether the module is a convolution or a dense layer, whose weights these are."""


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One number of a layer's output and where it comes from."""

    value: float
    feeds: Feeds


class Reader:
    """One trained network, in evaluation mode on the CPU, to be shown one image after the other."""

    def __init__(self, network: nn.Module, image_shape: Sequence[int]) -> None:
        """`image_shape` is `(channels, height, width)`."""
        self._network = network
        self.image_shape = tuple(image_shape)
        self.layers = tuple(
            LayerFacts(
                name=call.name, kind=type(call.module).__name__, shape=tuple(call.made_values.shape[1:])
            )
            for call in _calls(self._network, torch.zeros(1, *image_shape))
        )

    def read(self, image: Tensor) -> Reading:
        """What the network makes of an image `(channels, height, width)`."""
        return Reading(
            probabilities=self.probabilities(image[None])[0],
            layers=tuple(call.made_values[0] for call in _calls(self._network, image[None])),
        )

    def probabilities(self, images: Tensor) -> Tensor:
        """The softmax of the network's output for images `(n, channels, height, width)`, `(n, classes)`."""
        with torch.inference_mode():
            return self._network(images).softmax(1)

    def unit(self, image: Tensor, layer: int, place: Sequence[int]) -> Unit:
        """The unit at `place`, an index into the output of the layer of that number."""
        call = _calls(self._network, image[None])[layer]
        feeding = feeds_of(call, place)
        value = float(call.made_values[0][tuple(place)])
        return Unit(value=value, feeds=feeding)

    @cached_property
    def fields(self) -> tuple[Fields, ...]:
        """Each layer's receptive fields: of a row without numbers nothing that depends on it is one either.

        It takes as many forward passes as the image has rows and columns, all layers together.
        """
        _, height, width = self.image_shape
        rows = self._reached(height, lambda images, at: images[..., at, :].fill_(torch.nan), axis=-2)
        columns = self._reached(width, lambda images, at: images[..., :, at].fill_(torch.nan), axis=-1)
        return tuple(
            Fields(rows=tuple(map(_span, down)), columns=tuple(map(_span, across)))
            for down, across in zip(rows, columns, strict=True)
        )

    def _reached(self, count: int, spoil: Callable[[Tensor, int], object], axis: int) -> list[Tensor]:
        # For each layer `(places, count)`: whether each place depends on each of so many rows or columns.
        found: list[list[Tensor]] = []
        exact = copy.deepcopy(self._network).to(EXACT)
        for probes in _parts(count):
            images = torch.zeros(len(probes), *self.image_shape, dtype=EXACT)
            for i, at in enumerate(probes):
                spoil(images[i], at)
            found.append([_spoilt(call.made_values, axis) for call in _calls(exact, images)])
        return [torch.cat(parts).T for parts in zip(*found, strict=True)]


def _calls(network: nn.Module, images: Tensor) -> list[Call]:
    # What drops out in training hands on what it is given.
    return [call for call in traced(network, images) if not isinstance(call.module, _DropoutNd)]


def feeds_of(call: Call, place: Sequence[int]) -> Feeds:
    """Which inputs feed the unit at `place` of the call's output, their values and weights.

    The weights are the unit's derivatives, by autograd on the very module: for a convolution, a dense layer
    and average pooling what they multiply each input by; of max pooling 1 for the winner.
    """
    given = call.given_values[:1].clone()
    at = (0, *place)
    needed = given.requires_grad_()
    # Cloned, for a module that works in place may not overwrite what is differentiated by.
    made = call.module(needed.clone())
    (slopes,) = torch.autograd.grad(made[at], needed)
    axes = [_indices(spoilt) for spoilt in _depends(call, at)]
    inputs, weights = (tensor.detach()[0][torch.meshgrid(*axes, indexing="ij")] for tensor in (given, slopes))
    maps = given.ndim == 4
    return Feeds(
        channels=tuple(axes[0].tolist()),
        rows=_ends(axes[1]) if maps else None,
        columns=_ends(axes[2]) if maps else None,
        inputs=inputs,
        weights=weights,
        weighted=isinstance(call.module, (_ConvNd, nn.Linear)),
        rest=float(made[at].detach() - (inputs.double() * weights.double()).sum()),
    )


def _depends(call: Call, at: tuple[int, ...]) -> list[Tensor]:
    """For each axis of the module's input but the first, whether the unit depends on it, by index."""
    module = copy.deepcopy(call.module).to(EXACT)
    shape = call.given_values.shape[1:]
    if any(True for _ in module.parameters()):
        # Backwards from a unit whose slope is no number; one pass, since such a module multiplies and adds.
        given = torch.rand(1, *shape, dtype=EXACT).requires_grad_()
        made = module(given.clone())
        wanted = torch.zeros_like(made)
        wanted[at] = torch.nan
        (slopes,) = torch.autograd.grad(made, given, wanted)
        spoilt = slopes[0].isnan()
        others = [[other for other in range(spoilt.ndim) if other != axis] for axis in range(spoilt.ndim)]
        return [spoilt.amax(dims) if dims else spoilt for dims in others]
    # An activation or pooling may have no slope where it depends: forwards, index by index.
    return [
        torch.cat([_probed(module, shape, axis, part, at) for part in _parts(n)])
        for axis, n in enumerate(shape)
    ]


def _probed(
    module: nn.Module, shape: Sequence[int], axis: int, indices: range, at: tuple[int, ...]
) -> Tensor:
    probes = torch.zeros(len(indices), *shape, dtype=EXACT)
    for i, index in enumerate(indices):
        probes[i].select(axis, index).fill_(torch.nan)
    with torch.inference_mode():
        return module(probes)[(slice(None), *at[1:])].isnan()


def _parts(count: int) -> list[range]:
    return [range(first, min(first + PROBES, count)) for first in range(0, count, PROBES)]


def _spoilt(made: Tensor, axis: int) -> Tensor:
    """Which rows or columns of each output hold something that is no number, `(n, places)`."""
    if made.ndim != 4:
        return made.isnan().flatten(1).any(1, keepdim=True)
    return made.isnan().movedim(axis, 1).flatten(2).any(2)


def _indices(depends: Tensor) -> Tensor:
    return depends.nonzero().flatten()


def _span(depends: Tensor) -> Span:
    return _ends(_indices(depends))


def _ends(indices: Tensor) -> Span:
    """First and last; of nothing, an empty span."""
    return (int(indices[0]), int(indices[-1])) if len(indices) else (0, -1)
