"""Compute answers one after the other, in a thread of their own."""

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple, Unpack

import torch

from ablate.cores import count_cores
from ablate.explore.session import Session

SMALL = 2_000_000
"""A network is small if the outputs of its layers for one image have at most this many numbers together."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Turns:
    """Computes one answer at a time, because requests share the session's cache and the networks' hooks.

    For one image, a second thread of torch makes small networks slower: on a busy machine with two cores, two
    LeNets need 53 ms of processor time for an image with two threads, and 2 ms with one.
    """

    def __init__(self, session: Session) -> None:
        numbers = max(
            sum(math.prod(layer.shape) for layer in arm.reader.layers) for arm in session.arms.values()
        )
        threads = 1 if numbers <= SMALL else count_cores()
        self._worker = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(threads,))

    async def compute(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Call the function with these arguments, after all functions that were given before."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, function, *args)
