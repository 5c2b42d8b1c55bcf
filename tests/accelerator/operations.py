"""What an operation of torch is on the device: whether it starts a kernel, and which bytes the kernel moves.

The bytes are the least that a kernel for this operation alone can move: each input once, and each output once. Two
operations that a compiler would fuse move their intermediate result twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

NO_KERNEL = {
    "_unsafe_view", "lift", "lift_fresh", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "set_",
    "resize_", "_local_scalar_dense", "record_stream", "is_same_size", "_has_same_storage_numel",
}  # fmt: skip
"""Operations beside views that only make or describe tensors."""
OVERWRITING = {
    "fill_", "zero_", "copy_", "normal_", "uniform_", "bernoulli_", "random_", "exponential_", "log_normal_", "cauchy_",
    "geometric_",
}  # fmt: skip
"""Operations that write their first argument without reading it."""
GATHERING = {"index", "_unsafe_index", "index_select", "gather", "embedding", "take"}
"""Operations that read only parts of their first argument, as many bytes as they write."""
SCATTERING = {
    "index_put_", "_index_put_impl_", "_unsafe_index_put", "index_add_", "index_copy_", "index_fill_", "scatter_",
    "scatter_add_", "scatter_reduce_", "put_",
}  # fmt: skip
"""Operations that write only parts of their first argument."""
WAITING = {
    "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount", "equal", "is_nonzero",
    "_local_scalar_dense", "repeat_interleave", "_assert_async_",
}  # fmt: skip
"""Operations for which CUDA's host waits, because they give a number or a shape that depends on values."""
TAKES_SCALARS = {
    "fill_",
    "copy_",
    "_to_copy",
    "index",
    "index_put_",
    "_index_put_impl_",
    "masked_fill_",
    "masked_fill",
    "where",
}
"""Operations beside elementwise ones that take a CPU tensor without dimensions for a number."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """The facts about one overload of an operation that the simulation needs."""

    name: str
    """Such as `add_`, without namespace and overload."""
    starts_kernel: bool
    is_view: bool
    copies: bool
    """Whether it may copy between the devices."""
    writes: tuple[int | str, ...]
    """Positions and names of the arguments that it changes."""
    reads_writes: bool
    """Whether it also reads what it changes."""
    random: bool
    takes_generator: bool
    takes_scalars: bool
    """Whether it takes a CPU tensor without dimensions beside tensors on the device."""
    waits: bool


@cache
def describe(function: torch._ops.OpOverload) -> Operation:
    """Find out what the simulation needs to know about an operation."""
    schema = function._schema
    name = schema.name.split("::")[1]
    writes: list[int | str] = []
    for position, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            writes.append(argument.name if argument.kwarg_only else position)
    is_view = function.is_view and not writes
    return Operation(
        name=name,
        starts_kernel=not is_view and name not in NO_KERNEL,
        is_view=is_view,
        copies=name in ("copy_", "_to_copy", "_copy_from", "_copy_from_and_resize"),
        writes=tuple(writes),
        reads_writes=name not in OVERWRITING and not any(isinstance(place, str) for place in writes),
        random=torch.Tag.nondeterministic_seeded in function.tags,
        takes_generator=any(argument.name == "generator" for argument in schema.arguments),
        takes_scalars=torch.Tag.pointwise in function.tags
        or name.rstrip("_") in _POINTWISE
        or name in TAKES_SCALARS,
        waits=name in WAITING,
    )


_POINTWISE = {
    "add",
    "sub",
    "mul",
    "div",
    "addcmul",
    "addcdiv",
    "lerp",
    "pow",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "where",
}
"""In-place forms of these lack the tag `pointwise`."""


def count_bytes(
    operation: Operation, inputs: Sequence[Tensor], written: Sequence[Tensor], made: Sequence[Tensor]
) -> int:
    """Count the bytes that a kernel reads and writes.

    Args:
        operation: what the kernel computes.
        inputs: the tensors on the device among the arguments, without those in `written`.
        written: the arguments that the kernel changes.
        made: the new tensors that the kernel fills.
    """
    name = operation.name
    out = sum(map(measure_extent, made))
    if name.endswith("_like") or name.startswith("new_"):
        return out
    if name in GATHERING:
        return 2 * out + sum(map(measure_extent, inputs[1:])) + sum(map(measure_extent, written))
    read = sum(map(measure_extent, inputs))
    changed = sum(map(measure_extent, written))
    if name in SCATTERING:
        changed = min(changed, read)
    return read + out + changed * (2 if operation.reads_writes else 1)


def measure_extent(tensor: Tensor) -> int:
    """The bytes of memory that a tensor refers to. A value that it repeats counts once."""
    if tensor.is_contiguous():
        return tensor.nbytes
    size = tensor.element_size()
    for length, stride in zip(tensor.shape, tensor.stride(), strict=True):
        if stride:
            size *= length
    return min(size, tensor.untyped_storage().nbytes())
