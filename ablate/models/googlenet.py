"""GoogLeNet (Szegedy et al., 2015) as the documents have it: Inception blocks, no auxiliary classifiers."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ablate.models.layers import (
    HEADS,
    PerLayer,
    block_counts,
    chosen,
    hidden_widths,
    multiplier,
    odd_kernel,
    per_convolution,
    probability,
    scaled,
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
"""Channels of every Inception block's paths; Table 1 of the paper."""
COUNTS = tuple(len(stage) for stage in STAGES)
PATHS = ("1x1", "3x3", "5x5", "pool")
KERNELS = (3, 5)
HIDDEN = (1024,)


class Inception(nn.Module):
    """Paths side by side over one map; `(batch, sum of their channels, height, width)` comes out."""

    def __init__(self, paths: Mapping[str, nn.Module]) -> None:
        """Paths by name, whose maps have one size."""
        super().__init__()
        for name, path in paths.items():
            self.add_module(name, path)

    def forward(self, x: Tensor) -> Tensor:
        """Every path's channels of maps `(batch, channels, height, width)`, in the paths' order."""
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
    """A network from images `(batch, *input_shape)` to logits `(batch, classes)`.

    Plain it has 5,977,530 parameters. Three convolutions and stages of Inception blocks; 3×3 pooling with
    stride 2 and padding 1 comes after the first convolution, after the third, and between stages. Every
    convolution is followed by batch norm (if wanted) and the activation. 28×28 images go through with
    `stem_stride: 1` at 2×2 in the last stage.

    Args:
        pooling: of all these, and in each block's fourth path.
        stages: Inception blocks of each stage, 1 to 8, or how many stages there are, 1 to 3; blocks beyond
            those of the documents are as their stage's last.
        without_path: which of a block's paths is left out: `none`, `1x1`, `3x3`, `5x5` or `pool`. The
            next block's input has as many channels fewer.
        width: multiplies the channels of every convolution and the units of every hidden layer.
        stem_kernel: of the first convolution, as its stride and padding.
        kernel_size: of the second and the third path, odd: padding by its half keeps the map's size. The
            paths keep their names.
        head: `global_average`: each map's mean and one dense layer; or `dense`: dense layers on all pixels.
        hidden: widths of the dense head's hidden layers, up to eight; 1024 as in the paper's auxiliary heads.
        dropout: probability of zeroing a unit before the global average's dense layer, or after each hidden
            layer.

    Raises:
        ModelError: naming the keyword whose value cannot be, or layer, map and kernel that do not fit.
    """
    times, share = multiplier("width", width), probability("dropout", dropout)
    kernels = per_convolution(
        "kernel_size", kernel_size, 2, default=KERNELS, check=odd_kernel, remedy="one for each of two paths"
    )
    units = [scaled(times, width) for width in hidden_widths(hidden)]
    counts = block_counts("stages", stages, default=COUNTS, at_most=len(STAGES))
    chosen("head", head, HEADS)
    chosen("without_path", without_path, dict.fromkeys(("none", *PATHS)))

    stack = Stack(input_shape, activation=activation, pooling=pooling, batch_norm=batch_norm)
    stack.stem(scaled(times, 64), kernel_size=stem_kernel, stride=stem_stride, padding=stem_padding)
    stack.pool("pool1", 3, stride=2, padding=1, depth="stages")
    stack.convolve("2", scaled(times, 64), kernel=1)
    stack.convolve("3", scaled(times, 192), kernel=3)
    for i, count in enumerate(counts):
        stack.pool(f"pool{i + 2}", 3, stride=2, padding=1, depth="stages")
        for j in range(count):
            channels = STAGES[i][min(j, len(STAGES[i]) - 1)]
            paths = _paths(stack, channels, times, kernels)
            paths.pop(without_path, None)
            # The paper's names: its first Inception block is 3a, in the third part of the network.
            stack.layers[f"inception{i + 3}{'abcdefgh'[j]}"] = Inception(
                {name: nn.Sequential(path.layers) for name, path in paths.items()}
            )
            stack.channels = sum(path.channels for path in paths.values())
    if head == "dense":
        stack.dense(units, classes, dropout=share)
    else:
        stack.average()
        stack.drop(share)
        stack.dense([], classes, dropout=0)
    return nn.Sequential(stack.layers)


def _paths(stack: Stack, channels: Channels, times: float, kernels: Sequence[int]) -> dict[str, Stack]:
    """An Inception block's four paths from the stack's map, by name."""
    single, (before_second, second), (before_third, third), pooled = channels
    convolutions = {
        "1x1": [(single, 1)],
        "3x3": [(before_second, 1), (second, kernels[0])],
        "5x5": [(before_third, 1), (third, kernels[1])],
        "pool": [(pooled, 1)],
    }
    paths = {name: stack.beside() for name in PATHS}
    paths["pool"].pool("pool", 3, stride=1, padding=1, depth="stages")
    for name, path in paths.items():
        for number, (width, kernel) in enumerate(convolutions[name], start=1):
            path.convolve(str(number), scaled(times, width), kernel=kernel)
    return paths
