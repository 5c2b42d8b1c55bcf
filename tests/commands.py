"""Commands of ablate as the tests run them.

`ablate()` runs one to its end in a fork of a process that has imported everything. It is a real command, from
`__main__` to its exit code, but saves the seven seconds of processor time that the imports take. `start()` starts
one from nothing, for tests that send it signals or look at its processes.
"""

import atexit
import gc
import json
import os
import resource
import runpy
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
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
    *arguments: object,
    cwd: Path,
    drawn: bool = True,
    largest_file: int = resource.RLIM_INFINITY,
    **settings: str,
) -> subprocess.CompletedProcess[str]:
    """Run `python -m ablate …` to its end, without any data but the digits.

    If not `drawn`, its reports have no figures, which saves five seconds of processor time. It may write files
    of at most `largest_file` bytes. `settings` are environment variables; each combination of them has an
    importing process of its own.
    """
    line = list(map(str, arguments))
    return _nursery(frozenset(settings.items())).run(line, cwd, drawn, largest_file)


def start(*arguments: object, cwd: Path, drawn: bool = False, **settings: str) -> subprocess.Popen[str]:
    """Start `python -m ablate …` as a process of its own, its standard error in a pipe."""
    module = "ablate" if drawn else "tests.commands"
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=cwd,
        env=environment() | {"PYTHONPATH": str(ROOT)} | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def import_for_checks() -> None:
    """Import what torch imports at the first check of a network, which takes seconds."""
    from ablate import models

    models.check("lenet", {}, input_shape=(1, 28, 28), classes=10)


def leave_undrawn(replace: Callable[[object, str, object], object]) -> None:
    """Have reports made without figures, by a function that replaces an attribute."""
    from ablate.figures import registry

    for draw in ("draw_results", "draw_inspection"):
        replace(registry, draw, lambda *_: iter(()))


def count_trials(folder: Path) -> Counter[str]:
    """Trials recorded in a report folder, by phase.

    Opened for writing, so that what a killed writer left half done is undone, as any reader may.
    """
    if not (folder / "study.db").exists():
        return Counter()
    with closing(sqlite3.connect(f"file:{folder / 'study.db'}?mode=rw", uri=True, timeout=10)) as database:
        try:
            found = database.execute(
                "select study_name, count(trial_id) from studies join trials using (study_id) group by study_name"
            ).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return Counter()  # a command is about to make the tables
    return Counter({name.split()[-1]: count for name, count in found})


class _Nursery:
    """The process that has imported everything, as seen from the tests."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._environment = environment() | settings
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.commands"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment | {"PYTHONPATH": str(ROOT)},
            text=True,
        )
        atexit.register(self._close)

    def run(
        self, line: list[str], cwd: Path, drawn: bool, largest_file: int
    ) -> subprocess.CompletedProcess[str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as told:
            files = {name: f"{told}/{name}" for name in ("stdout", "stderr")}
            order = {
                "arguments": line,
                "cwd": str(cwd),
                "drawn": drawn,
                "largest_file": largest_file,
                "environment": self._environment,
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
def _nursery(settings: frozenset[tuple[str, str]]) -> _Nursery:
    return _Nursery(dict(settings))


def _become(order: Mapping[str, Any]) -> None:
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
    resource.setrlimit(resource.RLIMIT_FSIZE, (order["largest_file"], resource.RLIM_INFINITY))
    if not order["drawn"]:
        leave_undrawn(setattr)
    try:
        runpy.run_module("ablate", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        # What Python does at exit, except that it would free every object one by one: two seconds.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 1)


def _serve_orders() -> None:
    """For each order read: its exit code, once its command has ended."""
    import ablate.cli.job
    import ablate.report.index
    import ablate.report.writer  # noqa: F401
    from ablate.execution import fork_server

    import_for_checks()
    fork_server.prepare()
    gc.freeze()  # or each fork's garbage collector would touch, and so copy, all objects
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        leave_undrawn(setattr)
        runpy.run_module("ablate", run_name="__main__", alter_sys=True)
    else:
        _serve_orders()
