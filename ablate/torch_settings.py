"""torch's settings of the whole process. Code that is not ablate's own may change them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def keep_torch_settings() -> Iterator[None]:
    """Restore torch's settings at the end of this context, also after an error.

    The settings are: default dtype and device, gradients, inference mode, deterministic algorithms, anomaly
    detection, precision of products, denormal numbers and threads. Other runs follow in the same process, and
    a changed setting would change their numbers.
    """
    import torch

    before = [(read(), read, write) for read, write in _list_settings()]
    # A guard of torch restores the inference mode, and sets gradients. So gradients are the inner context.
    gradients = torch.is_grad_enabled()
    with torch.inference_mode(torch.is_inference_mode_enabled()), torch.set_grad_enabled(gradients):
        try:
            yield
        finally:
            for value, read, write in before:
                if read() != value:
                    write(value)


def _list_settings() -> tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...]:
    """List the functions that read and write each setting."""
    import torch

    return (
        (torch.get_default_dtype, torch.set_default_dtype),
        (torch.get_default_device, _set_default_device),
        (_read_determinism, lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1])),
        (torch.is_anomaly_enabled, torch.set_anomaly_enabled),
        (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        (_flushes_denormals, torch.set_flush_denormal),
        (torch.get_num_threads, torch.set_num_threads),
    )


def _set_default_device(device: Any) -> None:
    import torch

    # A default device that was set costs time at every call, also if it is the CPU.
    torch.set_default_device(None if device.type == "cpu" else device)


def _read_determinism() -> tuple[bool, bool]:
    import torch

    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _flushes_denormals() -> bool:
    """Whether numbers below the smallest normal one become zero. torch has no function that tells."""
    import torch

    smallest = torch.full((), torch.finfo(torch.float32).smallest_normal, dtype=torch.float32, device="cpu")
    return not bool(smallest / 2)
