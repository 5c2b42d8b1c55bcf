"""Layers for many replicas of a network at once. Each replica has its own parameters.

With R replicas and batches of b examples, activations have the shape `(R·b, …)`. If a layer has no parameters
and treats each example separately, torch's own layer is applied to this tensor. Convolutions and dense layers
are computed as batched matrix products.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from ablate.engines.replica_convolutions import Convolution, Geometry, Pair
from ablate.engines.training import NotCovered

EACH_ALONE: tuple[type[nn.Module], ...] = (
    nn.Identity, nn.Sigmoid, nn.Tanh, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.Softplus,
    nn.Softsign, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.LogSigmoid,
    nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.LocalResponseNorm,
    nn.ZeroPad2d,
)  # fmt: skip
"""Layers that compute the output for an example from this example alone."""
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
        """Compute the layer's output `(R·b, …)` from its input `x` `(R·b, …)`.

        `parameters` has the parameters of the whole network. `keys` is the result of `make_dropout_keys`. If
        `keys` is None, dropout is off.
        """


def replicate_layer(module: nn.Module, number: int, positions: dict[int, int], count: int) -> Layer:
    """Make a layer that computes `module` for all replicas.

    Args:
        module: a layer of the network.
        number: the layer's position in the network.
        positions: maps a parameter's `id` to its position in the network's list of parameters.
        count: the number of replicas.

    Raises:
        NotCovered: the layer uses statistics of the whole batch, draws from the global generator, or has
            buffers.
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
        return Convolution(
            weight=positions[id(module.weight)],
            bias=place_of_bias,
            geometry=Geometry(
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
    """A layer without parameters, applied to the examples of all replicas as one batch."""

    module: nn.Module

    def __call__(self, _parameters: Sequence[Tensor], x: Tensor, _keys: Tensor | None, /) -> Tensor:
        return self.module(x)


@dataclass(frozen=True, kw_only=True)
class _Dense:
    """A dense layer as one batched matrix product.

    `weight` and `bias` are positions in the network's list of parameters.
    """

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
class _Vectorised:
    """Any other layer. torch.vmap applies it to the batch and the parameters of each replica."""

    module: nn.Module
    names: dict[str, int]
    """Maps a parameter's name in the layer to its position in the network's list of parameters."""
    replicas: int

    def __call__(self, parameters: Sequence[Tensor], x: Tensor, _keys: Tensor | None, /) -> Tensor:
        own = {name: parameters[position] for name, position in self.names.items()}

        def alone(of_replica: dict[str, Tensor], batch: Tensor) -> Tensor:
            return torch.func.functional_call(self.module, of_replica, (batch,))

        return torch.vmap(alone)(own, x.unflatten(0, (self.replicas, -1))).flatten(0, 1)


@dataclass(frozen=True, kw_only=True)
class Dropout:
    """Dropout. Its mask is a hash of the replica's key, the layer's number and the unit's number.

    torch's generator would draw the masks of all replicas from one random stream. The hash gives each replica
    its own random stream, independent of the other replicas. A CUDA graph can record the hash, because it
    consists only of arithmetic.
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
    """Make the keys for one step's dropout masks, `(2, R, 1)`.

    `seeds` and `steps` have the dropout seed and the step number of each replica, both int64 `(R, 1)`.
    """
    low, high = seeds & LOW_BITS, seeds >> 32 & LOW_BITS
    return torch.stack(
        [_hash(_hash(_hash(a) ^ b) ^ steps) for a, b in ((low, high), (high, low ^ 0x5BD1E995))]
    )


def _hash(bits: Tensor) -> Tensor:
    """Hash 32-bit numbers, stored as int64, with the function lowbias32 of Chris Wellons' hash prospector.

    The code subtracts 2³² from the second factor, so that the products fit into int64. Modulo 2³², the result
    is the same.
    """
    bits = bits ^ (bits >> 16)
    bits = bits * 0x7FEB352D & LOW_BITS
    bits = bits ^ (bits >> 15)
    bits = bits * (0x846CA68B - 2**32) & LOW_BITS
    return bits ^ (bits >> 16)
