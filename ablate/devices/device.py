"""Find out what a device is and what it can do, and wait until its work is done."""

import contextlib
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch


def is_accelerator(device: torch.device) -> bool:
    """Whether the device is not the CPU. An accelerator works in parallel with Python."""
    return device.type != "cpu"


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all its work. On a CPU, return at once."""
    if is_accelerator(device):
        torch.accelerator.synchronize(device)


def select(device: torch.device) -> None:
    """Make the device the default of its type. torch uses the default for streams and graphs, for example."""
    if is_accelerator(device) and device.index is not None:
        torch.accelerator.set_device_index(device.index)


def read_name(device: torch.device) -> str:
    """Return the product name of the processor or accelerator.

    If the device belongs to another machine, return only its type and the words `of another machine`.
    """
    if not is_accelerator(device):
        return _read_processor_name()
    here = torch.accelerator.current_accelerator(check_available=True)
    if here is None or here.type != device.type:
        return f"{device.type.upper()} of another machine"
    read = getattr(_get_module(device), "get_device_name", None)  # MPS has no such function
    return read(device) if read is not None else f"{device.type.upper()} of {_read_processor_name()}"


def read_software(device: torch.device) -> dict[str, str]:
    """Read the versions of CUDA or ROCm, and of cuDNN. The result is empty for other types of devices."""
    if device.type != "cuda":
        return {}
    found = {"cuda": torch.version.cuda, "rocm": torch.version.hip, "cudnn": torch.backends.cudnn.version()}
    return {name: str(version) for name, version in found.items() if version is not None}


def supports(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the device supports tensors of this type. MPS does not support float64."""
    try:
        torch.zeros((), dtype=dtype, device=device)
    except (TypeError, RuntimeError):  # MPS raises a TypeError, XPU a RuntimeError
        return False
    return True


def choose_wide_dtype(device: torch.device) -> torch.dtype:
    """Choose the type for sums over many numbers: float64 if the device supports it, otherwise float32."""
    return torch.float64 if supports(device, torch.float64) else torch.float32


@contextlib.contextmanager
def keep_generator(device: torch.device | None) -> Iterator[None]:
    """At the end of this context, restore the accelerator's random generator. On a CPU, do nothing."""
    if device is None or not is_accelerator(device):
        yield
        return
    module = _get_module(device)
    # No device is passed, because the function for MPS takes none. If no device is passed, the functions for
    # other types use the selected device.
    state = module.get_rng_state()
    try:
        yield
    finally:
        module.set_rng_state(state)


def seed_generators(seed: int, device: torch.device | None) -> None:
    """Seed torch's random generator of the CPU. If the device is an accelerator, also seed its generator."""
    if device is not None and is_accelerator(device):
        torch.manual_seed(seed)
    else:
        # torch.manual_seed takes a millisecond, because it stores the seed and the call stack for
        # accelerators that might be used later.
        torch.default_generator.manual_seed(seed)


def settle_kernels() -> None:
    """Let cuDNN choose the same kernels in every run. Then a repeated run gives exactly equal results."""
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def _get_module(device: torch.device) -> Any:
    """Return torch's module for the type of device, such as torch.xpu."""
    return torch.get_device_module(device)


def _read_processor_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
