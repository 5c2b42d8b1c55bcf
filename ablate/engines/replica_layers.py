"""Layers for many replicas at once. Each does the work of a torch layer, with parameters for each replica.

With R replicas and batches of b examples, activations have the shape `(R·b, …)`. A layer that treats
each example separately is torch's own layer on that tensor. Convolutions and dense layers are batched matrix
products. torch's own convolution is not used: it would need one group per replica, and torch's kernels for
grouped convolutions are slow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.engines.training import NotCovered

Pair = tuple[int, int]
EACH_ALONE: tuple[type[nn.Module], ...] = (
    nn.Identity, nn.Sigmoid, nn.Tanh, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.Softplus,
    nn.Softsign, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.LogSigmoid,
    nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.LocalResponseNorm,
    nn.ZeroPad2d,
)  # fmt: skip
"""Layers whose output for an example depends on that example alone."""
WHOLE_BATCH = (nn.modules.batchnorm._BatchNorm,)
AT_RANDOM = (
    nn.modules.dropout._DropoutNd,
    nn.RReLU,
    nn.FractionalMaxPool2d,
    nn.FractionalMaxPool3d,
)
LOW_BITS = 2**32 - 1


class Layer(Protocol):
    """One layer for all replicas."""

    def __call__(self, parameters: Sequence[Tensor], x: Tensor, keys: Tensor | None, /) -> Tensor:
        """Compute the output `(R·b, …)`.

        `parameters` are those of the whole network. `keys` are the keys of dropout. None turns dropout off.
        """


def replicate_layer(module: nn.Module, number: int, positions: dict[int, int], count: int) -> Layer:
    """Make the layer for all replicas. `positions` has each parameter's position, by the parameter's id.

    Raises:
        NotCovered: the layer would mix replicas, draw from a common generator, or keep state of its own.
    """
    if type(module) is nn.Dropout:
        return Dropout(share=module.p, number=number, replicas=count)
    if type(module) in EACH_ALONE or (type(module) is nn.Flatten and module.start_dim >= 1):
        return _EachAlone(module=module)
    bias = getattr(module, "bias", None)
    place_of_bias = None if bias is None else positions.get(id(bias))
    if type(module) is nn.Linear:
        return _Dense(weight=positions[id(module.weight)], bias=place_of_bias)
    if (
        type(module) is nn.Conv2d
        and module.groups == 1
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
    ):
        return _Convolution(
            weight=positions[id(module.weight)],
            bias=place_of_bias,
            geometry=_Geometry(
                kernel=cast(Pair, module.kernel_size),
                stride=cast(Pair, module.stride),
                padding=cast(Pair, module.padding),
                dilation=cast(Pair, module.dilation),
            ),
        )
    for part in module.modules():
        name = type(part).__name__
        if isinstance(part, WHOLE_BATCH):
            raise NotCovered(f"{name} uses statistics of the whole batch")
        if isinstance(part, AT_RANDOM):
            raise NotCovered(f"{name} in this place draws from torch's global generator")
    if any(True for _ in module.buffers()):
        raise NotCovered(f"{type(module).__name__} has buffers, which the cohort engine does not copy")
    names = {name: positions[id(parameter)] for name, parameter in module.named_parameters()}
    return _Vectorised(module=module, names=names, replicas=count)


@dataclass(frozen=True, kw_only=True)
class _EachAlone:
    """A layer without parameters. The examples of all replicas are one batch."""

    module: nn.Module

    def __call__(self, _parameters: Sequence[Tensor], x: Tensor, _keys: Tensor | None, /) -> Tensor:
        return self.module(x)


@dataclass(frozen=True, kw_only=True)
class _Dense:
    """A linear layer as one batched product. `weight` and `bias` are positions among the parameters."""

    weight: int
    bias: int | None

    def __call__(self, parameters: Sequence[Tensor], x: Tensor, _keys: Tensor | None, /) -> Tensor:
        weight = parameters[self.weight]  # (R, out, in)
        rows = x.reshape(len(weight), -1, weight.shape[2])
        if self.bias is None:
            out = torch.bmm(rows, weight.mT)
        else:
            out = torch.baddbmm(parameters[self.bias][:, None], rows, weight.mT)
        return out.view(*x.shape[:-1], weight.shape[1])


@dataclass(frozen=True, kw_only=True)
class _Geometry:
    """The options of torch.nn.Conv2d with the same names, rows first."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    def out(self, size: Sequence[int]) -> Pair:
        """Compute height and width of the output, as torch.nn.Conv2d does."""
        height, width = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        )
        return height, width


@dataclass(frozen=True, kw_only=True)
class _Convolution:
    """A convolution as patches times weights, one product per example.

    `weight` and `bias` are positions among the parameters. With one product per replica, a single thread
    block would sum a weight's gradient over all pixels of a batch. One product per example keeps a GPU busy.
    Each example then needs a copy of the weights, but this copy is small compared with the patches.
    """

    weight: int
    bias: int | None
    geometry: _Geometry

    def __call__(self, parameters: Sequence[Tensor], x: Tensor, _keys: Tensor | None, /) -> Tensor:
        weight = parameters[self.weight].flatten(2)  # (R, out, in · kernel)
        replicas, out_channels, taps = weight.shape
        examples = len(x) // replicas
        patches = cast(Tensor, _Patches.apply(x, self.geometry))
        weights = weight[:, None].expand(-1, examples, -1, -1).reshape(len(x), out_channels, taps)
        out = torch.bmm(weights, patches).view(replicas, examples, out_channels, -1)
        if self.bias is not None:
            out = out.add_(parameters[self.bias][:, None, :, None])
        return out.view(len(x), out_channels, *self.geometry.out(x.shape[2:]))


class _Patches(torch.autograd.Function):
    """The input pixels of each output pixel: `(n, in · kernel, pixels)` of images `(n, in, height, width)`.

    The values are those of F.unfold. On CUDA, F.unfold launches one kernel per image (Im2Col.cu), but this
    strided copy launches one kernel per batch. The backward pass is F.fold, which CUDA computes for a whole
    batch. F.fold sums in a fixed order, but the backward pass of as_strided does not.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, geometry: _Geometry) -> Tensor:
        ctx.geometry, ctx.size = geometry, images.shape[2:]
        rows, columns = geometry.padding
        padded = F.pad(images, (columns, columns, rows, rows)) if rows or columns else images
        count, channels = padded.shape[:2]
        by_image, by_channel, by_row, by_column = padded.stride()
        strides = (
            by_image,
            by_channel,
            by_row * geometry.dilation[0],
            by_column * geometry.dilation[1],
            by_row * geometry.stride[0],
            by_column * geometry.stride[1],
        )
        windows = padded.as_strided((count, channels, *geometry.kernel, *geometry.out(ctx.size)), strides)
        # Without the clone, reshaping would return a view of the images for a 1×1 kernel.
        return windows.clone(memory_format=torch.contiguous_format).flatten(4).flatten(1, 3)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None]:
        if not ctx.needs_input_grad[0]:
            return None, None
        geometry = ctx.geometry
        gradient = F.fold(
            gradients[0],
            tuple(ctx.size),
            geometry.kernel,
            dilation=geometry.dilation,
            padding=geometry.padding,
            stride=geometry.stride,
        )
        return gradient, None


@dataclass(frozen=True, kw_only=True)
class _Vectorised:
    """Any other layer. torch.vmap applies it to each replica, which is exact for whatever it computes."""

    module: nn.Module
    names: dict[str, int]
    """The layer's names for its parameters, and their positions among those of the network."""
    replicas: int

    def __call__(self, parameters: Sequence[Tensor], x: Tensor, _keys: Tensor | None, /) -> Tensor:
        own = {name: parameters[position] for name, position in self.names.items()}

        def alone(of_replica: dict[str, Tensor], batch: Tensor) -> Tensor:
            return torch.func.functional_call(self.module, of_replica, (batch,))

        return torch.vmap(alone)(own, x.unflatten(0, (self.replicas, -1))).flatten(0, 1)


@dataclass(frozen=True, kw_only=True)
class Dropout:
    """Dropout whose mask is a hash of the replica's key, the layer's number and the unit's number.

    torch's generator would draw the masks of all replicas from one random stream. The hash gives each replica
    its own random stream, independent of the other replicas. A hash is only arithmetic, so a CUDA graph can
    record it.
    """

    share: float
    number: int
    replicas: int

    def __call__(self, _parameters: Sequence[Tensor], x: Tensor, keys: Tensor | None, /) -> Tensor:
        if keys is None or self.share == 0:
            return x
        units = x.reshape(self.replicas, -1)
        first, second = keys
        unit = torch.arange(units.shape[1], device=x.device)
        mixed = _hash(unit ^ first ^ (self.number * 0x9E3779B9 & LOW_BITS))
        kept = _hash((mixed + second) & LOW_BITS) >= round(self.share * 2**32)
        scale = 1 / (1 - self.share) if self.share < 1 else 0.0
        return (units * (kept.to(x.dtype) * scale)).view_as(x)


def make_dropout_keys(seeds: Tensor, steps: Tensor) -> Tensor:
    """Make a step's dropout keys `(2, R, 1)` from each replica's seed and step number, int64 `(R, 1)`."""
    low, high = seeds & LOW_BITS, seeds >> 32 & LOW_BITS
    return torch.stack(
        [_hash(_hash(_hash(a) ^ b) ^ steps) for a, b in ((low, high), (high, low ^ 0x5BD1E995))]
    )


def _hash(bits: Tensor) -> Tensor:
    """Hash 32-bit numbers stored in int64 by lowbias32 of Chris Wellons' hash prospector.

    This hash is a bijection. The code subtracts 2³² from the second factor, so that every product fits int64.
    The result is the same modulo 2³².
    """
    bits = bits ^ (bits >> 16)
    bits = bits * 0x7FEB352D & LOW_BITS
    bits = bits ^ (bits >> 15)
    bits = bits * (0x846CA68B - 2**32) & LOW_BITS
    return bits ^ (bits >> 16)
