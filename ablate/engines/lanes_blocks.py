"""Split a torch network into blocks that lanes.cpp can train, or explain why lanes.cpp cannot train it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ablate.engines.training import NotCovered

Norm = nn.BatchNorm1d | nn.BatchNorm2d
Pool = nn.AvgPool2d | nn.MaxPool2d | nn.AdaptiveAvgPool2d
ACTIVATIONS: tuple[tuple[type[nn.Module], dict[str, Any]], ...] = (
    (nn.Identity, {}),
    (nn.Sigmoid, {}),
    (nn.Tanh, {}),
    (nn.ReLU, {}),
    (nn.LeakyReLU, {"negative_slope": 0.01}),
    (nn.ELU, {"alpha": 1.0}),
    (nn.SELU, {}),
    (nn.Softplus, {"beta": 1.0, "threshold": 20.0}),
    (nn.GELU, {"approximate": "none"}),
    (nn.SiLU, {}),
    (nn.Mish, {}),
    (nn.Hardswish, {}),
)
"""The activations that lanes.cpp supports, each with the only supported values of its options.

The position of an activation in this tuple is its number in lanes.cpp.
"""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A convolution or dense layer, together with the layers up to the next convolution or dense layer.

    The other layers can be batch norm, an activation, pooling (after a convolution) and dropout (after a
    dense layer).
    """

    weighted: nn.Conv2d | nn.Linear
    norm: Norm | None
    activation: int
    """The position of the block's activation in `ACTIVATIONS`."""
    pool: Pool | None
    dropout: float
    """The probability with which each output of the dense layer is set to zero in training."""

    @property
    def padding(self) -> int:
        """The number of rows and columns of zeros around the block's input."""
        return int(self.weighted.padding[0]) if isinstance(self.weighted, nn.Conv2d) else 0


class _Queue:
    """The layers of a network that are not yet part of a block."""

    def __init__(self, layers: nn.Sequential) -> None:
        self._waiting = list(layers)

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def next_kind(self) -> str:
        return type(self._waiting[0]).__name__

    def take(self, *kinds: type[nn.Module]) -> Any:
        """Remove and return the next layer if it is of one of these kinds. Otherwise return None."""
        return self._waiting.pop(0) if self._waiting and type(self._waiting[0]) in kinds else None

    def take_flatten(self) -> bool:
        """Remove the next layer if it is nn.Flatten. Return whether a layer was removed."""
        flatten = self.take(nn.Flatten)
        if flatten is not None and (flatten.start_dim, flatten.end_dim) != (1, -1):
            raise NotCovered("it supports Flatten only with its default dimensions")
        return flatten is not None


def split_off_input_norm(model: nn.Module) -> tuple[nn.BatchNorm2d | None, nn.Module]:
    """Split the network into a batch norm that normalises the images, and the layers after it.

    If the network does not begin with a batch norm without parameters, the result is None and the network.
    """
    if type(model) is not nn.Sequential or not len(model):
        return None, model
    first = model[0]
    if type(first) is nn.BatchNorm2d and not first.affine and first.track_running_stats:
        return first, model[1:]
    return None, model


def split_into_blocks(model: nn.Module) -> list[Block]:
    """Split the network into blocks. Blocks with a dense layer come after all blocks with a convolution.

    Raises:
        NotCovered: the network does not consist of such blocks, or lanes.cpp does not support an option of a
            layer.
    """
    if type(model) is not nn.Sequential:  # a subclass can call its layers in another order
        raise NotCovered("the network is not a plain nn.Sequential")
    queue = _Queue(model)
    kinds = [kind for kind, _ in ACTIVATIONS]
    blocks: list[Block] = []
    flat = queue.take_flatten()
    while queue:
        weighted = queue.take(nn.Linear) if flat else queue.take(nn.Conv2d)
        if weighted is None:
            raise NotCovered(f"it does not support {queue.next_kind} in this position of the network")
        norm = queue.take(nn.BatchNorm1d) if flat else queue.take(nn.BatchNorm2d)
        activation = queue.take(*kinds)
        pool = None if flat else queue.take(nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d)
        dropout = queue.take(nn.Dropout) if flat else None
        block = Block(
            weighted=weighted,
            norm=norm,
            activation=0 if activation is None else kinds.index(type(activation)),
            pool=pool,
            dropout=0.0 if dropout is None else dropout.p,
        )
        _check_weights(weighted)
        _check_norm(norm)
        _check_activation(block.activation, activation)
        _check_pool(pool)
        blocks.append(block)
        flat = flat or queue.take_flatten()
    if not blocks or not flat:
        raise NotCovered("the network must end with a flat vector of logits")
    return blocks


def require_square(size: int | tuple[int, ...]) -> int:
    """Return the one number that is both the height and the width of a kernel, stride or padding.

    Raises:
        NotCovered: height and width differ.
    """
    sizes = {size} if isinstance(size, int) else set(size)
    if len(sizes) != 1:
        raise NotCovered(f"it needs square kernels, strides and paddings, not {size}")
    return sizes.pop()


def _check_weights(weighted: nn.Conv2d | nn.Linear) -> None:
    if weighted.bias is None or weighted.weight.dtype != torch.float32:
        raise NotCovered("every layer needs a bias and float32 parameters")
    if isinstance(weighted, nn.Conv2d):
        if weighted.groups != 1 or weighted.padding_mode != "zeros" or isinstance(weighted.padding, str):
            raise NotCovered(
                "it does not support grouped convolutions, or padding other than a number of zeros"
            )
        for geometry in (weighted.kernel_size, weighted.stride, weighted.padding, weighted.dilation):
            require_square(geometry)


def _check_norm(norm: Norm | None) -> None:
    if norm is None:
        return
    if not norm.affine or not norm.track_running_stats or norm.momentum is None:
        raise NotCovered("it supports batch norm only with weights, running statistics and a momentum")
    if norm.weight.dtype != torch.float32:
        raise NotCovered("it supports batch norm only with float32 parameters")


def _check_activation(number: int, activation: nn.Module | None) -> None:
    for option, default in ACTIVATIONS[number][1].items():
        if activation is not None and getattr(activation, option) != default:
            raise NotCovered(f"it supports {type(activation).__name__} only with {option}={default}")


def _check_pool(pool: Pool | None) -> None:
    if isinstance(pool, nn.AdaptiveAvgPool2d):
        if pool.output_size not in (1, (1, 1)):
            raise NotCovered("it supports adaptive pooling only to a single pixel")
    elif pool is not None:
        require_square(pool.kernel_size)
        require_square(pool.stride)
        special = {"padding": 0, "ceil_mode": False, "dilation": 1, "return_indices": False}
        odd = [name for name, plain in special.items() if getattr(pool, name, plain) != plain]
        if odd or getattr(pool, "divisor_override", None) is not None:
            raise NotCovered(
                "it does not support padding, dilation, ceil_mode or divisor_override in pooling"
            )
