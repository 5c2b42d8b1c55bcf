"""What the simulated device has done: kernels, the bytes that they moved, and the host's waits for it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Counts:
    """Numbers of events, each by the name of the operation."""

    kernels: Counter[str] = field(default_factory=Counter)
    """Operations that start a kernel. Views and empty tensors start none. A replayed graph starts all of its own."""
    bytes: Counter[str] = field(default_factory=Counter)
    """Bytes that kernels read and wrote."""
    launches: int = 0
    """How often the host had to start something: a kernel, or a whole graph."""
    host_reads: Counter[str] = field(default_factory=Counter)
    """Values that went from the device to the host. The host waits for each, unless the copy does not block."""
    uploads: Counter[str] = field(default_factory=Counter)
    """Tensors that went from the host to the device. The host waits for each, unless the copy does not block."""
    synchronisations: Counter[str] = field(default_factory=Counter)
    """Explicit waits of the host, by the name of the function."""

    @property
    def kernel_count(self) -> int:
        """The number of all kernels."""
        return self.kernels.total()

    @property
    def bytes_moved(self) -> int:
        """The bytes that all kernels read and wrote."""
        return self.bytes.total()


active: list[Counts] = []
"""All counts that are being kept now."""


@contextmanager
def count() -> Iterator[Counts]:
    """Count what happens in the context. Contexts may be nested, and each counts for itself."""
    counts = Counts()
    active.append(counts)
    try:
        yield counts
    finally:
        active[:] = [other for other in active if other is not counts]


def add_kernel(name: str, size: int, *, launched: bool = True) -> None:
    """Count a kernel that moves `size` bytes. A kernel of a replayed graph is not launched by itself."""
    for counts in active:
        counts.kernels[name] += 1
        counts.bytes[name] += size
        counts.launches += launched


def add_graph() -> None:
    """Count the launch of a graph."""
    for counts in active:
        counts.launches += 1


def add(kind: str, name: str) -> None:
    """Count an event of a kind: the name of a field of `Counts`."""
    for counts in active:
        getattr(counts, kind)[name] += 1
