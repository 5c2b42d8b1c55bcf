"""Find the parts of an image that matter for a network's score of one class."""

import torch
from torch import Tensor

from ablate.explore.reading import Reader

PATCHES = 7
"""The side of the covering patch is this fraction of the image's side. Patches overlap by half."""


def occlude(reader: Reader, image: Tensor, label: int) -> Tensor:
    """Compute how much the probability of a class falls when a part of the image is covered.

    A square patch covers the image in turn at every place of a grid. Covered pixels get the image's mean, by
    channel. The value of a pixel is the mean fall over the patches that cover the pixel. This is the
    occlusion of Zeiler and Fergus, Visualizing and Understanding Convolutional Networks (2014), section 4.2.

    Args:
        image: `(channels, height, width)`, as the network gets it.

    Returns:
        The fall of the probability, `(height, width)`. It is negative where covering helps the class.
    """
    _, height, width = image.shape
    rows, columns = list_patches(height), list_patches(width)
    places = [(row, column) for row in rows for column in columns]
    covered = image.expand(len(places), *image.shape).clone()
    mean = image.mean(dim=(1, 2), keepdim=True)
    for one, (row, column) in zip(covered, places, strict=True):
        one[:, row.start : row.stop, column.start : column.stop] = mean
    before = reader.probabilities(image[None])[0, label]
    falls = before - reader.probabilities(covered)[:, label]
    total, count = torch.zeros(height, width), torch.zeros(height, width)
    for fall, (row, column) in zip(falls, places, strict=True):
        total[row.start : row.stop, column.start : column.stop] += fall
        count[row.start : row.stop, column.start : column.stop] += 1
    return total / count


def list_patches(length: int) -> list[range]:
    """List the rows (or columns) that each patch covers, for an image with `length` rows (or columns).

    The last patch ends at the image's edge.
    """
    side = max(1, round(length / PATCHES))
    step = max(1, side // 2)
    starts = [*range(0, length - side, step), length - side]
    return [range(start, start + side) for start in starts]


def find_saliency(reader: Reader, image: Tensor, label: int) -> Tensor:
    """Compute how strongly a class score reacts to each pixel: the absolute derivative, `(height, width)`.

    The score is the network's output before softmax. An image with several channels has, at each pixel, the
    largest value of its channels. This is the saliency of Simonyan, Vedaldi and Zisserman, Deep Inside
    Convolutional Networks (2014), section 3.1.
    """
    pixels = image[None].clone().requires_grad_()
    # Copy the pixels: a network can change its input in place, which autograd forbids for a leaf tensor.
    (slopes,) = torch.autograd.grad(reader.network(pixels.clone())[0, label], pixels)
    return slopes[0].abs().amax(0)
