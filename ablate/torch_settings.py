"""torch's global settings, which code that is not ablate's own can change, and torch without its compiler."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def keep_torch_settings() -> Iterator[None]:
    """Restore torch's settings at the end of this context, even after an error.

    The settings are: default dtype and device, gradients, inference mode, deterministic algorithms, anomaly
    detection, precision of matrix products, denormal numbers and number of threads. Otherwise a changed
    setting would change the results of later runs in the same process.
    """
    import torch

    before = [(read(), read, write) for read, write in _list_settings()]
    # `inference_mode` also switches gradients on or off. So `set_grad_enabled` is the inner context.
    gradients = torch.is_grad_enabled()
    with torch.inference_mode(torch.is_inference_mode_enabled()), torch.set_grad_enabled(gradients):
        try:
            yield
        finally:
            for value, read, write in before:
                if read() != value:
                    write(value)


def spare_compiler(function: Callable[..., Any]) -> None:
    """Change a function that torch has decorated for its compiler, so that it runs without the compiler.

    `torch._disable_dynamo` decorates functions that the compiler, `torch._dynamo`, must leave alone. At the
    first call, the decorator imports the compiler and keeps what the compiler returns as an attribute of the
    function. This import takes about as long as `import torch`, and ablate compiles nothing. If the attribute
    is there, the decorator imports nothing. If another torch does not know the attribute, only time is lost.
    """
    plain = inspect.unwrap(function)
    setattr(plain, "__dynamo_disable", plain)  # inside a class, Python would rename the attribute


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

    # Once a default device is set, every call of torch takes longer, even if that device is the CPU.
    torch.set_default_device(None if device.type == "cpu" else device)


def _read_determinism() -> tuple[bool, bool]:
    import torch

    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _flushes_denormals() -> bool:
    """Whether numbers below the smallest normal number become zero. torch has no function that tells this."""
    import torch

    smallest = torch.full((), torch.finfo(torch.float32).smallest_normal, dtype=torch.float32, device="cpu")
    return not bool(smallest / 2)
