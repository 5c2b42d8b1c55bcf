"""Network in network (Lin, Chen and Yan, 2014) as the documents have it: 1×1 convolutions, no dense layer."""

from collections.abc import Sequence

from torch import nn

from ablate.models.layers import (
    HEADS,
    PerLayer,
    chosen,
    hidden_widths,
    multiplier,
    odd_kernel,
    per_convolution,
    probability,
    scaled,
    whole,
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
    """A network from images `(batch, *input_shape)` to logits `(batch, classes)`.

    Plain it has 1,992,166 parameters. A block is a convolution and 1×1 convolutions, each followed by batch
    norm (if wanted) and the activation. Each block before the head is followed by overlapping 3×3 pooling
    with stride 2. The global average is that of one more block with a map a class: its last activation
    stays, so that ReLU's logits are never negative. 28×28 images want a gentler stem, such as `stem_kernel:
    5, stem_stride: 1, stem_padding: 2`.

    Args:
        blocks: number of blocks before the head, 1 to 6; from the third on they have 384 channels.
        pointwise_layers: number of 1×1 convolutions in each block, 0 to 4.
        width: multiplies the channels of every block before the head and the units of every hidden layer.
        stem_kernel: of the first block's convolution, as its stride and padding.
        kernel_size: of the other blocks' first convolutions, the head's too, odd: padding by its half keeps
            their maps' size.
        head: `global_average`, or `dense`: AlexNet's dense layers in place of the last block.
        hidden: widths of the dense head's hidden layers, up to eight.
        dropout: probability of zeroing a unit before the head's block, or after each hidden layer.

    Raises:
        ModelError: naming the keyword whose value cannot be, or layer, map and kernel that do not fit.
    """
    times, share = multiplier("width", width), probability("dropout", dropout)
    before = whole("blocks", blocks, at_least=1, at_most=6)
    pointwise = whole("pointwise_layers", pointwise_layers, at_least=0, at_most=4)
    kernels = per_convolution(
        "kernel_size", kernel_size, before, default=KERNELS, check=odd_kernel, remedy="set blocks too"
    )
    units = [scaled(times, width) for width in hidden_widths(hidden)]
    chosen("head", head, HEADS)

    stack = Stack(input_shape, activation=activation, pooling=pooling, batch_norm=batch_norm)

    def pointwise_convolutions(n: int) -> None:
        for j in range(pointwise):
            stack.convolve(f"{n}_{j + 1}", stack.channels, kernel=1, kind="pointwise")

    for i in range(before):
        channels = scaled(times, CHANNELS[min(i, len(CHANNELS) - 1)])
        if i == 0:
            stack.stem(channels, kernel_size=stem_kernel, stride=stem_stride, padding=stem_padding)
        else:
            stack.convolve(f"{i + 1}", channels, kernel=kernels[i - 1])
        pointwise_convolutions(i + 1)
        stack.pool(f"pool{i + 1}", 3, stride=2, depth="blocks")
    if head == "dense":
        stack.dense(units, classes, dropout=share)
    else:
        stack.drop(share)
        stack.convolve(f"{before + 1}", classes, kernel=kernels[-1])
        pointwise_convolutions(before + 1)
        stack.average()
    return nn.Sequential(stack.layers)
