"""Network in network (Lin, Chen and Yan, 2014) as in Dive into Deep Learning (D2L): without dense layers."""

from collections.abc import Sequence

from torch import nn

from ablate.models.layers import (
    HEADS,
    PerLayer,
    choose,
    require_multiplier,
    require_odd_kernel,
    require_probability,
    require_whole,
    require_widths,
    scale,
    spread_over_convolutions,
)
from ablate.models.stack import Stack

CHANNELS = (96, 256, 384)
KERNELS = (5, 3, 3)
HIDDEN = (4096, 4096)


def nin(
    *,
    pooling: str = "max",
    activation: str = "relu",
    blocks: int = 3,
    pointwise_layers: int = 2,
    width: float = 1.0,
    stem_kernel: int = 11,
    stem_stride: int = 4,
    stem_padding: int = 0,
    kernel_size: PerLayer = KERNELS,
    batch_norm: bool = False,
    head: str = "global_average",
    hidden: Sequence[int] = HIDDEN,
    dropout: float = 0.5,
    input_shape: tuple[int, int, int] = (1, 224, 224),
    classes: int = 10,
) -> nn.Sequential:
    """Build a network that takes images `(batch, *input_shape)` and returns logits `(batch, classes)`.

    The default network has 1,992,166 parameters. A block has one convolution and some 1×1 convolutions. Batch
    norm (if chosen) and the activation follow every convolution. A block ends with 3×3 pooling of stride 2.
    Images of 28×28 need another first convolution: `stem_kernel: 5, stem_stride: 1, stem_padding: 2`.

    Args:
        blocks: number of blocks before the head, 1 to 6. The third and later blocks have 384 channels.
        pointwise_layers: number of 1×1 convolutions in each block, 0 to 4.
        width: multiplies the channels of every block before the head and the units of every hidden layer.
        stem_kernel, stem_stride, stem_padding: kernel size, stride and padding of the first convolution.
        kernel_size: odd kernel sizes of the first convolution of each block after the first, and of the head.
        head: `dense`, or `global_average`: a block with one map for each class, and the mean of each map.
        hidden: widths of the dense head's hidden layers, up to eight.
        dropout: probability of zeroing a unit, before the block of `global_average` or after hidden layers.

    Raises:
        ModelError: a value is impossible, or a kernel is too large. The error names the keyword.
    """
    times, share = require_multiplier("width", width), require_probability("dropout", dropout)
    before = require_whole("blocks", blocks, at_least=1, at_most=6)
    pointwise = require_whole("pointwise_layers", pointwise_layers, at_least=0, at_most=4)
    kernels = spread_over_convolutions(
        "kernel_size", kernel_size, before, default=KERNELS, check=require_odd_kernel, remedy="set blocks too"
    )
    units = [scale(times, width) for width in require_widths(hidden)]
    choose("head", head, HEADS)

    stack = Stack(input_shape, activation=activation, pooling=pooling, batch_norm=batch_norm)
    for i in range(before):
        channels = scale(times, CHANNELS[min(i, len(CHANNELS) - 1)])
        if i == 0:
            stack.add_stem(channels, kernel_size=stem_kernel, stride=stem_stride, padding=stem_padding)
        else:
            stack.convolve(f"{i + 1}", channels, kernel=kernels[i - 1])
        _add_pointwise(stack, i + 1, pointwise)
        stack.pool(f"pool{i + 1}", 3, stride=2, depth="blocks")
    if head == "dense":
        stack.add_dense(units, classes, dropout=share)
    else:
        _add_average_head(stack, before + 1, classes, kernels[-1], pointwise, share)
    return nn.Sequential(stack.layers)


def _add_average_head(
    stack: Stack, block: int, classes: int, kernel: int, pointwise: int, dropout: float
) -> None:
    """Add dropout, one more block with one map for each class, and the mean of each map."""
    stack.drop(dropout)
    stack.convolve(f"{block}", classes, kernel=kernel)
    _add_pointwise(stack, block, pointwise)
    stack.average()


def _add_pointwise(stack: Stack, block: int, layers: int) -> None:
    """Add the 1×1 convolutions of a block."""
    for i in range(layers):
        stack.convolve(f"{block}_{i + 1}", stack.channels, kernel=1, kind="pointwise")
