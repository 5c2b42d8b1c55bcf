"""Independent random streams: one for each purpose, all derived from one seed."""

import hashlib
import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, purpose: str) -> int:
    """Derive the seed in [0, 2**63) for the generator of one purpose.

    Each purpose has its own stream. If one purpose draws more numbers, the other purposes still draw the same
    numbers. For example, two arms whose networks differ by one layer have the same data order.
    """
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def seeded_streams(seed: int, purpose: str, device: "torch.device | None" = None) -> Iterator[None]:
    """Seed the global generators of `random`, numpy and torch for one purpose, and restore them afterwards.

    A user's network or a layer of torch, such as nn.Dropout, draws random numbers from the global generators.
    Inside the `with` block, these numbers depend only on the seed and the purpose. If `device` is an
    accelerator, torch's generator for this device is seeded, too.
    """
    import numpy as np
    import torch

    from ablate.devices.device import keep_generator, seed_generators

    derived = derive_seed(seed, purpose)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]), keep_generator(device):
        seed_generators(derived, device)
        random.seed(derived)
        np.random.seed(derived % 2**32)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def read_streams() -> dict[str, bytes]:
    """Return the state of each global generator on the CPU, as bytes.

    The keys of the dictionary are the names of the functions that seed the generators.
    """
    import numpy as np
    import torch

    return {
        "random.seed": repr(random.getstate()).encode(),
        "numpy.random.seed": pickle.dumps(np.random.get_state()),
        "torch.manual_seed": torch.get_rng_state().numpy().tobytes(),
    }
