"""What device is played: its speed, its memory, and what it lacks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A device. The default one is slow, so that the host always runs ahead of it."""

    launch_seconds: float = 1e-6
    """Time of the host for the launch of a kernel or of a graph."""
    kernel_seconds: float = 10e-6
    """The least time of a kernel on the device."""
    bytes_per_second: float = 1e9
    """How fast kernels read and write memory."""
    budget_bytes: int | None = None
    """The memory of the device. None has no limit."""
    lacking: frozenset[torch.dtype] = frozenset()
    """Number types that the device does not have. Apple's MPS lacks float64."""
    has_graphs: bool = True
    has_memory_statistics: bool = True
    """MPS has neither graphs nor these statistics."""


current = Settings()


@contextmanager
def play(**changes: object) -> Iterator[Settings]:
    """Play a device with other settings in this context."""
    global current
    before = current
    current = replace(before, **changes)  # type: ignore[arg-type]
    torch.accelerator.get_device_capability.cache_clear()
    try:
        yield current
    finally:
        current = before
        torch.accelerator.get_device_capability.cache_clear()


def measure_seconds(size: int) -> float:
    """The time of a kernel or a copy that moves `size` bytes."""
    return max(current.kernel_seconds, size / current.bytes_per_second)


def check_dtype(dtype: torch.dtype) -> None:
    """Raise what MPS raises for float64, if the device lacks this type."""
    if dtype in current.lacking:
        name = str(dtype).removeprefix("torch.")
        raise TypeError(
            f"Cannot convert a SIM Tensor to {name} dtype as the SIM framework doesn't support it."
        )
