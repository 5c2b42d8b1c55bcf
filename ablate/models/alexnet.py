"""AlexNet (Krizhevsky, Sutskever and Hinton, 2012) as in Dive into Deep Learning (D2L)."""

from collections.abc import Sequence

from torch import nn

from ablate.models.layers import (
    PerLayer,
    require_multiplier,
    require_odd_kernel,
    require_probability,
    require_whole,
    require_widths,
    scale,
    spread_over_convolutions,
)
from ablate.models.stack import Stack

CHANNELS = (96, 256, 384, 384, 256)
KERNELS = (5, 3, 3, 3)
HIDDEN = (4096, 4096)


def alexnet(
    *,
    pooling: str = "max",
    activation: str = "relu",
    conv_layers: int = 5,
    width: float = 1.0,
    stem_kernel: int = 11,
    stem_stride: int = 4,
    stem_padding: int = 1,
    kernel_size: PerLayer = KERNELS,
    batch_norm: bool = False,
    head: str = "dense",
    hidden: Sequence[int] = HIDDEN,
    dropout: float = 0.5,
    input_shape: tuple[int, int, int] = (1, 224, 224),
    classes: int = 10,
) -> nn.Sequential:
    """Build a network that takes images `(batch, *input_shape)` and returns logits `(batch, classes)`.

    The default network has 46,764,746 parameters. Batch norm (if chosen) and the activation follow every
    convolution. Overlapping 3×3 pooling with stride 2 follows the first, the second and the last convolution.
    Images of 28×28 need another first convolution: `stem_kernel: 5, stem_stride: 1, stem_padding: 2`.

    Args:
        conv_layers: number of convolutions, 1 to 8. After the fifth, all have as many channels as the fifth.
        width: multiplies the channels of every convolution and the units of every hidden layer.
        stem_kernel, stem_stride, stem_padding: kernel size, stride and padding of the first convolution.
        kernel_size: odd kernel sizes of the later convolutions. Their padding keeps the size of the maps.
        head: `dense`, or `global_average`: dropout, a 1×1 convolution to one map per class, mean of each map.
        hidden: widths of the dense head's hidden layers, up to eight.
        dropout: probability of zeroing a unit after each hidden layer, or before the 1×1 convolution of
            `global_average`.

    Raises:
        ModelError: a value is impossible, or a kernel is too large. The error names the keyword.
    """
    times, share = require_multiplier("width", width), require_probability("dropout", dropout)
    convolutions = require_whole("conv_layers", conv_layers, at_least=1, at_most=8)
    kernels = spread_over_convolutions(
        "kernel_size",
        kernel_size,
        convolutions - 1,
        default=KERNELS,
        check=require_odd_kernel,
        remedy="set conv_layers too",
    )
    units = [scale(times, width) for width in require_widths(hidden)]
    channels = [scale(times, CHANNELS[min(i, 4)]) for i in range(convolutions)]

    stack = Stack(input_shape, activation=activation, pooling=pooling, batch_norm=batch_norm)
    for i in range(convolutions):
        n = str(i + 1)
        if i == 0:
            stack.add_stem(channels[0], kernel_size=stem_kernel, stride=stem_stride, padding=stem_padding)
        else:
            stack.convolve(n, channels[i], kernel=kernels[i - 1])
        if i < 2 or i == convolutions - 1:
            stack.pool(f"pool{n}", 3, stride=2, depth="conv_layers")
    stack.add_head(head, units, classes, dropout=share)
    return nn.Sequential(stack.layers)
