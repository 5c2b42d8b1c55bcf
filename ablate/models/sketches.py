"""Sketches: networks on the meta device. Their parameters have shapes but no values."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

LARGEST_UNTOUCHED = 2**30
"""The maximum memory in bytes that `compute_output_shape` reserves for parameters, without using it."""


def compute_output_shape(sketch: nn.Module, input_shape: Sequence[int]) -> torch.Size:
    """Compute the shape of a network's output for one example, by passing an empty batch through its sketch.

    The function moves the sketch to the CPU. On the meta device, torch would import sympy and torch._dynamo,
    which takes two seconds. On the CPU, an empty batch takes hardly any time, because torch computes nothing
    and does not use the memory of the parameters. A sketch of more than `LARGEST_UNTOUCHED` bytes stays on
    the meta device.

    Raises:
        RuntimeError: a layer does not fit the output of the layer before it.
    """
    fits = sum(parameter.nbytes for parameter in sketch.parameters()) <= LARGEST_UNTOUCHED
    if fits:
        give_memory(sketch)
    # Use evaluation mode, because batch norm refuses maps of one pixel in training mode.
    with torch.no_grad():
        output: Tensor = sketch.eval()(torch.empty(0, *input_shape, device="cpu" if fits else "meta"))
    return output.shape[1:]


def give_memory(sketch: nn.Module) -> None:
    """Move a sketch to the CPU. Afterwards, the sketch's parameters and buffers have arbitrary values.

    `torch.nn.Module.to_empty` does the same, but it imports sympy.
    """
    for module in sketch.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            placed = torch.empty(parameter.shape, dtype=parameter.dtype)
            setattr(module, name, nn.Parameter(placed, requires_grad=parameter.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))
