"""Start workers from a fork server: a process that imports torch once, and forks workers in milliseconds."""

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
"""The modules that the fork server imports at its start.

These modules import packages that take long to import: torch, scikit-learn (which splits the images), and a
part of torch that the meta device needs.
"""
LONGEST_SOCKET_FOLDER = 60
"""The maximum length of the temporary folder's path, in bytes. The server's socket is in a subfolder."""
HAS_FORK_SERVER = "forkserver" in multiprocessing.get_all_start_methods()


def prepare() -> None:
    """Start the fork server if the platform has one. This process continues while the server imports torch.

    All workers inherit the environment variables of the server. Variables that are set later do not reach the
    workers.
    """
    # Use huge memory pages. With small pages, almost every image of a shuffled batch is on another page.
    # Measured with LeNet: without huge pages, two of four processes trained 5 % slower than the other two.
    # With huge pages, none of three processes was slower than the others.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # Python hashes strings with a seed. A network can depend on hashes, for example through the order of a
    # set. So the hash seed is always 0, even if the user has set another.
    os.environ["PYTHONHASHSEED"] = "0"
    if HAS_FORK_SERVER and _make_socket_folder():
        multiprocessing.set_forkserver_preload(PRELOADED)
        with ignore_interrupts(), hide_main_module(), _leave_out_current_folder():
            forkserver.ensure_running()


@contextmanager
def hide_main_module() -> Iterator[None]:
    """Prevent processes that start in this context from running the user's main script.

    By default, multiprocessing imports the main script in each new process. If the script does not have the
    line `if __name__ == "__main__":`, each worker would then start the study again.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def choose_start_method() -> ForkServerContext | SpawnContext:
    """Choose how to start workers: by the fork server if possible, otherwise by spawning.

    Workers are not forked from this process, because a fork would copy torch's thread pools in an unknown
    state. The fork server has imported torch, but has computed nothing, so it has no thread pools. A spawned
    worker imports torch itself, which takes seconds.
    """
    if HAS_FORK_SERVER and _make_socket_folder():
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


@cache
def _make_socket_folder() -> bool:
    """Make the folder for the server's socket. Return False if no temporary folder has a short enough path.

    On some systems, the path of a socket can have at most 103 bytes. On some clusters, TMPDIR is a longer
    path.
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
    """Prevent Python processes that start in this context from importing modules of the current folder.

    A file random.py in the current folder would hide Python's own module. The folder of ablate's clone is put
    on PYTHONPATH, so that ablate can be imported even if it is not installed.
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
    """Stop the fork server, and wait for its end.

    After the wait, the workers' processor time counts as the time of this command. Without the wait,
    `ablate bench` would count the workers' time as the time of other programs.

    The server is killed, because it can still be importing torch. Otherwise, a command that ends early would
    wait seconds for the import. Python has no public function that stops the server.
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
    """Make processes that start in this context ignore Ctrl-C and the closing of the terminal.

    In both cases, the terminal sends a signal to every process of a command. Only the parent process must
    handle the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python allows only the main thread to change signal handlers
        return
    numbers = [signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
