"""What this machine can train with, and why not with the rest."""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ablate.data import official, sources
from ablate.data.datasets import named
from ablate.engines import lanes_library
from ablate.timing import machine


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked for, whether it is there, and what is to be said of it."""

    name: str
    there: bool
    told: str


def examine(data_dir: Path | None) -> Iterator[Finding]:
    """Engines, machine and data sets, nothing trained and nothing downloaded.

    The lanes engine is compiled if it never was, which takes some seconds once a machine.
    """
    yield _lanes()
    cuda = torch.cuda.is_available()
    graphics = machine.device_name(torch.device("cuda")) if cuda else "torch sees no CUDA device"
    yield Finding(name="cohort", there=cuda, told=f"on a GPU, many runs at once: {graphics}")
    yield Finding(name="loop", there=True, told="torch, on any device: whatever the others do not cover")
    described = machine.describe_machine(torch.device("cpu"), 1)
    memory = (described.memory_bytes or 0) / 1e9
    yield Finding(
        name="machine",
        there=True,
        told=f"{described.device_name}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.platform()}",
    )
    packages = ", ".join(f"{name} {version}" for name, version in described.packages.items())
    yield Finding(name="versions", there=True, told=f"Python {described.python}, {packages}")
    for name in official.FOLDERS:
        root = sources.find(named(name), data_dir, download=False)
        told = "not on this machine: downloaded at first use; or name its folder by ABLATE_DATA"
        yield Finding(name=name, there=root is not None, told=told if root is None else str(root))
    yield Finding(name="digits", there=True, told="with scikit-learn")


def without_lanes(device: str) -> str | None:
    """One line where a CPU has to do without the lanes engine; None where it need not.

    Compiles it if it never was: once, before several workers would do so side by side.
    """
    if device != "cpu" or os.environ.get("ABLATE_ENGINE"):
        return None
    found = lanes_library.library()
    if not isinstance(found, str):
        return None
    return f"no lanes engine ({found}): the torch loop trains everything, some three to five times slower"


def _lanes() -> Finding:
    found = lanes_library.library()
    if isinstance(found, str):
        return Finding(name="lanes", there=False, told=f"{found}: the torch loop trains instead")
    width = 32 * found.lanes()
    told = f"LeNets on a CPU core, {width}-bit vectors: {found._name}"
    return Finding(name="lanes", there=True, told=told)
