"""Build AlexNet, VGG, NiN and GoogLeNet by adding one layer after another."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from ablate.models.layers import (
    ACTIVATIONS,
    HEADS,
    LARGEST_KERNEL,
    POOLINGS,
    build_perceptron,
    choose,
    compute_size,
    require_truth,
    require_whole,
)

LARGER_IMAGES = "larger images (recipe.input_size)"


class Stack:
    """A growing list of named layers. It knows the shape `(channels, *size)` of the last layer's output."""

    def __init__(
        self, input_shape: tuple[int, int, int], *, activation: object, pooling: object, batch_norm: object
    ) -> None:
        """Start without layers. The first layer will take images of `input_shape`.

        The activation, the pooling and the choice of batch norm apply to all layers.

        Raises:
            ModelError: the activation or pooling is unknown, or batch_norm is neither true nor false.
        """
        self.layers: OrderedDict[str, nn.Module] = OrderedDict()
        self.channels, self.size = input_shape[0], (input_shape[1], input_shape[2])
        self.activation = choose("activation", activation, ACTIVATIONS)
        self._pooling = choose("pooling", pooling, POOLINGS)
        self._batch_norm = require_truth("batch_norm", batch_norm)
        self._stem_stride = 1
        self._keywords = {"activation": activation, "pooling": pooling, "batch_norm": batch_norm}

    def branch(self) -> "Stack":
        """Make an empty stack with the same keywords. It continues from the output of this stack."""
        return Stack((self.channels, *self.size), **self._keywords)

    def convolve(
        self,
        number: str,
        channels: int,
        *,
        kernel: int,
        stride: int = 1,
        padding: int | None = None,
        kind: str = "conv",
    ) -> None:
        """Add a convolution, batch norm (if chosen) and an activation.

        By default, the padding is half the kernel size.
        """
        name = f"{kind}{number}"
        around = kernel // 2 if padding is None else padding
        self.size = compute_size(
            name,
            self.size,
            kernel=kernel,
            stride=stride,
            padding=around,
            dilation=1,
            # Only the first convolution can fail here, because the other convolutions keep the map's size.
            keyword="stem_kernel",
            remedy=f"a smaller stem_kernel, more stem_padding or {LARGER_IMAGES}",
        )
        self.layers[name] = nn.Conv2d(self.channels, channels, kernel, stride=stride, padding=around)
        if self._batch_norm:
            self.layers[f"norm{number}"] = nn.BatchNorm2d(channels)
        self.layers[f"act{number}"] = self.activation()
        self.channels = channels

    def add_stem(self, channels: int, *, kernel_size: object, stride: object, padding: object) -> None:
        """Add the first convolution, with the keywords `stem_kernel`, `stem_stride` and `stem_padding`."""
        self._stem_stride = require_whole("stem_stride", stride, at_least=1, at_most=LARGEST_KERNEL)
        self.convolve(
            "1",
            channels,
            kernel=require_whole("stem_kernel", kernel_size, at_least=1, at_most=LARGEST_KERNEL),
            stride=self._stem_stride,
            padding=require_whole("stem_padding", padding, at_least=0, at_most=LARGEST_KERNEL),
        )

    def pool(self, name: str, kernel: int, *, stride: int, padding: int = 0, depth: str) -> None:
        """Add average or max pooling, which ignores the pixels of the padding.

        `depth` is the keyword that sets the number of pooling layers. If the map is too small, the error
        names this keyword or `stem_stride`.
        """
        steep = self._stem_stride > 1
        self.size = compute_size(
            name,
            self.size,
            kernel=kernel,
            stride=stride,
            padding=padding,
            dilation=1,
            keyword="stem_stride" if steep else depth,
            remedy=f"{'smaller stem_stride, ' if steep else ''}fewer {depth} or {LARGER_IMAGES}",
        )
        pool = self._pooling(kernel, stride=stride, padding=padding)
        if isinstance(pool, nn.AvgPool2d) and padding:
            pool.count_include_pad = False
        self.layers[name] = pool

    def drop(self, share: float) -> None:
        """Add dropout with probability `share`. If `share` is 0, add nothing."""
        if share:
            self.layers["dropout"] = nn.Dropout(share)

    def average(self) -> None:
        """Add global average pooling: the mean of each map, `(channels,)`."""
        self.layers["average"] = nn.AdaptiveAvgPool2d(1)
        self.layers["flatten"] = nn.Flatten()
        self.size = (1, 1)

    def add_dense(self, hidden: Sequence[int], classes: int, *, dropout: float) -> None:
        """Add dense layers from all pixels of all maps to the logits."""
        self.layers.setdefault("flatten", nn.Flatten())
        features = self.channels * self.size[0] * self.size[1]
        self.layers.update(
            build_perceptron(features, hidden, classes, activation=self.activation, dropout=dropout)
        )

    def add_head(self, head: object, hidden: Sequence[int], classes: int, *, dropout: float) -> None:
        """Add a head.

        The head `dense` has dense layers with dropout. The head `global_average` has dropout, a 1×1
        convolution with a map for each class, and the mean of each map.

        Raises:
            ModelError: the head is unknown.
        """
        choose("head", head, HEADS)
        if head == "dense":
            self.add_dense(hidden, classes, dropout=dropout)
        else:
            self.drop(dropout)
            self.layers["classes"] = nn.Conv2d(self.channels, classes, 1)
            self.average()
