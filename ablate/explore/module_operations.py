"""Describe a module of a network as an operation that a saved page can run."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

SIMPLE: dict[type[nn.Module], str] = {
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.ReLU: "relu",
    nn.SELU: "selu",
    nn.SiLU: "silu",
    nn.Mish: "mish",
    nn.Hardswish: "hardswish",
    nn.Identity: "identity",
}
"""Modules that apply a function without options to each number. A subclass can compute something else."""


class UncoveredError(Exception):
    """A saved page cannot run a layer of the network. The message names the layer."""


@dataclass(frozen=True)
class Numbers:
    """Encodes tensors for the page, as their shape and their numbers in base64."""

    weights: torch.dtype
    """The number type of the weights of convolutions and dense layers, float32 or float16."""

    def encode_weights(self, weights: Tensor) -> dict[str, Any]:
        """Encode the weights of a convolution or a dense layer."""
        kind = "half" if self.weights == torch.float16 else "float"
        return {"shape": list(weights.shape), kind: _encode(weights.to(self.weights))}

    def encode(self, values: Tensor) -> dict[str, Any]:
        """Encode other numbers, such as biases, in float32."""
        return {"shape": list(values.shape), "float": _encode(values.to(torch.float32))}


def _encode(values: Tensor) -> str:
    array = values.detach().contiguous().numpy()
    return base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()


def describe_module(module: nn.Module, name: str, output: torch.Size, numbers: Numbers) -> dict[str, Any]:
    """Describe a module as an operation. `output` is the shape of its output, with the batch axis.

    Raises:
        UncoveredError: the page has no operation for the module, or not with these options.
    """
    kind = type(module)
    if kind in SIMPLE:
        return {"op": SIMPLE[kind]}
    if kind not in DESCRIPTIONS:
        raise UncoveredError(name)
    described = DESCRIPTIONS[kind](module, output, numbers)
    if described is None:
        raise UncoveredError(f"{name} with options that the page does not have")
    return described


def _pair(value: Any) -> list[int]:
    return list(value) if isinstance(value, Sequence) else [value, value]


def _describe_convolution(module: nn.Conv2d, _: torch.Size, numbers: Numbers) -> dict[str, Any] | None:
    if module.padding_mode != "zeros" or any(True for _ in module.children()):
        return None
    padding = [[0, 0], [0, 0]]
    if module.padding == "same":
        # Padding can be uneven. torch then adds one more row at the bottom, and one more column at the right.
        reaches = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        padding = [[reach // 2, reach - reach // 2] for reach in reaches]
    elif not isinstance(module.padding, str):
        padding = [[size, size] for size in module.padding]
    bias = torch.zeros(module.out_channels) if module.bias is None else module.bias
    return {
        "op": "convolution",
        "weight": numbers.encode_weights(module.weight),
        "bias": numbers.encode(bias),
        "stride": list(module.stride),
        "dilation": list(module.dilation),
        "groups": module.groups,
        "padding": [*padding[0], *padding[1]],
    }


def _describe_dense(module: nn.Linear, output: torch.Size, numbers: Numbers) -> dict[str, Any] | None:
    if len(output) != 2:
        return None
    bias = torch.zeros(module.out_features) if module.bias is None else module.bias
    return {"op": "dense", "weight": numbers.encode_weights(module.weight), "bias": numbers.encode(bias)}


def _describe_norm(module: _BatchNorm, _: torch.Size, numbers: Numbers) -> dict[str, Any] | None:
    mean, variance = module.running_mean, module.running_var
    if mean is None or variance is None:
        return None
    scale = (variance.double() + module.eps).rsqrt()
    if module.affine:
        scale = scale * module.weight.double()
    shift = -mean.double() * scale
    if module.affine:
        shift = shift + module.bias.double()
    return {"op": "scale", "scale": numbers.encode(scale), "shift": numbers.encode(shift)}


def _describe_average(module: nn.AvgPool2d, output: torch.Size, _: Numbers) -> dict[str, Any] | None:
    if module.divisor_override is not None or len(output) != 4:
        return None
    return {**_describe_pool(module), "op": "average", "padded": module.count_include_pad}


def _describe_max(module: nn.MaxPool2d, output: torch.Size, _: Numbers) -> dict[str, Any] | None:
    if module.return_indices or len(output) != 4:
        return None
    return {**_describe_pool(module), "op": "max", "dilation": _pair(module.dilation)}


def _describe_pool(module: nn.AvgPool2d | nn.MaxPool2d) -> dict[str, Any]:
    stride = module.kernel_size if module.stride is None else module.stride
    return {
        "kernel": _pair(module.kernel_size),
        "stride": _pair(stride),
        "padding": _pair(module.padding),
        "ceil": module.ceil_mode,
    }


def _describe_adaptive(module: nn.Module, output: torch.Size, _: Numbers) -> dict[str, Any] | None:
    kind = "average" if isinstance(module, nn.AdaptiveAvgPool2d) else "max"
    return {"op": f"adaptive {kind}", "size": list(output[2:])} if len(output) == 4 else None


def _describe_flatten(module: nn.Flatten, output: torch.Size, _: Numbers) -> dict[str, Any] | None:
    return {"op": "flatten"} if len(output) == 2 and module.start_dim == 1 else None


def _describe_prelu(module: nn.PReLU, _: torch.Size, numbers: Numbers) -> dict[str, Any]:
    return {"op": "prelu", "slope": numbers.encode(module.weight)}


def _with_options(op: str, *options: str) -> Callable[..., dict[str, Any]]:
    """Describe a module by the values of these attributes."""
    return lambda module, _output, _numbers: {"op": op} | {name: getattr(module, name) for name in options}


DESCRIPTIONS: dict[type[nn.Module], Callable[..., dict[str, Any] | None]] = {
    nn.Conv2d: _describe_convolution,
    nn.Linear: _describe_dense,
    nn.BatchNorm1d: _describe_norm,
    nn.BatchNorm2d: _describe_norm,
    nn.AvgPool2d: _describe_average,
    nn.MaxPool2d: _describe_max,
    nn.AdaptiveAvgPool2d: _describe_adaptive,
    nn.AdaptiveMaxPool2d: _describe_adaptive,
    nn.Flatten: _describe_flatten,
    nn.PReLU: _describe_prelu,
    nn.LeakyReLU: _with_options("leaky_relu", "negative_slope"),
    nn.ELU: _with_options("elu", "alpha"),
    nn.GELU: _with_options("gelu", "approximate"),
    nn.Softplus: _with_options("softplus", "beta", "threshold"),
    nn.Hardtanh: _with_options("hardtanh", "min_val", "max_val"),
    nn.ReLU6: _with_options("hardtanh", "min_val", "max_val"),
}
"""Maps a class of modules to the function that describes it. None means that the options are not covered."""
