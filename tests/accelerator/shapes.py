"""Results of operations without their numbers, for graphs that are being captured."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def poison(tensor: Tensor) -> None:
    """Overwrite numbers, so that nobody can use them."""
    if tensor.is_floating_point() or tensor.is_complex():
        tensor.fill_(float("nan"))
    elif tensor.dtype != torch.bool:
        tensor.fill_(torch.iinfo(tensor.dtype).max)


def find_shapes(function: Any, args: Any, kwargs: Any, on_device: set[int]) -> Any:
    """Return what an operation would return, without its numbers. Arguments that it changes in place stay themselves."""
    if not function._schema.returns:
        return None
    twins: dict[int, Tensor] = {}
    originals: dict[int, Tensor] = {}

    def bare(value: Any) -> Any:
        if isinstance(value, Tensor) and id(value) in on_device:
            if id(value) not in twins:
                twin = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
                twins[id(value)], originals[id(twin)] = twin, value
            return twins[id(value)]
        if isinstance(value, (list, tuple)):
            return type(value)([bare(part) for part in value])
        return torch.device("meta") if isinstance(value, torch.device) else value

    def fill(value: Any) -> Any:
        if isinstance(value, Tensor):
            if id(value) in originals:
                return originals[id(value)]
            made = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)
            poison(made)
            return made
        return type(value)([fill(part) for part in value]) if isinstance(value, (list, tuple)) else value

    named = {name: None if name == "generator" else bare(value) for name, value in kwargs.items()}
    return fill(function(*bare(args), **named))


def flatten(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in lists and tuples."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from flatten(part)


def fix(value: Any, on_device: set[int]) -> Any:
    """Copy what belongs to the host, so that later changes do not reach the graph."""
    if isinstance(value, Tensor):
        return value if id(value) in on_device else value.clone()
    if isinstance(value, dict):
        return {name: fix(part, on_device) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([fix(part, on_device) for part in value])
    return value
