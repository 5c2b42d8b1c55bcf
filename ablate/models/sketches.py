"""Sketches: networks on the meta device, with shapes but without values."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

LARGEST_UNTOUCHED = 2**30
"""Bytes of parameters for which `compute_output_shape` may reserve memory. It does not write to them."""


def compute_output_shape(sketch: nn.Module, input_shape: Sequence[int]) -> torch.Size:
    """Compute the shape of the output for an example: pass a batch without examples through a sketch.

    The sketch moves to the CPU, because torch would import sympy and torch._dynamo for a network on the meta
    device, which takes two seconds. Without an example, nothing is computed, and the parameters' memory is
    never touched. Only a network of more than `LARGEST_UNTOUCHED` bytes stays on the meta device.

    Raises:
        RuntimeError: a layer does not fit the output of the layer before.
    """
    fits = sum(parameter.nbytes for parameter in sketch.parameters()) <= LARGEST_UNTOUCHED
    if fits:
        give_memory(sketch)
    # In training mode, batch norm refuses a single example with maps of one pixel.
    with torch.no_grad():
        output: Tensor = sketch.eval()(torch.empty(0, *input_shape, device="cpu" if fits else "meta"))
    return output.shape[1:]


def give_memory(sketch: nn.Module) -> None:
    """Move a sketch to the CPU. Its parameters and buffers have arbitrary values afterwards.

    `torch.nn.Module.to_empty` does the same, but imports sympy.
    """
    for module in sketch.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            placed = torch.empty(parameter.shape, dtype=parameter.dtype)
            setattr(module, name, nn.Parameter(placed, requires_grad=parameter.requires_grad))
        for name, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype))
