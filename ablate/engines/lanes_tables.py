"""Describe a torch network for lanes.cpp: integer tables for its geometry, and memory for its values."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ablate.engines.lanes_blocks import Block, Norm, Pool, require_square, split_into_blocks
from ablate.engines.lanes_library import Layer, Network

IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
FILTER_COLUMNS, FILTER_OUTS = 12, 4
"""These numbers must be at least as large as CHUNK and OUT_BLOCK in lanes_filtering.h."""
KEPT_GROUPS = 4
"""The number of groups of examples whose weight gradients minimal filtering computes together."""
CHANNEL_FLOATS = 2 * 7
"""The size of the structure `Channel` in lanes_layer.h, in floats. The structure has seven doubles."""
FILTER_SEGMENTS = {3: (4, 5), 5: (4, 5), 7: (2,)}
"""Maps each kernel size of minimal filtering to the possible numbers of outputs in a segment."""


class Memory:
    """Allocates the memory that the C++ code works on, and keeps this memory alive.

    The C++ code needs addresses that are multiples of 64. torch normally allocates memory at such addresses.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self._kept: list[object] = []

    def floats(self, count: int) -> Tensor:
        """Allocate a float32 tensor `(count,)` of zeros."""
        tensor = torch.zeros(count)
        if tensor.data_ptr() % 64:
            raise MemoryError("torch's memory is not aligned to 64 bytes: set ABLATE_ENGINE=loop")
        self._kept.append(tensor)
        return tensor

    def vectors(self, count: int) -> int:
        """Allocate `count` vectors of zeros, each with one number per lane. Return their address."""
        return self.floats(count * self.lanes).data_ptr()

    def map(self, source: "_Map", slots: int = 1) -> int:
        """Allocate memory for the maps of `slots` groups of examples. Return its address."""
        return self.vectors(slots * source.size)

    def table(self, values: ArrayLike) -> int:
        """Copy the values to a table of int32, which this object keeps alive. Return the table's address."""
        table = np.ascontiguousarray(np.ravel(values), np.int32)
        self._kept.append(table)
        return table.ctypes.data


@dataclass(frozen=True, kw_only=True)
class _Map:
    """The layout of one example in a layer's input. Each channel is padded with zeros.

    The input of a dense layer has one 1×1 channel for each feature.
    """

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
        """List the positions of the pixels within a padded channel, `(height * width,)`."""
        return _grid_positions(
            np.arange(self.height) + self.padding, np.arange(self.width) + self.padding, self.row
        )


def describe_network(
    model: nn.Module, image_shape: Sequence[int], groups: int, memory: Memory
) -> tuple[Network, ctypes.Array[Layer]]:
    """Describe the network and each of its layers, for batches of `groups` groups of examples.

    The caller must keep both returned objects alive. The model's parameters become views of one buffer.
    """
    blocks = split_into_blocks(model)
    parameters = list(model.parameters())
    count = sum(parameter.numel() for parameter in parameters)
    values, gradients = memory.floats(count), memory.floats(count)
    for parameter, part in zip(parameters, values.split([p.numel() for p in parameters]), strict=True):
        parameter.data = part.view_as(parameter).copy_(parameter.detach())
    to_gradient = gradients.data_ptr() - values.data_ptr()

    channels, height, width = image_shape
    image = source = _Map(channels=channels, height=height, width=width, padding=blocks[0].padding)
    # Batch norm needs the values of all groups of a batch at once. So every group gets memory of its own.
    slots = groups if any(block.norm for block in blocks) else 1
    first_input = input_address = memory.map(source, slots)
    gradient_address: int | None = None
    layers: list[Layer] = []
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        layer, output = _describe_layer(block, following, source, memory)
        layer.input, layer.input_gradient = input_address, gradient_address
        _place_parameters(layer, block, to_gradient)
        _place_buffers(layer, groups, slots, memory)
        if block.norm is not None:
            _place_norm(layer, block.norm, slots, to_gradient, memory)
        layer.input_step = source.size * (slots > 1)
        source = output
        kept = slots if following else 1  # the logits of one group can overwrite those of another
        input_address, gradient_address = memory.map(source, kept), memory.map(source)
        layer.output, layer.output_gradient = input_address, gradient_address
        layer.output_step = source.size * (kept > 1)
        layers.append(layer)
    array = (Layer * len(layers))(*layers)
    network = Network(
        layers=ctypes.addressof(array),
        count=len(layers),
        classes=source.size,
        image_size=channels * height * width,
        image_height=height,
        image_width=width,
        image_place=memory.table(np.arange(channels)[:, None] * image.plane + image.places()),
        changed_images=memory.floats(memory.lanes * channels * height * width).data_ptr(),
        first_input=first_input,
        logits=input_address,
        logits_gradient=gradient_address,
        parameters=values.data_ptr(),
        gradients=gradients.data_ptr(),
        first_moment=memory.floats(count).data_ptr(),
        second_moment=memory.floats(count).data_ptr(),
        parameter_count=count,
    )
    return network, array


def _describe_layer(
    block: Block, following: Block | None, source: _Map, memory: Memory
) -> tuple[Layer, _Map]:
    """Make a block's tables, and the layout of its output. The output has the padding for the next block."""
    weighted = block.weighted
    if isinstance(weighted, nn.Conv2d):
        padding = following.padding if following else 0
        layer, output = _describe_convolution(weighted, block.pool, source, padding, memory)
    else:
        layer, output = _describe_dense(weighted, memory)
    layer.activation, layer.input_size, layer.plane = block.activation, source.size, output.plane
    return layer, output


def _place_parameters(layer: Layer, block: Block, to_gradient: int) -> None:
    """Set the addresses of the parameters and of their gradients, which lie `to_gradient` bytes later."""
    weight, bias = block.weighted.weight.data_ptr(), cast(Tensor, block.weighted.bias).data_ptr()
    layer.weight, layer.weight_gradient = weight, weight + to_gradient
    layer.bias, layer.bias_gradient = bias, bias + to_gradient


def _place_buffers(layer: Layer, groups: int, slots: int, memory: Memory) -> None:
    """Allocate the layer's memory for values that the backward pass needs."""
    layer.z = memory.vectors(slots * layer.outs * layer.pixels)
    layer.z_step = layer.outs * layer.pixels * (slots > 1)
    if layer.pixels == 1:
        layer.batch_inputs = memory.vectors(groups * (layer.taps + memory.lanes))
        layer.batch_gradients = memory.vectors(groups * layer.outs)
    if not layer.tiled:
        size = layer.outs * layer.windows * layer.window_size
        layer.slope, layer.slope_step = memory.vectors(slots * size), size * (slots > 1)
    if layer.kernel:
        _place_filtering(layer, memory)


def _place_norm(layer: Layer, norm: Norm, slots: int, to_gradient: int, memory: Memory) -> None:
    """Set the addresses of the batch norm's parameters, running statistics and memory."""
    weight, bias = norm.weight.data_ptr(), norm.bias.data_ptr()
    mean, variance, batches = norm.running_mean, norm.running_var, norm.num_batches_tracked
    layer.norm_weight, layer.norm_weight_gradient = weight, weight + to_gradient
    # Batch norm subtracts the mean of the batch. So the gradient of the layer's own bias is always zero. The
    # sums that lanes.cpp computes for this bias are the gradient of the batch norm's bias.
    layer.norm_bias, layer.norm_bias_gradient, layer.bias_gradient = bias, *[bias + to_gradient] * 2
    layer.running_mean, layer.running_variance = (
        cast(Tensor, statistic).data_ptr() for statistic in (mean, variance)
    )
    layer.batches_tracked = cast(Tensor, batches).data_ptr()
    layer.norm_epsilon, layer.norm_momentum = norm.eps, cast(float, norm.momentum)
    layer.unnormed = memory.vectors(slots * layer.outs * layer.pixels)
    layer.channels = memory.floats(layer.outs * CHANNEL_FLOATS).data_ptr()


def _describe_convolution(
    conv: nn.Conv2d,
    pool: Pool | None,
    source: _Map,
    padding: int,
    memory: Memory,
) -> tuple[Layer, _Map]:
    """Make a convolution's tables and the layout of its pooled output, with `padding` zeros on each side."""
    kernel, stride, dilation = conv.kernel_size[0], conv.stride[0], conv.dilation[0]
    reach = dilation * (kernel - 1) + 1
    height, width = ((n + 2 * source.padding - reach) // stride + 1 for n in (source.height, source.width))
    window, step = (1, 1), 1
    if isinstance(pool, nn.AdaptiveAvgPool2d):
        window, step = (height, width), max(height, width)
    elif pool is not None:
        window, step = (require_square(pool.kernel_size),) * 2, require_square(pool.stride)
    output = _Map(
        channels=conv.out_channels,
        height=(height - window[0]) // step + 1,
        width=(width - window[1]) // step + 1,
        padding=padding,
    )
    spread = np.arange(kernel) * dilation
    taps = np.arange(conv.in_channels)[:, None] * source.plane + _grid_positions(spread, spread, source.row)
    corners = _grid_positions(np.arange(output.height) * step, np.arange(output.width) * step, width)
    windows = corners[:, None] + _grid_positions(np.arange(window[0]), np.arange(window[1]), width)
    plain = stride == dilation == 1 and height * width > 1
    # With one input channel and three weights in a row, the sums are so short that minimal filtering's
    # transforms take more time than its fewer products save.
    filter_size = kernel if kernel in FILTER_SEGMENTS and plain and kernel * conv.in_channels > 3 else 0
    layer = Layer(
        taps=taps.size,
        outs=conv.out_channels,
        pixels=height * width,
        width=width,
        kernel=filter_size,
        kept_groups=1,
        padding=source.padding,
        windows=len(windows),
        window_size=windows.shape[1],
        tiled=np.array_equal(np.sort(windows, axis=None), np.arange(height * width)),
        max_pooled=isinstance(pool, nn.MaxPool2d),
        tap=memory.table(taps),
        pixel=memory.table(
            _grid_positions(np.arange(height) * stride, np.arange(width) * stride, source.row)
        ),
        window=memory.table(windows),
        place=memory.table(output.places()),
    )
    return layer, output


def _place_filtering(layer: Layer, memory: Memory) -> None:
    """Make the layer's tables and memory for minimal filtering. lanes_filtering.h describes the layouts."""
    kernel, outs, width, height = layer.kernel, layer.outs, layer.width, layer.pixels // layer.width
    layer.segment = min(FILTER_SEGMENTS[kernel], key=lambda size: -(-width // size) * (size + kernel - 1))
    channels = layer.taps // kernel**2
    products, segments = layer.segment + kernel - 1, -(-width // layer.segment)
    margin = kernel - 1 - layer.padding if 0 < layer.padding < kernel - 1 else 0
    input_plane, gradient_plane = (height + kernel - 1) * segments, (height + 2 * margin) * segments
    # The first layer, which has no input gradient, computes its weight gradients in another order.
    layer.kept_groups = KEPT_GROUPS if layer.input_gradient else 1
    layer.row_input_step = products * channels * input_plane
    layer.row_gradient_step = products * outs * gradient_plane
    layer.row_inputs = memory.vectors(layer.kept_groups * layer.row_input_step)
    layer.row_gradients = memory.vectors(layer.kept_groups * layer.row_gradient_step)
    most = max(FILTER_COLUMNS * max(outs, channels), max(FILTER_OUTS, outs) * channels * kernel)
    layer.row_products = memory.vectors(products * most)
    rows = np.arange(kernel)[:, None] * segments
    layer.row_tap = memory.table(rows + np.arange(channels) * input_plane)
    layer.row_start = memory.table((rows + np.arange(channels) * input_plane).T)
    layer.row_tap_back = memory.table(np.arange(outs) * gradient_plane - rows)
    layer.row_weights, layer.row_weights_back = (
        memory.floats(outs * channels * kernel * products).data_ptr() for _ in range(2)
    )


def _describe_dense(linear: nn.Linear, memory: Memory) -> tuple[Layer, _Map]:
    """Describe a dense layer as a convolution with one output pixel. Return its tables and output layout."""
    features = linear.in_features
    layer = Layer(
        taps=features,
        outs=linear.out_features,
        pixels=1,
        width=1,
        kept_groups=1,
        windows=1,
        window_size=1,
        tiled=True,
        tap=memory.table(np.arange(features)),
        pixel=memory.table([0]),
        window=memory.table([0]),
        place=memory.table([0]),
    )
    return layer, _Map(channels=linear.out_features, height=1, width=1)


def _grid_positions(rows: IntArray, columns: IntArray, width: int) -> IntArray:
    """Compute `row * width + column` for every row in `rows` and every column in `columns`."""
    return (rows[:, None] * width + columns).ravel()
