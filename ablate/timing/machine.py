"""Describe the machine and the software versions of a measurement, and wait for a device."""

import contextlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from ablate import __version__
from ablate.cores import count_cores, measure_memory
from ablate.records.provenance import Machine


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def describe_machine(device: torch.device, threads: int, jobs: int = 1) -> Machine:
    """Describe the versions, hardware and settings of a measurement."""
    packages = ("torch", "optuna", "numpy", "pandas", "scipy", "statsmodels")
    on_cuda = device.type == "cuda"
    return Machine(
        device=device.type,
        device_name=device_name(device),
        cores=count_cores(),
        memory_bytes=measure_memory(),
        timing_threads=threads,
        system=platform.platform(),
        python=platform.python_version(),
        packages={"ablate": __version__} | {name: version(name) for name in packages},
        git_commit=_git_commit(),
        jobs=jobs,
        cuda=torch.version.cuda if on_cuda else None,
        cudnn=torch.backends.cudnn.version() if on_cuda else None,
    )


def device_name(device: torch.device) -> str:
    """Return the product name of the device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else _processor_name()


def _processor_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """Read the commit of ablate's checkout. Return None if ablate was installed from a wheel."""
    try:
        found = subprocess.run(
            ["git", "-C", Path(__file__).parent, "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
