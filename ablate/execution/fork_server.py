"""Where worker processes come from: a server that imports once and is forked in milliseconds."""

import atexit
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from typing import Any

IMPORTED = ["ablate.execution.workers", "sklearn.model_selection", "torch.fx.experimental.symbolic_shapes"]
"""What runs need and takes seconds: torch, what splits the images, what builds on the meta device."""
FORKED = "forkserver" in multiprocessing.get_all_start_methods()


def prepare() -> None:
    """Start the server, which imports while this process does something else; nothing where there is none.

    What it is started with holds for all workers: environment variables set later do not reach them.
    """
    # Huge pages, for each shuffled image else lies on a small one of its own. Without them training was 5 %
    # slower in two of four processes, with them in none of three (measured, LeNet).
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if FORKED:
        multiprocessing.set_forkserver_preload(IMPORTED)
        with deaf_to_interrupts():
            forkserver.ensure_running()


def context() -> ForkServerContext | SpawnContext:
    """How workers are started.

    Not forked from this process: that would copy torch's thread pools in an unknown state. The server has
    imported torch, but computed nothing and started no pool; spawned workers, which import for themselves,
    are seconds slower and serve where there is no such server.
    """
    return multiprocessing.get_context("forkserver") if FORKED else multiprocessing.get_context("spawn")


def _stop_server() -> None:
    """Stop the server and wait for it, so that its workers' processor time becomes this command's own.

    `ablate bench` took it for other programs'. Killed, for a command that has found a mistake, or nothing to
    do, would wait for seconds until the server has imported torch. There are no public names for this.
    """
    server: Any = forkserver._forkserver
    if server._forkserver_pid is not None:
        with suppress(ProcessLookupError):
            os.kill(server._forkserver_pid, signal.SIGKILL)
    server._stop()


if FORKED:
    atexit.register(_stop_server)


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """A signal that is ignored stays so in a process started here: the parent alone decides about Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
