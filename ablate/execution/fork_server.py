"""Start worker processes from a fork server, which imports once and forks in milliseconds."""

import atexit
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any

PRELOADED = ["ablate.execution.workers", "sklearn.model_selection", "torch.fx.experimental.symbolic_shapes"]
"""Modules that are slow to import: torch, the split of the images, and models on the meta device."""
HAS_FORK_SERVER = "forkserver" in multiprocessing.get_all_start_methods()


def prepare() -> None:
    """Start the server if the platform has one. It imports while this process does other work.

    All workers inherit the server's environment. Variables that are set later do not reach them.
    """
    # Use huge pages: with small pages, each shuffled image lies on another page. Without huge pages, training
    # was 5 % slower in two of four processes; with them, in none of three (measured, LeNet).
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if HAS_FORK_SERVER:
        multiprocessing.set_forkserver_preload(PRELOADED)
        with ignore_interrupts():
            forkserver.ensure_running()


def choose_start_method() -> ForkServerContext | SpawnContext:
    """The start method for workers.

    A fork of this process would copy torch's thread pools in an unknown state. The server has imported torch,
    but has computed nothing and has no thread pool. On platforms without a server, workers are spawned: they
    import on their own, which takes seconds.
    """
    return (
        multiprocessing.get_context("forkserver") if HAS_FORK_SERVER else multiprocessing.get_context("spawn")
    )


def _stop_server() -> None:
    """Stop the server and wait for it, so that its workers' processor time counts as this command's.

    Otherwise `ablate bench` counts it as the time of other programs. The server is killed, because a command
    that ends early would otherwise wait for seconds until the server has imported torch. Python has no public
    function for this.
    """
    server: Any = forkserver._forkserver
    if server._forkserver_pid is not None:
        with suppress(ProcessLookupError):
            os.kill(server._forkserver_pid, signal.SIGKILL)
    server._stop()


if HAS_FORK_SERVER:
    atexit.register(_stop_server)


@contextmanager
def ignore_interrupts() -> Iterator[None]:
    """Let processes that start in this context ignore Ctrl-C, so that only the parent handles it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
