"""The pieces every family of networks shares: activations, pooling, geometry, initialisation."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from ablate.errors import ModelError
from ablate.seeds import derived_seed
from ablate.spec import did_you_mean

T = TypeVar("T")

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "hardswish": nn.Hardswish,
    "identity": nn.Identity,
}
POOLINGS: dict[str, Callable[[int], nn.Module]] = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}
INITIALISERS: dict[str, Callable[..., Any]] = {
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": nn.init.kaiming_uniform_,
    "kaiming_normal": nn.init.kaiming_normal_,
    "orthogonal": nn.init.orthogonal_,
}


def chosen(keyword: str, value: object, choices: dict[str, T]) -> T:
    """The choice a keyword's value names; a ModelError with the nearest one otherwise."""
    if not isinstance(value, str) or value not in choices:
        raise ModelError(keyword, f"{value!r} is not known: {did_you_mean(str(value), list(choices))}")
    return choices[value]


def whole(keyword: str, value: object, *, at_least: int, at_most: int = 100_000) -> int:
    """`value` if it is a whole number in the bounds; a ModelError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= at_most:
        raise ModelError(keyword, f"{value!r} is no whole number from {at_least} to {at_most:,}")
    return value


def probability(keyword: str, value: object) -> float:
    """`value` if it is a probability below one; a ModelError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ModelError(keyword, f"{value!r} is no probability from 0 to below 1")
    return value


def convolved(
    layer: str, size: tuple[int, int], *, kernel: int, stride: int, padding: int, dilation: int
) -> tuple[int, int]:
    """Height and width after a convolution or pooling of square geometry.

    floor((n + 2·padding - dilation·(kernel - 1) - 1) / stride) + 1, as in torch.nn.Conv2d.
    """
    reach = dilation * (kernel - 1) + 1
    if min(size) + 2 * padding < reach:
        padded = "×".join(str(n + 2 * padding) for n in size)
        spread = f" dilated by {dilation} to {reach}×{reach}" if dilation > 1 else ""
        raise ModelError(
            "kernel_size" if layer.startswith("conv") else "pooling",
            f"{layer}: a {kernel}×{kernel} kernel{spread} does not fit its {padded} map "
            f"({size[0]}×{size[1]} padded by {padding}): smaller kernel, more padding or fewer layers",
        )
    return tuple((n + 2 * padding - reach) // stride + 1 for n in size)  # type: ignore[return-value]


def initialise(model: nn.Module, scheme: str, seed: int) -> None:
    """Fill every parameter in place, each from a generator of its own keyed by (seed, its name).

    Tensors of equal name and shape therefore start equal in every arm. `scheme` sets the weights of
    convolution and linear layers; their biases keep PyTorch's default, U(-1/sqrt(fan_in), 1/sqrt(fan_in)),
    as in the documents. `default` is PyTorch's own for weights too.
    """
    for prefix, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())

            def generator(name: str, prefix: str = prefix) -> torch.Generator:
                return torch.Generator().manual_seed(derived_seed(seed, f"init {prefix}.{name}"))

            with torch.no_grad():
                weight = torch.empty(module.weight.shape)
                if scheme == "default":
                    weight.uniform_(-bound, bound, generator=generator("weight"))
                else:
                    INITIALISERS[scheme](weight, generator=generator("weight"))
                module.weight.copy_(weight)
                if module.bias is not None:
                    bias = torch.empty(module.bias.shape).uniform_(-bound, bound, generator=generator("bias"))
                    module.bias.copy_(bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()  # ones and zeros: draws nothing


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """One line of a network's table."""

    name: str
    kind: str
    shape: tuple[int, ...]
    """Of one example's output, `(channels, height, width)` or `(features,)`."""
    parameters: int


def layer_shapes(model: nn.Sequential, input_shape: Sequence[int]) -> list[LayerShape]:
    """Every layer of the network with the shape of its output."""
    rows = []
    x = torch.zeros(1, *input_shape)
    with torch.no_grad():
        for name, module in model.eval().named_children():
            x = module(x)
            rows.append(
                LayerShape(
                    name=name,
                    kind=type(module).__name__,
                    shape=tuple(x.shape[1:]),
                    parameters=sum(parameter.numel() for parameter in module.parameters()),
                )
            )
    return rows
