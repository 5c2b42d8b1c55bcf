"""Compute the convolutions of many replicas (networks of one architecture) as batched matrix products.

Each replica has its own weights. torch's own convolution is not used. It would need one group per replica,
and torch's kernels for grouped convolutions are slow. This module writes a convolution as a matrix product in
two ways:

- By rows: an output row is the product of `kernel height` input rows and a band matrix. The band matrix has
  the weights along its diagonals. Each input row is copied `kernel height` times. The products have a good
  shape for a GPU. The band matrix is larger than the weights, so only small layers are computed by rows.
- By patches: an output pixel is the product of a patch of the input and the weights. Each input pixel is
  copied `kernel height · kernel width` times.

For 32 LeNet-5 networks with batches of 256 images, a training step moves 508 kB of memory per example by rows
and 992 kB by patches (counted on the simulated accelerator of the tests).

The backward passes are written by hand, because autograd would copy activations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[int, int]
LARGEST_BAND = 1 << 18
"""The maximum number of entries of a band matrix. In float32, such a matrix takes 1 MiB.

Larger layers use patches.
"""
EXTRA = 4
"""The number of columns of ones that are appended to the input rows.

The first of these columns adds the bias. The other three keep rows aligned to 16 bytes.
"""
PRODUCTS_AT_ONCE = 32
"""The maximum number of products for the weight gradients of all replicas together.

A weight gradient is a sum over a batch. With few replicas, each sum is split into several products, so that a
GPU has enough work.
"""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Options of torch.nn.Conv2d. The first number of a pair is for the height, the second for the width."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    def out(self, size: Sequence[int]) -> Pair:
        """Compute the height and width of the output for an input of this height and width."""
        height, width = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(size, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        )
        return height, width


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """A convolution of each replica's images with the replica's own weights.

    `weight` and `bias` are positions in the network's list of parameters.
    """

    weight: int
    bias: int | None
    geometry: Geometry

    def __call__(self, parameters: Sequence[Tensor], x: Tensor, _keys: Tensor | None, /) -> Tensor:
        """Convolve the images `x` of R replicas, `(R·b, in, height, width)`."""
        weight = parameters[self.weight]  # (R, out, in, kernel height, kernel width)
        bias = None if self.bias is None else parameters[self.bias]
        width = x.shape[3]
        rows = self.geometry.kernel[0] * width * weight.shape[2]
        if rows * self.geometry.out(x.shape[2:])[1] * weight.shape[1] <= LARGEST_BAND:
            return cast(Tensor, _ByRows.apply(x, weight, bias, self.geometry))
        return cast(Tensor, _ByPatches.apply(x, weight, bias, self.geometry))


@dataclass(frozen=True, kw_only=True)
class _Band:
    """The positions of the weights in a band matrix.

    The matrix has one row for each number in a window of `kernel height` input rows.
    """

    source: Tensor
    """For each number of the matrix, an index in the list of a replica's weights, its biases and a zero."""
    places: Tensor
    """The flat positions of each weight and bias in the matrix, `(weights + biases, output width)`."""
    counts: Tensor
    """For each entry of `places`, whether the matrix has the weight there.

    The matrix leaves out a weight if this weight would multiply only padding.
    """


@lru_cache(maxsize=256)
def _lay_out_band(geometry: Geometry, shape: tuple[int, ...], width: int, device: torch.device) -> _Band:
    """Lay out the band matrix for images of this width.

    `shape` is the shape of one replica's weights, `(out, in, kernel height, kernel width)`.
    """
    out, channels, height, taps = shape
    columns = geometry.out((height, width))[1]
    rows = height * width * channels
    weights = out * channels * height * taps
    o, c, i, j, x = torch.meshgrid(*map(torch.arange, (out, channels, height, taps, columns)), indexing="ij")
    pixel = x * geometry.stride[1] + j * geometry.dilation[1] - geometry.padding[1]
    there = (pixel >= 0) & (pixel < width)
    place = (((i * width + pixel) * channels + c) * columns + x) * out + o
    number = ((o * channels + c) * height + i) * taps + j
    bias_o, bias_x = torch.meshgrid(torch.arange(out), torch.arange(columns), indexing="ij")
    bias_place = (rows * columns + bias_x) * out + bias_o
    source = torch.full(((rows + EXTRA) * columns * out,), weights + out)
    source[place[there]] = number[there]
    source[bias_place] = weights + bias_o
    places = torch.cat([place.where(there, 0).flatten(0, 3), bias_place])
    counts = torch.cat([there.flatten(0, 3), torch.ones_like(bias_place, dtype=torch.bool)])
    return _Band(source=source.to(device), places=places.to(device), counts=counts.to(device))


class _ByRows(torch.autograd.Function):
    """A convolution as products of windows of rows and a band matrix, one product per replica.

    The tensors are in channels_last order.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
        replicas, out = weight.shape[:2]
        channels, _, width = x.shape[1:]
        layout = _lay_out_band(geometry, tuple(weight.shape[1:]), width, x.device)
        height_out, width_out = geometry.out(x.shape[2:])
        numbers = weight.new_zeros(replicas, weight[0].numel() + out + 1)
        numbers[:, : -out - 1] = weight.flatten(1)
        if bias is not None:
            numbers[:, -out - 1 : -1] = bias
        band = numbers.index_select(1, layout.source).view(replicas, -1, width_out * out)
        padding = geometry.padding[0]
        rows = x.permute(0, 2, 3, 1).flatten(2)
        rows = F.pad(rows, (0, 0, padding, padding)) if padding else rows
        by_image, by_row, _ = rows.stride()
        taken = geometry.kernel[0] * width * channels
        windows = x.new_empty(len(x), height_out, taken + EXTRA)
        windows[..., :taken].view(len(x), height_out, geometry.kernel[0], -1).copy_(
            rows.as_strided(
                (len(x), height_out, geometry.kernel[0], width * channels),
                (by_image, by_row * geometry.stride[0], by_row * geometry.dilation[0], 1),
            )
        )
        windows[..., taken:] = 1
        flat = windows.view(replicas, -1, taken + EXTRA)
        ctx.save_for_backward(flat, band)
        ctx.geometry, ctx.size, ctx.weight, ctx.biased = geometry, x.shape, weight.shape, bias is not None
        product = torch.bmm(flat, band)
        return product.view(len(x), height_out, width_out, out).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        flat, band = ctx.saved_tensors
        geometry, (replicas, out) = ctx.geometry, ctx.weight[:2]
        count, channels, height, width = ctx.size
        layout = _lay_out_band(geometry, tuple(ctx.weight[1:]), width, flat.device)
        height_out, width_out = geometry.out((height, width))
        gradient = gradients[0].permute(0, 2, 3, 1).reshape(replicas, -1, width_out * out)
        parts = gcd(count // replicas, max(1, PRODUCTS_AT_ONCE // replicas))
        split = flat.view(replicas * parts, -1, flat.shape[2]).mT
        of_band = torch.bmm(split, gradient.view(replicas * parts, -1, gradient.shape[2]))
        of_band = of_band.view(replicas, parts, -1).sum(1) if parts > 1 else of_band.view(replicas, -1)
        each = of_band.index_select(1, layout.places.flatten()).view(replicas, *layout.places.shape)
        summed = (each * layout.counts).sum(2)
        of_weight = summed[:, :-out].view(ctx.weight)
        of_bias = summed[:, -out:] if ctx.biased else None
        if not ctx.needs_input_grad[0]:
            return None, of_weight, of_bias, None
        of_rows = torch.bmm(gradient, band[:, :-EXTRA].mT).view(
            count, height_out, geometry.kernel[0], width * channels
        )
        padding, stride, dilation = geometry.padding[0], geometry.stride[0], geometry.dilation[0]
        padded = gradient.new_zeros(count, height + 2 * padding, width * channels)
        for i in range(geometry.kernel[0]):
            first = i * dilation
            padded[:, first : first + stride * (height_out - 1) + 1 : stride].add_(of_rows[:, :, i])
        of_x = padded[:, padding : padding + height].unflatten(2, (width, channels)).permute(0, 3, 1, 2)
        return of_x, of_weight, of_bias, None


class _ByPatches(torch.autograd.Function):
    """A convolution as products of the weights and patches, one product per image.

    With one product per replica, a single thread block of the GPU would sum a weight's gradient over all
    pixels of a batch. One product per image keeps the GPU busy. Each image then needs a copy of the weights,
    but this copy is small compared with the patches.

    The patches are made by a strided copy, which needs one kernel per batch. F.unfold would launch one kernel
    per image on CUDA (Im2Col.cu). The backward pass uses F.fold, which takes a whole batch and sums in a
    fixed order. The backward pass of as_strided does not sum in a fixed order.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry) -> Tensor:
        patches = _copy_patches(x, geometry)
        weights = _copy_to_each(weight.flatten(2), len(x))
        ctx.save_for_backward(patches, weights)
        ctx.geometry, ctx.size, ctx.weight, ctx.biased = geometry, x.shape, weight.shape, bias is not None
        out = torch.bmm(weights, patches)
        if bias is not None:
            out.view(len(weight), -1, *out.shape[1:]).add_(bias[:, None, :, None])
        return out.view(len(x), -1, *geometry.out(x.shape[2:]))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        patches, weights = ctx.saved_tensors
        geometry, replicas = ctx.geometry, ctx.weight[0]
        gradient = gradients[0].flatten(2)
        of_weights = torch.bmm(gradient, patches.mT)
        of_weight = of_weights.view(replicas, -1, *of_weights.shape[1:]).sum(1).view(ctx.weight)
        of_bias = gradient.reshape(replicas, -1, *gradient.shape[1:]).sum((1, 3)) if ctx.biased else None
        if not ctx.needs_input_grad[0]:
            return None, of_weight, of_bias, None
        of_x = F.fold(
            torch.bmm(weights.mT, gradient),
            tuple(ctx.size[2:]),
            geometry.kernel,
            dilation=geometry.dilation,
            padding=geometry.padding,
            stride=geometry.stride,
        )
        return of_x, of_weight, of_bias, None


def _copy_patches(images: Tensor, geometry: Geometry) -> Tensor:
    """Copy the patch of each output pixel: `(n, in · kernel height · kernel width, output pixels)`."""
    rows, columns = geometry.padding
    padded = F.pad(images, (columns, columns, rows, rows)) if rows or columns else images
    count, channels = padded.shape[:2]
    by_image, by_channel, by_row, by_column = padded.stride()
    strides = (
        by_image,
        by_channel,
        by_row * geometry.dilation[0],
        by_column * geometry.dilation[1],
        by_row * geometry.stride[0],
        by_column * geometry.stride[1],
    )
    windows = padded.as_strided((count, channels, *geometry.kernel, *geometry.out(images.shape[2:])), strides)
    # Without the clone, reshaping would return a view of the images for a 1×1 kernel.
    return windows.clone(memory_format=torch.contiguous_format).flatten(4).flatten(1, 3)


def _copy_to_each(weight: Tensor, images: int) -> Tensor:
    """Copy each replica's weights `(R, out, taps)` for each of its images. Return `(images, out, taps)`."""
    replicas, *shape = weight.shape
    return weight[:, None].expand(-1, images // replicas, -1, -1).reshape(images, *shape)
