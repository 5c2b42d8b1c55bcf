"""Measure the memory of an accelerator, if torch keeps statistics about this memory."""

from collections.abc import Callable

import torch

from ablate.devices.device import is_accelerator, synchronise


def measure_peak_bytes(step: Callable[[], object], device: torch.device) -> int | None:
    """Run `step`, and return the maximum number of bytes that tensors on the device occupy during the step.

    If torch keeps no such statistics (on a CPU and on MPS), do not run `step`, and return None.
    """
    if not _has_statistics(device):
        return None
    torch.accelerator.reset_peak_memory_stats(device)
    step()
    synchronise(device)
    return torch.accelerator.max_memory_allocated(device)


def read_allocated_bytes(device: torch.device) -> int | None:
    """Return how many bytes tensors occupy on the device now. Return None if torch does not count them."""
    return torch.accelerator.memory_allocated(device) if _has_statistics(device) else None


def measure_reserved_bytes(device: torch.device) -> int:
    """Return how many bytes torch has reserved on the device. Return 0 if torch does not count them."""
    if not _has_statistics(device):
        return 0
    synchronise(device)
    free_unused(device)
    return torch.accelerator.memory_reserved(device)


def free_unused(device: torch.device) -> None:
    """Return unused memory to the device. By default, torch keeps this memory for later tensors."""
    if is_accelerator(device):
        torch.accelerator.empty_cache()


def _has_statistics(device: torch.device) -> bool:
    if not is_accelerator(device):
        return False
    try:
        torch.accelerator.max_memory_allocated(device)
    except (RuntimeError, NotImplementedError):  # raised for devices without statistics, such as MPS
        return False
    return True
