"""The memory of an accelerator, where torch keeps statistics about it."""

from collections.abc import Callable

import torch

from ablate.devices.device import is_accelerator, synchronise


def measure_peak_bytes(step: Callable[[], object], device: torch.device) -> int | None:
    """Run `step`, and return the most bytes that tensors on the device occupied meanwhile.

    Return None, and do not run `step`, if torch keeps no such statistics: on a CPU, and on MPS.
    """
    if not _has_statistics(device):
        return None
    torch.accelerator.reset_peak_memory_stats(device)
    step()
    synchronise(device)
    return torch.accelerator.max_memory_allocated(device)


def measure_reserved_bytes(device: torch.device) -> int:
    """The bytes of the device that this process has reserved. 0 where torch keeps no such statistics."""
    if not _has_statistics(device):
        return 0
    synchronise(device)
    free_unused(device)
    return torch.accelerator.memory_reserved(device)


def free_unused(device: torch.device) -> None:
    """Give memory that no tensor occupies back to the device. torch keeps it for later tensors."""
    if is_accelerator(device):
        torch.accelerator.empty_cache()


def _has_statistics(device: torch.device) -> bool:
    if not is_accelerator(device):
        return False
    try:
        torch.accelerator.max_memory_allocated(device)
    except (RuntimeError, NotImplementedError):  # torch's answer for devices without statistics, such as MPS
        return False
    return True
