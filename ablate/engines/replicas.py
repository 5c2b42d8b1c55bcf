"""A network as a function of many sets of parameters at once: replica r sees batch r with parameters r.

Activations travel as `(R·b, …)`: what treats each example by itself is torch's own layer on that tensor.
Convolutions and dense layers are batched matrix products. A convolution with a set of weights a replica
would be a grouped one, whose kernels are slow and for one input channel are depthwise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.engines.training import NotCovered

Pair = tuple[int, int]
# Their output for an example is a function of that example alone, whatever stands beside it.
EACH_ALONE: tuple[type[nn.Module], ...] = (
    nn.Identity, nn.Sigmoid, nn.Tanh, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.Softplus,
    nn.Softsign, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.LogSigmoid,
    nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.LocalResponseNorm,
    nn.ZeroPad2d,
)  # fmt: skip
WHOLE_BATCH = (nn.modules.batchnorm._BatchNorm,)
AT_RANDOM = (
    nn.modules.dropout._DropoutNd,
    nn.RReLU,
    nn.FractionalMaxPool2d,
    nn.FractionalMaxPool3d,
)
LOW_BITS = 2**32 - 1


class Layer(Protocol):
    """One layer of all replicas."""

    def __call__(self, parameters: Sequence[Tensor], x: Tensor, keys: Tensor | None, /) -> Tensor:
        """Its output `(R·b, …)`; `parameters` are all of the network's, `keys` dropout's, None: none."""


class Replicas:
    """So many copies of a network, each with parameters of its own."""

    def __init__(self, model: nn.Module, count: int) -> None:
        """The network's layers found out; its own parameters are only looked at for their shapes.

        Raises:
            NotCovered: a layer whose outcome would not be each replica's own, or nothing to train.
        """
        self.count = count
        self._model = model
        parameters = list(model.parameters())
        if not parameters:
            raise NotCovered("it has nothing to train")
        if len({parameter.dtype for parameter in parameters}) > 1 or not all(
            parameter.requires_grad for parameter in parameters
        ):
            raise NotCovered("it trains all parameters, and they are of one type")
        self._shapes = [parameter.shape for parameter in parameters]
        self.size = sum(parameter.numel() for parameter in parameters)
        """Parameters of one replica."""
        self._layers = [
            _layer(module, number, {id(p): i for i, p in enumerate(parameters)}, count)
            for number, module in enumerate(_leaves(model))
        ]
        self._drops = any(isinstance(layer, _Dropout) for layer in self._layers)

    def __call__(
        self, parameters: Tensor, images: Tensor, stream: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Logits `(R, b, classes)` of images `(R, b, channels, height, width)`.

        `parameters` is `(R, size)`: a row lists a replica's parameters in the model's order. `stream`, each
        replica's dropout seed and step number as int64 `(R, 1)`, puts the network in train mode; without it
        the network is evaluated.
        """
        self._model.train(stream is not None)
        keys = dropout_keys(*stream) if stream is not None and self._drops else None
        sizes = [shape.numel() for shape in self._shapes]
        views = [
            part.view(self.count, *shape)
            for part, shape in zip(parameters.split(sizes, dim=1), self._shapes, strict=True)
        ]
        x = images.flatten(0, 1)
        for layer in self._layers:
            x = layer(views, x, keys)
        return x.unflatten(0, (self.count, -1))


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    """The layers one after another, nested plain sequences laid out."""
    if type(module) is nn.Sequential:
        for child in module:
            yield from _leaves(child)
    else:
        yield module


def _layer(module: nn.Module, number: int, positions: dict[int, int], count: int) -> Layer:
    """How the layer is computed for all replicas at once."""
    if type(module) is nn.Dropout:
        return _Dropout(share=module.p, number=number, replicas=count)
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
            raise NotCovered(f"{name} looks at the whole batch and keeps statistics of it")
        if isinstance(part, AT_RANDOM):
            raise NotCovered(f"{name} in this place draws from torch's global generator")
    if any(True for _ in module.buffers()):
        raise NotCovered(f"{type(module).__name__} keeps more than parameters")
    names = {name: positions[id(parameter)] for name, parameter in module.named_parameters()}
    return _Mapped(module=module, names=names, replicas=count)


@dataclass(frozen=True, kw_only=True)
class _EachAlone:
    """A layer without parameters, on the examples of all replicas as one batch."""

    module: nn.Module

    def __call__(self, _parameters: Sequence[Tensor], x: Tensor, _keys: Tensor | None, /) -> Tensor:
        return self.module(x)


@dataclass(frozen=True, kw_only=True)
class _Dense:
    """A linear layer as one batched product; positions among the parameters."""

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
    """What torch.nn.Conv2d calls by the same names; rows first."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    def out(self, size: Sequence[int]) -> Pair:
        """Height and width of the output, as in torch.nn.Conv2d."""
        height, width = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        )
        return height, width


@dataclass(frozen=True, kw_only=True)
class _Convolution:
    """A convolution as patches times weights, one product an example; positions among the parameters.

    One product a replica would sum a weight's gradient over all pixels of a batch in a single thread block:
    one an example keeps a GPU busy, and costs a copy of the weights an example, small beside the patches.
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
    """What each output pixel sees: `(n, in · kernel, pixels)` of images `(n, in, height, width)`.

    F.unfold's numbers. On CUDA it launches a kernel an image (Im2Col.cu), a strided copy launches one; the
    way back is F.fold, which is batched there and sums in a fixed order, where as_strided's own would not.
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
        # A clone: for a 1×1 kernel reshaping would hand out a view of the images.
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
class _Mapped:
    """Any other layer through torch's own vectorisation, exact whatever it does."""

    module: nn.Module
    names: dict[str, int]
    """Positions among the network's parameters by the layer's names."""
    replicas: int

    def __call__(self, parameters: Sequence[Tensor], x: Tensor, _keys: Tensor | None, /) -> Tensor:
        own = {name: parameters[position] for name, position in self.names.items()}

        def alone(of_replica: dict[str, Tensor], batch: Tensor) -> Tensor:
            return torch.func.functional_call(self.module, of_replica, (batch,))

        return torch.vmap(alone)(own, x.unflatten(0, (self.replicas, -1))).flatten(0, 1)


@dataclass(frozen=True, kw_only=True)
class _Dropout:
    """Dropout whose choice for a unit is a hash of its replica's key, the layer and the unit's number.

    torch's own generator has one stream for a tensor; here a replica's stream is its own, whatever stands
    beside it, and needs nothing but arithmetic, which a CUDA graph records.
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
        mixed = _mixed(unit ^ first ^ (self.number * 0x9E3779B9 & LOW_BITS))
        kept = _mixed((mixed + second) & LOW_BITS) >= round(self.share * 2**32)
        scale = 1 / (1 - self.share) if self.share < 1 else 0.0
        return (units * (kept.to(x.dtype) * scale)).view_as(x)


def dropout_keys(seeds: Tensor, steps: Tensor) -> Tensor:
    """Keys `(2, R, 1)` of a step's dropout from each replica's seed and step number, int64 `(R, 1)`."""
    low, high = seeds & LOW_BITS, seeds >> 32 & LOW_BITS
    return torch.stack(
        [_mixed(_mixed(_mixed(a) ^ b) ^ steps) for a, b in ((low, high), (high, low ^ 0x5BD1E995))]
    )


def _mixed(bits: Tensor) -> Tensor:
    """A bijection of 32-bit numbers, kept in int64, that leaves no trace of their order.

    lowbias32 of Chris Wellons' hash prospector. Its second factor stands here less 2³², which is the same
    modulo 2³² and keeps every product within int64.
    """
    bits = bits ^ (bits >> 16)
    bits = bits * 0x7FEB352D & LOW_BITS
    bits = bits ^ (bits >> 15)
    bits = bits * (0x846CA68B - 2**32) & LOW_BITS
    return bits ^ (bits >> 16)
