"""One process that has imported everything, for all tests of a run of pytest.

It forks a process for each order. The fork starts in milliseconds, because nothing is left to import. The imports
cost a command that starts from nothing about ten seconds of processor time.
"""

import atexit
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from filelock import FileLock

ROOT = Path(__file__).parents[1]


class Child:
    """A process that the nursery has forked, with the methods of a `subprocess.Popen`."""

    def __init__(self, connection: socket.socket, stderr: int | None) -> None:
        self._answers = connection.makefile()
        connection.close()
        self.pid = int(self._answers.readline())
        self.stderr = None if stderr is None else os.fdopen(stderr)
        self.returncode: int | None = None

    def wait(self) -> int:
        """Wait for the end of the process. Return its exit code, or the negative number of its signal."""
        if self.returncode is None:
            self.returncode = int(self._answers.readline())
            self._answers.close()
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code, or None if the process has not ended."""
        ended = self.returncode is not None or select.select([self._answers], [], [], 0)[0]
        return self.wait() if ended else None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ended just now
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self) -> tuple[None, str]:
        """Return what the process wrote to its standard error, once it has ended."""
        assert self.stderr is not None
        errors = self.stderr.read()
        self.wait()
        return None, errors

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:  # a failed test may leave a process that would not end
            self.kill()
        self.wait()
        if self.stderr is not None:
            self.stderr.close()


def fork(
    function: Callable[..., object],
    *arguments: object,
    cwd: Path,
    environment: Mapping[str, str],
    stdout: int | None = None,
    stderr: int | None = None,
) -> Child:
    """Fork a process that calls the function with arguments that JSON can hold.

    `stdout` and `stderr` are file descriptors, and nothing is kept of an output without one. If `stderr` is
    `subprocess.PIPE`, `Child.stderr` reads what the process writes.
    """
    order = {
        "module": function.__module__,
        "function": function.__name__,
        "arguments": arguments,
        "cwd": str(cwd),
        "environment": dict(environment),
    }
    nothing = os.open(os.devnull, os.O_RDWR)
    reading, writing = os.pipe() if stderr == subprocess.PIPE else (None, stderr)
    files = [nothing, nothing if stdout is None else stdout, nothing if writing is None else writing]
    connection = _connect()
    socket.send_fds(connection, [b"order"], files)
    connection.sendall(f"{json.dumps(order)}\n".encode())
    os.close(nothing)
    if reading is not None:
        os.close(files[2])
    return Child(connection, reading)


def _connect() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(_start())
    return connection


@cache
def _start() -> str:
    """Start the nursery, unless another process of this run of pytest has. Return the address of its socket.

    It ends once all processes that have called this function have ended.
    """
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{os.getpid()}")
    address = f"{tempfile.gettempdir()}/ablate-nursery-{run}"
    user = socket.socket(socket.AF_UNIX)
    with FileLock(f"{address}.lock"):
        try:
            user.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            Path(address).unlink(missing_ok=True)
            reading, writing = os.pipe()
            # Rich fixes the width of a console to COLUMNS when it is made, here for all forks.
            usual = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.nursery", address, str(writing)],
                env=usual | {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive", "PYTHONHASHSEED": "0"},
                stdin=subprocess.DEVNULL,
                pass_fds=[writing],
            )
            atexit.register(process.wait)  # so that its processor time counts as that of the tests
            os.close(writing)
            os.read(reading, 1)  # ends when it accepts connections
            os.close(reading)
            user.connect(address)
    user.sendall(b"user")
    atexit.register(user.close)
    return address


def _serve(address: str, listening: int) -> None:
    """Fork a process for each order, until no user is left."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    os.close(listening)
    _import_everything()
    gc.freeze()  # or each fork's garbage collector would touch, and so copy, all objects
    users: set[socket.socket] = set()
    started = False
    while users or not started:
        for ready in select.select([listener, *users], [], [])[0]:
            if ready is not listener:
                users.remove(ready)
                continue
            connection, _ = listener.accept()
            kind, files, _, _ = socket.recv_fds(connection, 5, 3)
            if kind == b"user":
                users.add(connection)
                started = True
                continue
            if os.fork() == 0:
                listener.close()
                for user in users:
                    user.close()
                _attend(connection, files)
            connection.close()
            for file in files:
                os.close(file)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    for path in (address, f"{address}.lock"):
        Path(path).unlink()
    with suppress(ChildProcessError):
        while True:
            os.wait()


def _attend(connection: socket.socket, files: Sequence[int]) -> None:
    """Fork the ordered process, and tell its number and how it ended."""
    with connection, connection.makefile("rw") as stream:
        order = json.loads(stream.readline())
        child = os.fork()
        if child == 0:
            _become(order, files)
        for file in files:
            os.close(file)
        with suppress(BrokenPipeError):  # the test has ended
            print(child, file=stream, flush=True)
            _, status = os.waitpid(child, 0)
            print(os.waitstatus_to_exitcode(status), file=stream, flush=True)
    os._exit(0)


def _become(order: Mapping[str, Any], files: Sequence[int]) -> None:
    """Turn this process into the one that was ordered."""
    from multiprocessing import util

    import torch

    for number, file in enumerate(files):
        os.dup2(file, number)
    os.closerange(3, 1024)
    os.chdir(order["cwd"])
    sys.path[0] = order["cwd"]
    os.environ.clear()
    os.environ.update(order["environment"])
    tempfile.tempdir = None  # found again from the environment
    if threads := os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))
    util.spawnv_passfds = _fork_server(util.spawnv_passfds)
    code: object = 1
    try:
        getattr(importlib.import_module(order["module"]), order["function"])(*order["arguments"])
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:  # noqa: BLE001, for the exit code tells it
        traceback.print_exc()
    finally:
        # What Python does at exit, except that it would free every object one by one: two seconds.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def _fork_server(spawn: Callable[..., int]) -> Callable[..., int]:
    """Return a function that starts Python, but forks the server of workers, for it would only import again."""

    def start(path: bytes, arguments: Sequence[str], kept: Sequence[int]) -> int:
        code = str(arguments[-1])
        if "multiprocessing.forkserver" not in code:
            return spawn(path, arguments, kept)
        server = os.fork()
        if server == 0:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                ends = [2, *sorted(kept), 1024]
                for low, high in pairwise(ends):
                    os.closerange(low + 1, high)
                exec(code)
            finally:
                os._exit(0)
        return server

    return start


def _import_everything() -> None:
    """Import what commands import, and do what makes packages import more at its first time."""
    from sklearn.datasets import load_digits

    from ablate import models
    from ablate.execution import fork_server
    from ablate.records.sqlite_record import SqliteRecord
    from ablate.report.pages import load_templates

    backends = ("matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg")
    commands = ("ablate.cli.commands", "ablate.cli.job", "ablate.experiment.price", "ablate.report.index")
    others = ("ablate.report.writer", "tests.faults.small_search")
    for name in (*fork_server.PRELOADED, *commands, *others, *backends):
        importlib.import_module(name)
    models.check("lenet", {}, input_shape=(1, 28, 28), classes=10)
    for name in ("report.html.j2", "report.md.j2", "index.html.j2"):
        load_templates(autoescape=".html" in name).get_template(name)
    load_digits()
    with tempfile.TemporaryDirectory() as folder:
        SqliteRecord(Path(folder, "study.db"), "none").close()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
