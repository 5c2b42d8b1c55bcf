"""Start worker processes from a fork server. It imports torch once, and forks a worker in milliseconds."""

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
"""Modules that import slow packages: torch, and those for the image split and the meta device."""
HAS_FORK_SERVER = "forkserver" in multiprocessing.get_all_start_methods()


def prepare() -> None:
    """Start the fork server if the platform has one. It imports torch while this process does other work.

    All workers inherit the server's environment. Variables that are set later do not reach the workers.
    """
    # Use huge pages: with small pages, almost every image of a shuffled batch lies on a page of its own.
    # Without huge pages, two of four processes trained 5 % slower than the others. With huge pages, none of
    # three did (measured, LeNet).
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if HAS_FORK_SERVER:
        multiprocessing.set_forkserver_preload(PRELOADED)
        with ignore_interrupts():
            forkserver.ensure_running()


def choose_start_method() -> ForkServerContext | SpawnContext:
    """Choose the start method for workers.

    A fork of this process would copy torch's thread pools in an unknown state. The fork server has imported
    torch, but has computed nothing and has no thread pool. On platforms without a fork server, workers are
    spawned. Each then imports torch itself, which takes seconds.
    """
    return (
        multiprocessing.get_context("forkserver") if HAS_FORK_SERVER else multiprocessing.get_context("spawn")
    )


def _stop_server() -> None:
    """Stop the fork server and wait for its end. Then its workers' processor time counts as this command's.

    Otherwise `ablate bench` counts this time as that of other programs. The server is killed, because a
    command that ends early would otherwise wait for seconds until the server has imported torch. Python has
    no public function that stops the server.
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
    """Let processes that start in this context ignore Ctrl-C and the end of the terminal.

    A terminal sends these signals to every process of a command. Only the parent handles them.
    """
    numbers = [signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
