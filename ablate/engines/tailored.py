"""The tailored loop: a torch loop that computes convolutions on small maps as matrix products.

The last convolutions of the large networks work on maps of 1×1 to 8×8 pixels. On such maps, torch's
convolutions spend most of their time on preparation and on padding. A matrix product gives the same results,
except for rounding. If max pooling follows a ReLU, the tailored loop computes the pooling first.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate import models
from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.engines.loop import LoopTrainer, explain_loop_only
from ablate.models.googlenet import Inception

LARGEST_POINTWISE_MAP = 64
"""The maximum number of pixels of a map on which a 1×1 convolution is computed as a matrix product.

Measured: on maps of 8×8 pixels, the product takes half as long as the convolution. On maps of 16×16 pixels,
the product takes a quarter longer.
"""
LARGEST_MATRIX = 1 << 20
"""The maximum number of entries of a `MapProduct`'s matrix.

The matrix is made again at every step. To make a larger matrix takes more time than the product saves.
"""


class TailoredTrainer(LoopTrainer):
    """Trains like the torch loop, with the same initial parameters and random numbers.

    Results differ only by rounding.
    """

    name = "tailored"

    def __init__(self, run: Run, dataset: Dataset, device: torch.device) -> None:
        """Build the run's network, its optimiser, and the layers that replace convolutions."""
        super().__init__(run, dataset, device)
        self._network = tailor(self.model, dataset.images.shape[1:])


def can_tailor(run: Run, dataset: Dataset, device: torch.device) -> bool:
    """Whether the run's network has a convolution that is computed faster as a matrix product.

    A user's own network is not tailored, because its code could access a layer that was replaced.
    """
    if device.type != "cpu" or run.arm.model not in models.MODELS or run.recipe.precision != "float32":
        return False
    if explain_loop_only(run.recipe):
        return False
    shape = dataset.images.shape[1:]
    model = models.build(
        run.arm.model, run.keywords, input_shape=shape, classes=len(dataset.classes), init="default", seed=0
    )
    sizes = _measure_maps(model, shape)
    return any(_make_product(layer, size) is not None for layer, size in sizes.items())


def tailor(model: nn.Module, image_shape: torch.Size) -> nn.Module:
    """Return a network with the same parameters that computes convolutions on small maps as matrix products.

    The two networks share all layers that are not replaced. So `model.eval()` changes the mode of both.
    The returned network needs images `(batch, *image_shape)` in the memory format channels_last.
    """
    return _replace(model, _measure_maps(model, image_shape))


class PointwiseProduct(nn.Module):
    """A 1×1 convolution as a matrix product.

    In the matrix of inputs, each row is a pixel and each column is a channel.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        """Use the parameters of the convolution, without a copy."""
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias

    def forward(self, images: Tensor) -> Tensor:
        """Convolve the maps `images`, `(batch, in_channels, height, width)`."""
        return F.linear(images.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class MapProduct(nn.Module):
    """A convolution as a matrix product. Its kernel must be so large that every output depends on all pixels.

    In the matrix of inputs, each row is an image, and each column is one channel of one pixel. The second
    matrix contains each of the kernel's weights several times.
    """

    _taps: Tensor

    def __init__(self, convolution: nn.Conv2d, size: tuple[int, int]) -> None:
        """Use the parameters of the convolution, without a copy.

        `size` is the height and width of both its input and its output.
        """
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self._size = size
        (height, width), (up, left) = size, (convolution.kernel_size[0] // 2, convolution.kernel_size[1] // 2)
        rows, columns = torch.arange(height), torch.arange(width)
        # For each output pixel (i, j) and input pixel (k, l), find the position in the kernel of the weight
        # that connects them.
        down = (rows[None, :] - rows[:, None] + up)[:, None, :, None]
        along = (columns[None, :] - columns[:, None] + left)[None, :, None, :]
        self._taps = (down * convolution.kernel_size[1] + along).flatten()

    def forward(self, images: Tensor) -> Tensor:
        """Convolve the maps `images`, `(batch, in_channels, *size)`."""
        outs, ins = self.weight.shape[:2]
        pixels = self._size[0] * self._size[1]
        kernel = self.weight.permute(0, 2, 3, 1).reshape(outs, -1, ins)
        rows = images.permute(0, 2, 3, 1).reshape(len(images), pixels * ins)
        if pixels == 1:
            return F.linear(rows, kernel[:, int(self._taps)], self.bias)[:, :, None, None]
        matrix = kernel.index_select(1, self._taps).view(outs, pixels, pixels * ins)
        matrix = matrix.transpose(0, 1).reshape(pixels * outs, pixels * ins)
        bias = None if self.bias is None else self.bias.repeat(pixels)
        return F.linear(rows, matrix, bias).view(-1, *self._size, outs).permute(0, 3, 1, 2)


def _measure_maps(model: nn.Module, image_shape: torch.Size) -> dict[nn.Conv2d, tuple[int, int]]:
    """Measure the height and width of every convolution's input, by a forward pass on a blank image."""
    sizes: dict[nn.Conv2d, tuple[int, int]] = {}

    def note(layer: nn.Module, given: tuple[Tensor], _output: object) -> None:
        assert isinstance(layer, nn.Conv2d)
        sizes[layer] = (given[0].shape[2], given[0].shape[3])

    hooks = [layer.register_forward_hook(note) for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    training = model.training
    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, *image_shape, dtype=next(model.parameters()).dtype))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return sizes


def _replace(module: nn.Module, sizes: Mapping[nn.Conv2d, tuple[int, int]]) -> nn.Module:
    if isinstance(module, nn.Conv2d):
        return _make_product(module, sizes[module]) or module
    if isinstance(module, Inception):
        return Inception({name: _replace(path, sizes) for name, path in module.named_children()})
    if isinstance(module, nn.Sequential):
        layers = [(name, _replace(layer, sizes)) for name, layer in module.named_children()]
        return nn.Sequential(OrderedDict(_rectify_later(layers)))
    return module


def _rectify_later(layers: Sequence[tuple[str, nn.Module]]) -> list[tuple[str, nn.Module]]:
    """If max pooling follows a ReLU, swap the two layers. After the pooling, ReLU computes fewer pixels.

    ReLU and maximum can be swapped: relu(max(a, b)) = max(relu(a), relu(b)). So all values and gradients stay
    equal to the last bit.
    """
    moved = list(layers)
    for i, (first, second) in enumerate(pairwise(layers)):
        if isinstance(first[1], nn.ReLU) and isinstance(second[1], nn.MaxPool2d):
            moved[i], moved[i + 1] = second, first
    return moved


def _make_product(convolution: nn.Conv2d, size: tuple[int, int]) -> nn.Module | None:
    """Make the layer that replaces a convolution on maps of this size. Return None if none is faster."""
    kernel = convolution.kernel_size
    keeps_size = convolution.padding == (kernel[0] // 2, kernel[1] // 2) and convolution.stride == (1, 1)
    if not keeps_size or convolution.dilation != (1, 1) or convolution.groups != 1:
        return None
    pixels = size[0] * size[1]
    if kernel == (1, 1):
        return PointwiseProduct(convolution) if pixels <= LARGEST_POINTWISE_MAP else None
    covers = kernel[0] >= 2 * size[0] - 1 and kernel[1] >= 2 * size[1] - 1
    entries = pixels**2 * convolution.in_channels * convolution.out_channels
    return MapProduct(convolution, size) if covers and entries <= LARGEST_MATRIX else None
