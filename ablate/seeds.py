"""Independent random streams: one for each purpose, all derived from one seed."""

import hashlib


def derive_seed(seed: int, purpose: str) -> int:
    """The seed in [0, 2**63) for the generator of one purpose.

    Each purpose has its own stream, so drawing more numbers for one purpose does not change another. For
    example, the data order is the same in two arms whose networks differ by one layer.
    """
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
