"""Find out which engines and data sets this machine has, and why the others are missing."""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ablate.cores import describe_cores
from ablate.data import official, sources
from ablate.data.datasets import find_dataset
from ablate.devices.choice import choose_device
from ablate.devices.device import is_accelerator, read_name
from ablate.engines import lanes_library
from ablate.timing import machine


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One row of the table that `ablate doctor` prints: an engine, a data set or a fact about the machine."""

    name: str
    there: bool
    """Whether this machine has the engine or the data set."""
    told: str
    """What the engine is for, where the data set is, or why it is missing."""


def examine(data_dir: Path | None) -> Iterator[Finding]:
    """Yield findings about engines, machine, versions and data sets. Nothing is trained or downloaded.

    The first call on a machine compiles the lanes engine, which takes some seconds.
    """
    yield _examine_lanes()
    device = torch.device(choose_device("auto"))
    there = is_accelerator(device)
    told = read_name(device) if there else "torch finds none"
    yield Finding(name="cohort", there=there, told=f"trains many runs at once on an accelerator: {told}")
    yield Finding(name="loop", there=True, told="trains all other networks with torch on any device")
    described = machine.describe_machine(torch.device("cpu"), 1)
    memory = (described.memory_bytes or 0) / 1e9
    yield Finding(
        name="machine",
        there=True,
        told=f"{described.device_name}, {describe_cores()}, {memory:.0f} GB, {platform.platform()}",
    )
    packages = ", ".join(f"{name} {version}" for name, version in described.packages.items())
    yield Finding(name="versions", there=True, told=f"Python {described.python}, {packages}")
    for name in official.FOLDERS:
        root = sources.find_root(find_dataset(name), data_dir, download=False)
        told = "not on this machine: ablate downloads it at first use, or looks in $ABLATE_DATA"
        yield Finding(name=name, there=root is not None, told=told if root is None else str(root))
    yield Finding(name="digits", there=True, told="comes with scikit-learn")


def warn_without_lanes(device: str) -> str | None:
    """Return a warning if runs on a CPU cannot use the lanes engine, otherwise None.

    If necessary, this function compiles the engine once, so that the workers need not compile it.
    """
    if is_accelerator(torch.device(device)) or os.environ.get("ABLATE_ENGINE"):
        return None
    found = lanes_library.load_library()
    if not isinstance(found, str):
        return None
    return f"no lanes engine ({found}): the torch loop trains all runs, three to five times slower"


def _examine_lanes() -> Finding:
    found = lanes_library.load_library()
    if isinstance(found, str):
        return Finding(name="lanes", there=False, told=f"{found}: the torch loop trains instead")
    width = 32 * found.lanes()
    told = f"trains LeNets on a CPU core with {width}-bit vectors: {found._name}"
    return Finding(name="lanes", there=True, told=told)
