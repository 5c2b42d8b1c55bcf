"""A torch network as the tables and buffers of lanes.cpp, or the reason why it cannot be one."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ablate.engines.lanes_library import Layer, Network
from ablate.engines.training import NotCovered

IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
# Position is the number by which lanes.cpp knows them; how it knows that an activation has its defaults.
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


FILTERED = {3: 4, 5: 6, 7: 9}
"""Kernel sizes that lanes.cpp has minimal filtering for, and the products that a row of each takes."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A layer with weights and what follows it up to the next."""

    weighted: nn.Conv2d | nn.Linear
    activation: int
    pool: nn.AvgPool2d | nn.MaxPool2d | nn.AdaptiveAvgPool2d | None
    dropout: float
    """Probability of zeroing a unit of a dense layer's output."""

    @property
    def padding(self) -> int:
        """Zeros that it needs around its input."""
        return int(self.weighted.padding[0]) if isinstance(self.weighted, nn.Conv2d) else 0


def blocks_of(model: nn.Module) -> list[Block]:
    """The network as convolutions, then dense layers, each with activation and pooling or dropout.

    Raises:
        NotCovered: anything else, or a layer with an option that lanes.cpp does not have.
    """
    if type(model) is not nn.Sequential:  # a subclass may pass its layers in another order
        raise NotCovered("it is no plain sequence of layers")
    waiting = list(model)
    names = [kind for kind, _ in ACTIVATIONS]

    def taken(*kinds: type[nn.Module]) -> Any:
        return waiting.pop(0) if waiting and type(waiting[0]) in kinds else None

    def flattened() -> bool:
        flatten = taken(nn.Flatten)
        if flatten is not None and (flatten.start_dim, flatten.end_dim) != (1, -1):
            raise NotCovered("it flattens all of an example or nothing")
        return flatten is not None

    blocks: list[Block] = []
    flat = flattened()
    while waiting:
        weighted = taken(nn.Linear) if flat else taken(nn.Conv2d)
        if weighted is None:
            raise NotCovered(f"it has no {type(waiting[0]).__name__} layer, or not in this place")
        activation = taken(*names)
        pool = None if flat else taken(nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d)
        dropout = taken(nn.Dropout) if flat else None
        block = Block(
            weighted=weighted,
            activation=0 if activation is None else names.index(type(activation)),
            pool=pool,
            dropout=0.0 if dropout is None else dropout.p,
        )
        _check(block, activation)
        blocks.append(block)
        flat = flat or flattened()
    if not blocks or not flat:
        raise NotCovered("it ends every network with a flat row of logits")
    return blocks


def _check(block: Block, activation: nn.Module | None) -> None:
    weighted, pool = block.weighted, block.pool
    if weighted.bias is None or weighted.weight.dtype != torch.float32:
        raise NotCovered("every layer needs a bias and float32 parameters")
    if isinstance(weighted, nn.Conv2d):
        if weighted.groups != 1 or weighted.padding_mode != "zeros" or isinstance(weighted.padding, str):
            raise NotCovered("convolutions are neither grouped nor padded by anything but a number of zeros")
        for geometry in (weighted.kernel_size, weighted.stride, weighted.padding, weighted.dilation):
            _square(geometry)
    for option, default in ACTIVATIONS[block.activation][1].items():
        if activation is not None and getattr(activation, option) != default:
            raise NotCovered(f"{type(activation).__name__} has PyTorch's own {option}, {default}")
    if isinstance(pool, nn.AdaptiveAvgPool2d):
        if pool.output_size not in (1, (1, 1)):
            raise NotCovered("adaptive pooling leaves it a single pixel")
    elif pool is not None:
        _square(pool.kernel_size)
        _square(pool.stride)
        special = {"padding": 0, "ceil_mode": False, "dilation": 1, "return_indices": False}
        odd = [name for name, plain in special.items() if getattr(pool, name, plain) != plain]
        if odd or getattr(pool, "divisor_override", None) is not None:
            raise NotCovered("pooling has no padding, dilation, ceil_mode or divisor_override")


def _square(size: int | tuple[int, ...]) -> int:
    sizes = {size} if isinstance(size, int) else set(size)
    if len(sizes) != 1:
        raise NotCovered(f"geometry is square, not {size}")
    return sizes.pop()


class Memory:
    """Allocates what C++ works on and keeps it alive; torch aligns to 64 bytes, as a vector needs."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self._kept: list[object] = []

    def floats(self, count: int) -> Tensor:
        """Zeros `(count,)`."""
        tensor = torch.zeros(count)
        if tensor.data_ptr() % 64:
            raise MemoryError("torch's memory is not aligned to 64 bytes: set ABLATE_ENGINE=loop")
        self._kept.append(tensor)
        return tensor

    def vectors(self, count: int) -> int:
        """The address of `count` zero vectors, one lane an example."""
        return self.floats(count * self.lanes).data_ptr()

    def map(self, given: "_Map") -> int:
        """The address of a map, with the one vector more that minimal filtering reads beyond an odd row."""
        return self.vectors(given.size + 1)

    def table(self, values: ArrayLike) -> int:
        """The address of integers."""
        table = np.ascontiguousarray(np.ravel(values), np.int32)
        self._kept.append(table)
        return table.ctypes.data


@dataclass(frozen=True, kw_only=True)
class _Map:
    """How one example lies in a layer's input: channels of zero-padded rows; features are 1×1 channels."""

    channels: int
    height: int
    width: int
    padding: int = 0

    @property
    def row(self) -> int:
        return self.width + 2 * self.padding

    @property
    def plane(self) -> int:
        return (self.height + 2 * self.padding) * self.row

    @property
    def size(self) -> int:
        return self.channels * self.plane

    def places(self) -> IntArray:
        """Where in a channel its pixels lie, `(height * width,)`."""
        return _grid(np.arange(self.height) + self.padding, np.arange(self.width) + self.padding, self.row)


def network_of(
    model: nn.Module, image_shape: Sequence[int], groups: int, memory: Memory
) -> tuple[Network, ctypes.Array[Layer]]:
    """The network for batches of so many groups, and its layers, which must be kept as long.

    The model's parameters become views of one buffer.
    """
    blocks = blocks_of(model)
    parameters = list(model.parameters())
    count = sum(parameter.numel() for parameter in parameters)
    values, gradients = memory.floats(count), memory.floats(count)
    for parameter, part in zip(parameters, values.split([p.numel() for p in parameters]), strict=True):
        parameter.data = part.view_as(parameter).copy_(parameter.detach())
    to_gradient = gradients.data_ptr() - values.data_ptr()

    channels, height, width = image_shape
    image = given = _Map(channels=channels, height=height, width=width, padding=blocks[0].padding)
    first_input = given_at = memory.map(given)
    gradient_at: int | None = None
    layers: list[Layer] = []
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        weighted = block.weighted
        bias = cast(Tensor, weighted.bias)
        if isinstance(weighted, nn.Conv2d):
            padding = following.padding if following else 0
            layer, output = _convolution(weighted, block.pool, given, padding, memory)
        else:
            layer, output = _dense(weighted, memory)
        layer.activation, layer.input_size, layer.plane = block.activation, given.size, output.plane
        layer.weight, layer.weight_gradient = (
            weighted.weight.data_ptr(),
            weighted.weight.data_ptr() + to_gradient,
        )
        layer.bias, layer.bias_gradient = bias.data_ptr(), bias.data_ptr() + to_gradient
        layer.z = memory.vectors(layer.outs * layer.pixels)
        if layer.pixels == 1:
            layer.by_example = memory.vectors(groups * (layer.taps + memory.lanes))
            layer.gradients_kept = memory.vectors(groups * layer.outs)
        if not layer.tiled:
            layer.slope = memory.vectors(layer.outs * layer.windows * layer.window_size)
        layer.input, layer.input_gradient = given_at, gradient_at
        given = output
        given_at, gradient_at = memory.map(given), memory.map(given)
        layer.output, layer.output_gradient = given_at, gradient_at
        layers.append(layer)
    array = (Layer * len(layers))(*layers)
    network = Network(
        layers=ctypes.addressof(array),
        count=len(layers),
        classes=given.size,
        image_size=channels * height * width,
        image_place=memory.table(np.arange(channels)[:, None] * image.plane + image.places()),
        first_input=first_input,
        logits=given_at,
        logits_gradient=gradient_at,
        parameters=values.data_ptr(),
        gradients=gradients.data_ptr(),
        first_moment=memory.floats(count).data_ptr(),
        second_moment=memory.floats(count).data_ptr(),
        parameter_count=count,
    )
    return network, array


def _convolution(
    conv: nn.Conv2d,
    pool: nn.AvgPool2d | nn.MaxPool2d | nn.AdaptiveAvgPool2d | None,
    given: _Map,
    padding: int,
    memory: Memory,
) -> tuple[Layer, _Map]:
    """A convolution's tables and its output, pooled and padded for the next layer."""
    kernel, stride, dilation = conv.kernel_size[0], conv.stride[0], conv.dilation[0]
    reach = dilation * (kernel - 1) + 1
    height, width = ((n + 2 * given.padding - reach) // stride + 1 for n in (given.height, given.width))
    window, step = (1, 1), 1
    if isinstance(pool, nn.AdaptiveAvgPool2d):
        window, step = (height, width), max(height, width)
    elif pool is not None:
        window, step = (_square(pool.kernel_size),) * 2, _square(pool.stride)
    output = _Map(
        channels=conv.out_channels,
        height=(height - window[0]) // step + 1,
        width=(width - window[1]) // step + 1,
        padding=padding,
    )
    spread = np.arange(kernel) * dilation
    taps = np.arange(conv.in_channels)[:, None] * given.plane + _grid(spread, spread, given.row)
    corners = _grid(np.arange(output.height) * step, np.arange(output.width) * step, width)
    windows = corners[:, None] + _grid(np.arange(window[0]), np.arange(window[1]), width)
    filtered = kernel if kernel in FILTERED and stride == dilation == 1 and height * width > 1 else 0
    layer = Layer(
        taps=taps.size,
        outs=conv.out_channels,
        pixels=height * width,
        width=width,
        kernel=filtered,
        padding=given.padding,
        windows=len(windows),
        window_size=windows.shape[1],
        tiled=np.array_equal(np.sort(windows, axis=None), np.arange(height * width)),
        max_pooled=isinstance(pool, nn.MaxPool2d),
        tap=memory.table(taps),
        pixel=memory.table(_grid(np.arange(height) * stride, np.arange(width) * stride, given.row)),
        window=memory.table(windows),
        place=memory.table(output.places()),
    )
    if filtered:
        products = FILTERED[kernel]
        rows, pairs = conv.in_channels * (height + kernel - 1), -(-width // 2)
        layer.row_inputs = memory.vectors(rows * pairs * products)
        size = conv.out_channels * conv.in_channels * kernel * products
        layer.row_weights = memory.floats(size).data_ptr()
        layer.row_weights_back = memory.floats(size).data_ptr()
    return layer, output


def _dense(linear: nn.Linear, memory: Memory) -> tuple[Layer, _Map]:
    """A dense layer's tables, a convolution of one pixel, and its output."""
    features = linear.in_features
    layer = Layer(
        taps=features,
        outs=linear.out_features,
        pixels=1,
        width=1,
        windows=1,
        window_size=1,
        tiled=True,
        tap=memory.table(np.arange(features)),
        pixel=memory.table([0]),
        window=memory.table([0]),
        place=memory.table([0]),
    )
    return layer, _Map(channels=linear.out_features, height=1, width=1)


def _grid(rows: IntArray, columns: IntArray, width: int) -> IntArray:
    """Positions row · width + column, row by row."""
    return (rows[:, None] * width + columns).ravel()
