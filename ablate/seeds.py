"""One number in, as many independent random streams as there are purposes."""

import hashlib


def derive_seed(seed: int, purpose: str) -> int:
    """The seed of one purpose's own generator, in [0, 2**63).

    Streams keyed by (seed, purpose) stay equal between two arms even when one of them draws more
    numbers for something else: the data order does not move because a network has one layer more.
    """
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
