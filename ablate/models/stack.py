"""The pieces of a network put one upon another by name: how AlexNet, VGG, NiN and GoogLeNet are written."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from ablate.models.layers import (
    ACTIVATIONS,
    HEADS,
    LARGEST_KERNEL,
    POOLINGS,
    chosen,
    convolved,
    perceptron,
    truth,
    whole,
)

LARGER_IMAGES = "larger images (recipe.input_size)"


class Stack:
    """Layers put one upon another by name, and the map `(channels, *size)` that the last of them gives."""

    def __init__(
        self, input_shape: tuple[int, int, int], *, activation: object, pooling: object, batch_norm: object
    ) -> None:
        """Nothing yet, on images of `input_shape`; the keywords hold for all that is put upon it.

        Raises:
            ModelError: an activation or pooling that is not known, or a batch_norm that is no truth value.
        """
        self.layers: OrderedDict[str, nn.Module] = OrderedDict()
        self.channels, self.size = input_shape[0], (input_shape[1], input_shape[2])
        self.activation = chosen("activation", activation, ACTIVATIONS)
        self._pooling = chosen("pooling", pooling, POOLINGS)
        self._batch_norm = truth("batch_norm", batch_norm)
        self._stem_stride = 1
        self._keywords = {"activation": activation, "pooling": pooling, "batch_norm": batch_norm}

    def beside(self) -> "Stack":
        """An empty stack with the same keywords that sees the map this one gives."""
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
        """A convolution, batch norm if wanted, and the activation; padded by half its kernel if not told."""
        name = f"{kind}{number}"
        around = kernel // 2 if padding is None else padding
        self.size = convolved(
            name,
            self.size,
            kernel=kernel,
            stride=stride,
            padding=around,
            dilation=1,
            # Half of an odd kernel fits any map: only the first convolution may not.
            keyword="stem_kernel",
            remedy=f"a smaller stem_kernel, more stem_padding or {LARGER_IMAGES}",
        )
        self.layers[name] = nn.Conv2d(self.channels, channels, kernel, stride=stride, padding=around)
        if self._batch_norm:
            self.layers[f"norm{number}"] = nn.BatchNorm2d(channels)
        self.layers[f"act{number}"] = self.activation()
        self.channels = channels

    def stem(self, channels: int, *, kernel_size: object, stride: object, padding: object) -> None:
        """The first convolution, from the keywords `stem_kernel`, `stem_stride` and `stem_padding`."""
        self._stem_stride = whole("stem_stride", stride, at_least=1, at_most=LARGEST_KERNEL)
        self.convolve(
            "1",
            channels,
            kernel=whole("stem_kernel", kernel_size, at_least=1, at_most=LARGEST_KERNEL),
            stride=self._stem_stride,
            padding=whole("stem_padding", padding, at_least=0, at_most=LARGEST_KERNEL),
        )

    def pool(self, name: str, kernel: int, *, stride: int, padding: int = 0, depth: str) -> None:
        """Maxima or means of windows; padding takes no part in a mean, as it takes none in a maximum.

        `depth` is the keyword that says how many poolings there are: where the map has become too small,
        it or the stem's stride is the culprit.
        """
        steep = self._stem_stride > 1
        self.size = convolved(
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
        """Dropout of single units, if any are to be dropped."""
        if share:
            self.layers["dropout"] = nn.Dropout(share)

    def average(self) -> None:
        """The mean of each map, `(channels,)`."""
        self.layers["average"] = nn.AdaptiveAvgPool2d(1)
        self.layers["flatten"] = nn.Flatten()
        self.size = (1, 1)

    def dense(self, hidden: Sequence[int], classes: int, *, dropout: float) -> None:
        """Dense layers from all pixels of all maps to the logits."""
        self.layers.setdefault("flatten", nn.Flatten())
        features = self.channels * self.size[0] * self.size[1]
        self.layers.update(perceptron(features, hidden, classes, activation=self.activation, dropout=dropout))

    def head(self, head: object, hidden: Sequence[int], classes: int, *, dropout: float) -> None:
        """`dense`: hidden layers, each with dropout. `global_average`: dropout, a map a class, their means.

        Raises:
            ModelError: another head.
        """
        chosen("head", head, HEADS)
        if head == "dense":
            self.dense(hidden, classes, dropout=dropout)
        else:
            self.drop(dropout)
            self.layers["classes"] = nn.Conv2d(self.channels, classes, 1)
            self.average()
