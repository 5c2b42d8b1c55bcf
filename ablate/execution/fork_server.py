"""Start workers from a fork server. The server imports torch once, and forks a worker in milliseconds."""

import atexit
import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, SpawnContext
from types import ModuleType
from typing import Any

from ablate.errors import CHECKOUT

PRELOADED = ["ablate.execution.workers", "sklearn.model_selection", "torch.fx.experimental.symbolic_shapes"]
"""Modules that import slow packages: torch, and the packages for the image split and the meta device."""
LONGEST_SOCKET_FOLDER = 60
"""The most bytes in the path of the folder in which the socket's own folder is made."""
HAS_FORK_SERVER = "forkserver" in multiprocessing.get_all_start_methods()


def prepare() -> None:
    """Start the fork server if the platform has one. The server imports torch while this process works on.

    All workers inherit the server's environment. Variables that are set later do not reach the workers.
    """
    # Use huge pages. With small pages, almost every image of a shuffled batch lies on a page of its own.
    # Measured with LeNet: without huge pages, two of four processes trained 5 % slower than the other two;
    # with huge pages, none of three processes was slower.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # Python hashes strings with a seed. A network can depend on hashes, for example through the order of a
    # set. So the seed is always 0, even if the user has set another seed.
    os.environ["PYTHONHASHSEED"] = "0"
    if HAS_FORK_SERVER and _make_socket_folder():
        multiprocessing.set_forkserver_preload(PRELOADED)
        with ignore_interrupts(), hide_main_module(), _leave_out_current_folder():
            forkserver.ensure_running()


@contextmanager
def hide_main_module() -> Iterator[None]:
    """Keep processes that start in this context from running the user's main script again.

    By default, multiprocessing imports the main script in each new process. Without the line
    `if __name__ == "__main__":`, the script would then start the study again in each worker.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def choose_start_method() -> ForkServerContext | SpawnContext:
    """Choose the start method for workers.

    A fork of this process would copy torch's thread pools in an unknown state. The fork server has imported
    torch, but has computed nothing and has no thread pool. On platforms without a fork server, workers are
    spawned. Each worker then imports torch itself, which takes seconds.
    """
    if HAS_FORK_SERVER and _make_socket_folder():
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


@cache
def _make_socket_folder() -> bool:
    """Make the folder for the server's socket. Return False if no usable folder has a short path.

    On some systems the path of a socket can have at most 103 bytes. Clusters can set TMPDIR to a longer path.
    """
    usual = tempfile.gettempdir()
    for folder in (usual, "/tmp", "/var/tmp", "/dev/shm"):
        if len(os.fsencode(folder)) > LONGEST_SOCKET_FOLDER:
            continue
        tempfile.tempdir = folder
        try:
            multiprocessing.util.get_temp_dir()
        except OSError:
            continue
        finally:
            tempfile.tempdir = usual
        return True
    return False


@contextmanager
def _leave_out_current_folder() -> Iterator[None]:
    """Keep Python processes that start in this context from importing modules of the current folder.

    A file random.py in this folder would hide Python's own module. A clone of ablate that is not installed
    can still be imported.
    """
    changed = {
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(CHECKOUT)])),
    }
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _stop_server() -> None:
    """Stop the fork server and wait for its end. Its workers' time then counts as this command's time.

    Otherwise `ablate bench` counts the workers' processor time as time of other programs. The server is
    killed. Without the kill, a command that ends early would wait for seconds until the server has imported
    torch. Python has no public function that stops the server.
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
    """Let processes that start in this context ignore Ctrl-C and the closing of the terminal.

    A terminal sends these signals to every process of a command. Only the parent handles them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may change what a signal does
        return
    numbers = [signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
