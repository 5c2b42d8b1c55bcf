"""GoogLeNet (Szegedy et al., 2015) as in Dive into Deep Learning (D2L): without auxiliary classifiers."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ablate.models.layers import (
    HEADS,
    PerLayer,
    choose,
    read_block_counts,
    require_multiplier,
    require_odd_kernel,
    require_probability,
    require_widths,
    scale,
    spread_over_convolutions,
)
from ablate.models.stack import Stack

Channels = tuple[int, tuple[int, int], tuple[int, int], int]
STAGES: tuple[tuple[Channels, ...], ...] = (
    (
        (64, (96, 128), (16, 32), 32),
        (128, (128, 192), (32, 96), 64),
    ),
    (
        (192, (96, 208), (16, 48), 64),
        (160, (112, 224), (24, 64), 64),
        (128, (128, 256), (24, 64), 64),
        (112, (144, 288), (32, 64), 64),
        (256, (160, 320), (32, 128), 128),
    ),
    (
        (256, (160, 320), (32, 128), 128),
        (384, (192, 384), (48, 128), 128),
    ),
)
"""The channels of the four paths in each Inception block, from Table 1 of the paper."""
COUNTS = tuple(len(stage) for stage in STAGES)
PATHS = ("1x1", "3x3", "5x5", "pool")
KERNELS = (3, 5)
HIDDEN = (1024,)


class Inception(nn.Module):
    """An Inception block: parallel paths with the same input. Their outputs are joined along the channels."""

    def __init__(self, paths: Mapping[str, nn.Module]) -> None:
        """Join the named paths. All paths must give maps of the same size."""
        super().__init__()
        for name, path in paths.items():
            self.add_module(name, path)

    def forward(self, x: Tensor) -> Tensor:
        """Compute all paths for `x` `(batch, channels, height, width)`, and join their output channels."""
        return torch.cat([path(x) for path in self.children()], dim=1)


def googlenet(
    *,
    pooling: str = "max",
    activation: str = "relu",
    stages: PerLayer = COUNTS,
    without_path: str = "none",
    width: float = 1.0,
    stem_kernel: int = 7,
    stem_stride: int = 2,
    stem_padding: int = 3,
    kernel_size: PerLayer = KERNELS,
    batch_norm: bool = False,
    head: str = "global_average",
    hidden: Sequence[int] = HIDDEN,
    dropout: float = 0.0,
    input_shape: tuple[int, int, int] = (1, 224, 224),
    classes: int = 10,
) -> nn.Sequential:
    """Build a network that takes images `(batch, *input_shape)` and returns logits `(batch, classes)`.

    The default network has 5,977,530 parameters. It has three convolutions and then stages of Inception
    blocks. 3×3 pooling with stride 2 follows the first convolution and comes before each stage. Batch norm
    (if chosen) and the activation follow every convolution. Images of 28×28 pixels need `stem_stride: 1`.

    Args:
        stages: number of Inception blocks (1 to 8) of each stage, or number of default stages kept (1 to 3).
        without_path: the path that is left out of each block: `none`, `1x1`, `3x3`, `5x5` or `pool`.
        width: multiplies the channels of every convolution and the units of every hidden layer.
        stem_kernel, stem_stride, stem_padding: kernel size, stride and padding of the first convolution.
        kernel_size: odd kernel sizes of the paths `3x3` and `5x5`. With other sizes, the names do not change.
        head: `global_average` (mean of each map, one dense layer) or `dense` (dense layers on all pixels).
        hidden: widths of the dense head's hidden layers, up to eight; 1024 as in the paper's auxiliary heads.
        dropout: probability of zeroing a unit before the last dense layer, or after each hidden layer.

    Raises:
        ModelError: a value is impossible, or a kernel is too large. The error names the keyword.
    """
    times, share = require_multiplier("width", width), require_probability("dropout", dropout)
    kernels = spread_over_convolutions(
        "kernel_size",
        kernel_size,
        2,
        default=KERNELS,
        check=require_odd_kernel,
        remedy="write one for each of the paths 3x3 and 5x5",
    )
    units = [scale(times, width) for width in require_widths(hidden)]
    counts = read_block_counts("stages", stages, default=COUNTS, at_most=len(STAGES))
    choose("head", head, HEADS)
    choose("without_path", without_path, dict.fromkeys(("none", *PATHS)))

    stack = Stack(input_shape, activation=activation, pooling=pooling, batch_norm=batch_norm)
    stack.add_stem(scale(times, 64), kernel_size=stem_kernel, stride=stem_stride, padding=stem_padding)
    stack.pool("pool1", 3, stride=2, padding=1, depth="stages")
    stack.convolve("2", scale(times, 64), kernel=1)
    stack.convolve("3", scale(times, 192), kernel=3)
    for i, count in enumerate(counts):
        _add_stage(stack, i, count, times, kernels, without_path)
    _add_head(stack, head, units, classes, share)
    return nn.Sequential(stack.layers)


def _add_stage(
    stack: Stack, stage: int, blocks: int, times: float, kernels: Sequence[int], without_path: str
) -> None:
    """Add the pooling before a stage, and its Inception blocks."""
    stack.pool(f"pool{stage + 2}", 3, stride=2, padding=1, depth="stages")
    for i in range(blocks):
        paths = _build_paths(stack, STAGES[stage][min(i, len(STAGES[stage]) - 1)], times, kernels)
        paths.pop(without_path, None)
        # The names are as in the paper, which calls the first Inception block 3a.
        stack.layers[f"inception{stage + 3}{'abcdefgh'[i]}"] = Inception(
            {name: nn.Sequential(path.layers) for name, path in paths.items()}
        )
        stack.channels = sum(path.channels for path in paths.values())


def _add_head(stack: Stack, head: str, hidden: Sequence[int], classes: int, dropout: float) -> None:
    """Add hidden dense layers, or the mean of each map with dropout. Then add the output layer."""
    if head == "dense":
        stack.add_dense(hidden, classes, dropout=dropout)
    else:
        stack.average()
        stack.drop(dropout)
        stack.add_dense([], classes, dropout=0)


def _build_paths(stack: Stack, channels: Channels, times: float, kernels: Sequence[int]) -> dict[str, Stack]:
    """Build the four paths of an Inception block. Each path takes the output of the stack as its input."""
    single, (before_second, second), (before_third, third), pooled = channels
    convolutions = {
        "1x1": [(single, 1)],
        "3x3": [(before_second, 1), (second, kernels[0])],
        "5x5": [(before_third, 1), (third, kernels[1])],
        "pool": [(pooled, 1)],
    }
    paths = {name: stack.branch() for name in PATHS}
    paths["pool"].pool("pool", 3, stride=1, padding=1, depth="stages")
    for name, path in paths.items():
        for number, (width, kernel) in enumerate(convolutions[name], start=1):
            path.convolve(str(number), scale(times, width), kernel=kernel)
    return paths
