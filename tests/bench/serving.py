"""D2L's loop as the tests run it, in a process that the fork server has forked."""

from typing import Any

import torch

from ablate.bench import peer


def serve_on_one_thread(*given: Any) -> None:
    """Serve epochs on one thread. Two threads on cores that another test keeps busy wait for each other."""
    torch.set_num_threads(1)
    peer._serve(*given)
