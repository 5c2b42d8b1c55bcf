"""`python -m ablate …` run to its end, in a fork of a process that has imported everything already.

What is forked is a command as real as any, `__main__` and its exit included, but without the seven seconds of
processor time that its imports and those of the server of its workers take.
"""

import atexit
import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

CACHE = Path(tempfile.gettempdir()) / "ablate-test-cache"
ROOT = Path(__file__).parents[1]


def environment() -> dict[str, str]:
    """No data and no network: the cache holds at most a compiled engine, and the proxy refuses.

    Threads that wait sleep, for other tests want the cores.
    """
    kept = {key: value for key, value in os.environ.items() if key != "ABLATE_DATA"}
    nowhere = "http://127.0.0.1:9"
    proxies = {"HTTPS_PROXY": nowhere, "HTTP_PROXY": nowhere}
    return kept | proxies | {"XDG_CACHE_HOME": str(CACHE), "OMP_WAIT_POLICY": "passive"}


def ablate(
    *arguments: object, cwd: Path, drawn: bool = True, **settings: str
) -> subprocess.CompletedProcess[str]:
    """`python -m ablate …` run to its end, without any data but the digits.

    Not `drawn`, its report goes without figures, five seconds of processor time. With environment `settings`
    it is a process from the start, for they may be read when something is imported, and always drawn.
    """
    line = list(map(str, arguments))
    if not settings:
        return _nursery().run(line, cwd, drawn)
    return subprocess.run(
        [sys.executable, "-m", "ablate", *line],
        cwd=cwd,
        env=environment() | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def leave_undrawn(replace: Callable[[object, str, object], object]) -> None:
    """Have reports made without figures, by a function that replaces an attribute."""
    from ablate.figures import registry

    for draw in ("draw_results", "draw_inspection"):
        replace(registry, draw, lambda *_: iter(()))


class _Nursery:
    """The process that has imported everything, as seen from the tests."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.commands"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment() | {"PYTHONPATH": str(ROOT)},
            text=True,
        )
        atexit.register(self._close)

    def run(self, line: list[str], cwd: Path, drawn: bool) -> subprocess.CompletedProcess[str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as told:
            files = {name: f"{told}/{name}" for name in ("stdout", "stderr")}
            order = {
                "arguments": line,
                "cwd": str(cwd),
                "drawn": drawn,
                "environment": environment(),
                **files,
            }
            self._process.stdin.write(f"{json.dumps(order)}\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            said = {name: Path(file).read_text() for name, file in files.items()}
        return subprocess.CompletedProcess(line, code, **said)

    def _close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@cache
def _nursery() -> _Nursery:
    return _Nursery()


def _become(order: Mapping[str, object]) -> None:
    """Turn this process into the command that was ordered."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(str(order[name]), os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.chdir(str(order["cwd"]))
    sys.path[0] = str(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = ["ablate", *order["arguments"]]
    # Its workers come from the server that all these commands share, and whose end is not theirs to decide.
    server: Any = forkserver._forkserver
    server._forkserver_pid = None
    server.ensure_running = lambda: None
    if not order["drawn"]:
        leave_undrawn(setattr)
    runpy.run_module("ablate", run_name="__main__", alter_sys=True)


def main() -> None:
    """For each order read: its exit code, once its command has ended."""
    import ablate.cli.job
    import ablate.report.index
    import ablate.report.writer  # noqa: F401
    from ablate import models
    from ablate.execution import fork_server

    models.check(
        "lenet", {}, input_shape=(1, 28, 28), classes=10
    )  # torch imports for the meta device only now
    fork_server.prepare()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
