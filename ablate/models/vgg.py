"""VGG-11 (Simonyan and Zisserman, 2015) as the documents have it, and its deeper and shallower siblings."""

from collections.abc import Sequence

from torch import nn

from ablate.models.layers import (
    PerLayer,
    block_counts,
    hidden_widths,
    multiplier,
    odd_kernel,
    probability,
    scaled,
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
    """A network from images `(batch, *input_shape)` to logits `(batch, classes)`.

    Plain it has 128,806,154 parameters. A block is so many convolutions, each with batch norm (if wanted)
    and the activation, and 2×2 pooling: every block halves the map, so that five want images of 32×32 at
    least and 28×28 images allow four.

    Args:
        blocks: convolutions of each block, such as `[2, 2, 3, 3, 3]` for VGG-16, or how many of VGG-11's
            blocks there are; 1 to 8. The first has 64 channels, the next double that, up to 512.
        width: multiplies the channels of every convolution and the units of every hidden layer.
        kernel_size: of every convolution, odd: padding by its half keeps the map's size.
        head: `dense`, or `global_average`: dropout, a 1×1 convolution to the classes, the mean of each map.
        hidden: widths of the dense head's hidden layers, up to eight.
        dropout: probability of zeroing a unit after each hidden layer, or before the convolution to the
            classes.

    Raises:
        ModelError: naming the keyword whose value cannot be, or layer, map and kernel that do not fit.
    """
    times, share = multiplier("width", width), probability("dropout", dropout)
    kernel = odd_kernel("kernel_size", kernel_size)
    units = [scaled(times, width) for width in hidden_widths(hidden)]

    stack = Stack(input_shape, activation=activation, pooling=pooling, batch_norm=batch_norm)
    for i, convolutions in enumerate(block_counts("blocks", blocks, default=BLOCKS, at_most=8)):
        for j in range(convolutions):
            channels = scaled(times, CHANNELS[min(i, len(CHANNELS) - 1)])
            stack.convolve(f"{i + 1}_{j + 1}", channels, kernel=kernel)
        stack.pool(f"pool{i + 1}", 2, stride=2, depth="blocks")
    stack.head(head, units, classes, dropout=share)
    return nn.Sequential(stack.layers)
