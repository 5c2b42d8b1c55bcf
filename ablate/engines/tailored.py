"""The tailored loop: the torch loop, with convolutions on small maps computed as matrix products.

The large networks end in convolutions on maps of 1×1 to 8×8 pixels. There, torch's convolutions spend most of
their time on preparation and on padding. A matrix product gives the same numbers, except for rounding. The
tailored loop also applies ReLU after max pooling instead of before it.
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
from ablate.engines.loop import LoopTrainer
from ablate.models.googlenet import Inception

LARGEST_POINTWISE_MAP = 64
"""The most pixels of a map for which a 1×1 convolution becomes a product.

Measured: on 8×8 pixels, a product takes half as long as the convolution; on 16×16 pixels, a quarter longer.
"""
LARGEST_MATRIX = 1 << 20
"""The most entries of a `MapProduct`'s matrix. Writing a larger matrix at every step takes longer than the
product saves."""


class TailoredTrainer(LoopTrainer):
    """Trains like the torch loop, with the same parameters and random numbers. Only rounding differs."""

    name = "tailored"

    def __init__(self, run: Run, dataset: Dataset, device: torch.device) -> None:
        """Build the run's network, its optimiser, and the products that replace convolutions."""
        super().__init__(run, dataset, device)
        self._network = tailor(self.model, dataset.images.shape[1:])


def can_tailor(run: Run, dataset: Dataset, device: torch.device) -> bool:
    """Whether the run's network has a convolution that is faster as a matrix product.

    Networks that users write themselves are not tailored, because their code can read its own layers.
    """
    if device.type != "cpu" or run.arm.model not in models.MODELS or run.recipe.precision != "float32":
        return False
    shape = dataset.images.shape[1:]
    model = models.build(
        run.arm.model, run.keywords, input_shape=shape, classes=len(dataset.classes), init="default", seed=0
    )
    sizes = _measure_maps(model, shape)
    return any(_make_product(layer, size) is not None for layer, size in sizes.items())


def tailor(model: nn.Module, image_shape: torch.Size) -> nn.Module:
    """Return a network with the same parameters, in which products replace convolutions on small maps.

    The two networks share all layers that are not replaced. So `model.eval()` also changes the other network.
    Images must be `(batch, *image_shape)` in the memory format channels_last.
    """
    return _replace(model, _measure_maps(model, image_shape))


class PointwiseProduct(nn.Module):
    """A 1×1 convolution as a product: each pixel is a row, and each input channel a column."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        """Share the parameters of the convolution."""
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias

    def forward(self, images: Tensor) -> Tensor:
        """Compute the maps of `images` `(batch, in_channels, height, width)`."""
        return F.linear(images.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class MapProduct(nn.Module):
    """A convolution whose kernel reaches from every pixel of the map to every other, as a product.

    Each image is a row, and each channel of an input pixel a column. The matrix repeats the kernel's weights.
    """

    _taps: Tensor

    def __init__(self, convolution: nn.Conv2d, size: tuple[int, int]) -> None:
        """Share the parameters of the convolution. `size` is the height and width of its input and output."""
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self._size = size
        (height, width), (up, left) = size, (convolution.kernel_size[0] // 2, convolution.kernel_size[1] // 2)
        rows, columns = torch.arange(height), torch.arange(width)
        # For output pixel (i, j) and input pixel (k, l): the entry of the kernel that multiplies the input.
        down = (rows[None, :] - rows[:, None] + up)[:, None, :, None]
        along = (columns[None, :] - columns[:, None] + left)[None, :, None, :]
        self._taps = (down * convolution.kernel_size[1] + along).flatten()

    def forward(self, images: Tensor) -> Tensor:
        """Compute the maps of `images` `(batch, in_channels, *size)`."""
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
    """Return height and width of every convolution's input."""
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
    """Move each ReLU behind the max pooling that follows it, where the maps are smaller.

    The maximum of rectified numbers is their rectified maximum. So numbers and gradients keep all their bits.
    """
    moved = list(layers)
    for i, (first, second) in enumerate(pairwise(layers)):
        if isinstance(first[1], nn.ReLU) and isinstance(second[1], nn.MaxPool2d):
            moved[i], moved[i + 1] = second, first
    return moved


def _make_product(convolution: nn.Conv2d, size: tuple[int, int]) -> nn.Module | None:
    """Make the product for a convolution on maps of this size. None if no product is faster."""
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
