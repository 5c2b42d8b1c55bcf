"""Describe the machine and the software on which something is measured."""

import platform
from importlib.metadata import version
from pathlib import Path

import torch

from ablate import __version__
from ablate.cores import count_cores, measure_memory
from ablate.devices.device import read_name, read_software
from ablate.git import call_git
from ablate.records.provenance import Machine


def describe_machine(device: torch.device, threads: int, jobs: int = 1) -> Machine:
    """Describe the hardware, software versions and settings of a measurement."""
    packages = ("torch", "optuna", "numpy", "pandas", "scipy", "statsmodels")
    return Machine(
        device=device.type,
        device_name=read_name(device),
        cores=count_cores(),
        memory_bytes=measure_memory(),
        timing_threads=threads,
        system=platform.platform(),
        python=platform.python_version(),
        packages={"ablate": __version__} | {name: version(name) for name in packages},
        git_commit=_git_commit(),
        jobs=jobs,
        device_software=read_software(device),
    )


def _git_commit() -> str | None:
    """Read the git commit of ablate's code. Return None if the code is not in a git repository."""
    found = call_git(Path(__file__).parent, "rev-parse", "HEAD")
    return None if found is None else found.strip()
