"""VGG-11 (Simonyan and Zisserman, 2015) as in Dive into Deep Learning (D2L), and deeper or shallower VGGs."""

from collections.abc import Sequence

from torch import nn

from ablate.models.layers import (
    PerLayer,
    read_block_counts,
    require_multiplier,
    require_odd_kernel,
    require_probability,
    require_widths,
    scale,
)
from ablate.models.stack import Stack

BLOCKS = (1, 1, 2, 2, 2)
CHANNELS = (64, 128, 256, 512, 512)
HIDDEN = (4096, 4096)


def vgg(
    *,
    pooling: str = "max",
    activation: str = "relu",
    blocks: PerLayer = BLOCKS,
    width: float = 1.0,
    kernel_size: int = 3,
    batch_norm: bool = False,
    head: str = "dense",
    hidden: Sequence[int] = HIDDEN,
    dropout: float = 0.5,
    input_shape: tuple[int, int, int] = (1, 224, 224),
    classes: int = 10,
) -> nn.Sequential:
    """Build a network that takes images `(batch, *input_shape)` and returns logits `(batch, classes)`.

    The default network has 128,806,154 parameters. A block has some convolutions and then 2×2 pooling. Batch
    norm (if chosen) and the activation follow every convolution. Every block halves the size of the maps. So
    five blocks need images of at least 32×32 pixels, and images of 28×28 pixels allow four blocks.

    Args:
        blocks: a list with the number of convolutions in each block, such as `[2, 2, 3, 3, 3]` for VGG-16, or
            the number of blocks, 1 to 8. If it is a number, the blocks are as in VGG-11. The first block has
            64 channels. Each further block has twice as many channels as the block before it, up to 512.
        width: multiplies the channels of every convolution and the units of every hidden layer.
        kernel_size: odd kernel size of every convolution. The padding keeps the size of the maps.
        head: `dense`, or `global_average`: dropout, a 1×1 convolution to one map for each class, and then the
            mean of each map.
        hidden: widths of the dense head's hidden layers, up to eight.
        dropout: probability of zeroing a unit after each hidden layer, or before the 1×1 convolution of
            `global_average`.

    Raises:
        ModelError: a value is impossible, or a kernel is too large. The error names the keyword.
    """
    times, share = require_multiplier("width", width), require_probability("dropout", dropout)
    kernel = require_odd_kernel("kernel_size", kernel_size)
    units = [scale(times, width) for width in require_widths(hidden)]

    stack = Stack(input_shape, activation=activation, pooling=pooling, batch_norm=batch_norm)
    for i, convolutions in enumerate(read_block_counts("blocks", blocks, default=BLOCKS, at_most=8)):
        for j in range(convolutions):
            channels = scale(times, CHANNELS[min(i, len(CHANNELS) - 1)])
            stack.convolve(f"{i + 1}_{j + 1}", channels, kernel=kernel)
        stack.pool(f"pool{i + 1}", 2, stride=2, depth="blocks")
    stack.add_head(head, units, classes, dropout=share)
    return nn.Sequential(stack.layers)
