"""The memory of the simulated device: which bytes are live, the most at any time, and the limit."""

import weakref

import torch

from tests.accelerator import settings


class _Statistics:
    """Numbers of bytes."""

    def __init__(self) -> None:
        self.live = self.peak = self.reserved = self.reserved_peak = 0
        self.times_exhausted = 0

    def add(self, size: int) -> None:
        """Count `size` more live bytes.

        Raises:
            OutOfMemoryError: the device would have more live bytes than its budget.
        """
        budget = settings.current.budget_bytes
        if size > 0 and budget is not None and self.live + size > budget:
            self.times_exhausted += 1
            raise torch.OutOfMemoryError(
                f"SIM out of memory. Tried to allocate {size} bytes. Device 0 has a total capacity of {budget} bytes "
                f"of which {budget - self.live} bytes are free."
            )
        self.live += size
        self.peak = max(self.peak, self.live)
        self.reserved = max(self.reserved, self.live)
        self.reserved_peak = max(self.reserved_peak, self.reserved)


statistics = _Statistics()


class Block:
    """Memory of one storage. It is free again when no tensor refers to it."""

    __slots__ = ("__weakref__", "_key", "_storage", "size")

    def __init__(self, size: int, key: int | None = None) -> None:
        self.size = 0
        self._key = key
        self._storage: torch.UntypedStorage | None = None
        statistics.add(size)
        self.size = size
        if key is not None:
            _blocks[key] = weakref.ref(self)

    def find_storage(self) -> torch.UntypedStorage:
        """What stands for the storage of all tensors in this memory. It holds no numbers."""
        if self._storage is None:
            self._storage = torch.UntypedStorage(self.size, device="meta")
        return self._storage

    def resize(self, size: int) -> None:
        """Change how many bytes count."""
        statistics.add(size - self.size)
        self.size = size

    def __del__(self) -> None:
        statistics.live -= self.size
        if self._key is not None:
            _blocks.pop(self._key, None)


_blocks: dict[int, weakref.ref[Block]] = {}


def find_block(raw: torch.Tensor) -> tuple[Block, bool]:
    """The block of a CPU tensor's storage, and whether it is new."""
    storage = raw.untyped_storage()
    key = storage._cdata
    known = _blocks.get(key)
    block = None if known is None else known()
    return (Block(storage.nbytes(), key), True) if block is None else (block, False)


def _check() -> None:
    if not settings.current.has_memory_statistics:
        raise RuntimeError("Allocator for sim is not a DeviceAllocator.")


def memory_allocated(device: object = None) -> int:
    """Live bytes."""
    return memory_stats()["allocated_bytes.all.current"]


def max_memory_allocated(device: object = None) -> int:
    """The most live bytes since the last reset."""
    return memory_stats()["allocated_bytes.all.peak"]


def memory_reserved(device: object = None) -> int:
    """Bytes that an allocator would keep, used or not."""
    return memory_stats()["reserved_bytes.all.current"]


def max_memory_reserved(device: object = None) -> int:
    """The most bytes that an allocator would have kept since the last reset."""
    return memory_stats()["reserved_bytes.all.peak"]


def memory_stats(device: object = None) -> dict[str, int]:
    """The statistics by CUDA's names."""
    _check()
    return {
        "allocated_bytes.all.current": statistics.live,
        "allocated_bytes.all.peak": statistics.peak,
        "reserved_bytes.all.current": statistics.reserved,
        "reserved_bytes.all.peak": statistics.reserved_peak,
        "num_ooms": statistics.times_exhausted,
    }


def reset_peak_memory_stats(device: object = None) -> None:
    """Let the peaks start anew from what is live now."""
    _check()
    statistics.peak, statistics.reserved_peak = statistics.live, statistics.reserved


def empty_cache() -> None:
    """Give back the memory that an allocator would keep for later."""
    statistics.reserved = statistics.live


def mem_get_info(device: object = None) -> tuple[int, int]:
    """Free and total bytes. A device without a budget has 1 TiB."""
    _check()
    total = settings.current.budget_bytes or 1 << 40
    return total - statistics.reserved, total
