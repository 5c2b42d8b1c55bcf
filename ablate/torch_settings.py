"""Restore torch's global settings after a user's code has run, and keep torch from importing its compiler."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def keep_torch_settings() -> Iterator[None]:
    """Restore torch's settings at the end of the `with` block, even after an error.

    The settings are: default dtype and device, gradients, inference mode, deterministic algorithms, anomaly
    detection, precision of matrix products, denormal numbers and number of threads. A setting that a user's
    code changes would otherwise change the results of later runs in the same process.
    """
    import torch

    before = [(read(), read, write) for read, write in _list_settings()]
    # `inference_mode` also switches gradients on or off, so `set_grad_enabled` must be the inner context.
    gradients = torch.is_grad_enabled()
    with torch.inference_mode(torch.is_inference_mode_enabled()), torch.set_grad_enabled(gradients):
        try:
            yield
        finally:
            for value, read, write in before:
                if read() != value:
                    write(value)


def spare_compiler(function: Callable[..., Any]) -> None:
    """Prevent a function of torch from importing torch's compiler, `torch._dynamo`, at its first call.

    `torch._disable_dynamo` decorates the functions that the compiler must not compile. At the first call, the
    decorator imports the compiler and stores a function in an attribute of the decorated function. The import
    takes about as long as `import torch`, and only recipes with `compile: true` need the compiler.
    The decorator imports nothing if the attribute is already set. In a version of torch without this
    attribute, the import still happens.
    """
    plain = inspect.unwrap(function)
    # `setattr` is used because Python renames attributes with two leading underscores inside a class.
    setattr(plain, "__dynamo_disable", plain)


def _list_settings() -> tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...]:
    """Return a pair of functions for each setting: one reads the setting, the other writes it."""
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
    """Return whether torch replaces denormal numbers with zero. torch itself has no function for this."""
    import torch

    smallest = torch.full((), torch.finfo(torch.float32).smallest_normal, dtype=torch.float32, device="cpu")
    return not bool(smallest / 2)
