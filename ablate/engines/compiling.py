"""Compile networks with `torch.compile` (the key `compile` of a recipe)."""

import threading
from typing import cast

import torch
from torch import nn
from tqdm import tqdm


def compile_network(network: nn.Module) -> nn.Module:
    """Return a compiled network that shares the parameters of `network`.

    torch compiles it at its first call, and again in another mode or for another size of batches. This needs
    a C++ compiler on a CPU, and Triton on a GPU.
    """
    # The compiler uses tqdm. If tqdm makes its own lock, which processes share, the lock stays behind when
    # the process ends, and Python warns about this.
    tqdm.set_lock(threading.RLock())
    return cast("nn.Module", torch.compile(network))
