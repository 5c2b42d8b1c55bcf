"""Commands of ablate as the tests run them.

They are real commands, from `__main__` to the exit code, with processes of their own. The nursery forks them, which
saves the ten seconds of processor time that their imports take. `start_from_nothing()` starts Python anew.
"""

import os
import resource
import runpy
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.nursery import ROOT, Child, fork

CACHE = Path(tempfile.gettempdir()) / "ablate-test-cache"


def environment() -> dict[str, str]:
    """No data and no network: the cache holds at most a compiled engine, and the proxy refuses.

    Threads that wait sleep, for other tests want the cores. The hash seed is the nursery's, so a command need not
    start anew to have it.
    """
    kept = {key: value for key, value in os.environ.items() if key != "ABLATE_DATA"}
    nowhere = "http://127.0.0.1:9"
    proxies = {"HTTPS_PROXY": nowhere, "HTTP_PROXY": nowhere}
    return (
        kept | proxies | {"XDG_CACHE_HOME": str(CACHE), "OMP_WAIT_POLICY": "passive", "PYTHONHASHSEED": "0"}
    )


def ablate(
    *arguments: object,
    cwd: Path,
    drawn: bool = True,
    largest_file: int = resource.RLIM_INFINITY,
    **settings: str,
) -> subprocess.CompletedProcess[str]:
    """Run `python -m ablate …` to its end, without any data but the digits.

    If not `drawn`, its reports have no figures, which saves five seconds of processor time. It may write files
    of at most `largest_file` bytes. `settings` are environment variables. With `ABLATE_TEST_DEVICE="sim"`, the command
    and its workers have the simulated accelerator.
    """
    line = list(map(str, arguments))
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        command = fork(
            _become_command, drawn, largest_file, *line,
            cwd=cwd, environment=environment() | settings, stdout=stdout.fileno(), stderr=stderr.fileno(),
        )  # fmt: skip
        code = command.wait()
        for file in (stdout, stderr):
            file.seek(0)
        return subprocess.CompletedProcess(line, code, stdout.read(), stderr.read())


def start(*arguments: object, cwd: Path, **settings: str) -> Child:
    """Start `python -m ablate …`, its standard error in a pipe. Its reports have no figures."""
    line = map(str, arguments)
    given = environment() | {"PYTHONPATH": str(ROOT)} | settings
    unlimited = resource.RLIM_INFINITY
    return fork(_become_command, False, unlimited, *line, cwd=cwd, environment=given, stderr=subprocess.PIPE)


def start_from_nothing(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """Start `python -m ablate …` as a process that has yet to import everything, its standard error in a pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "ablate", *map(str, arguments)],
        cwd=cwd,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def leave_undrawn(replace: Callable[[object, str, object], object]) -> None:
    """Have reports made without figures, by a function that replaces an attribute."""
    from ablate.figures import judged_figures, paper, registry

    replace(judged_figures, "draw_judged", lambda _: iter(()))
    for draw in ("draw_results", "draw_inspection"):
        replace(registry, draw, lambda *_: iter(()))
    replace(paper, "draw_for_paper", lambda *_: iter(()))


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


def _become_command(drawn: bool, largest_file: int, *line: str) -> None:
    """Do in this process what `python -m ablate …` would do."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    if not drawn:
        leave_undrawn(setattr)
    if os.environ.get("ABLATE_TEST_DEVICE") == "sim":
        from tests.accelerator.install import install

        install()
    sys.argv = ["ablate", *line]
    runpy.run_module("ablate", run_name="__main__", alter_sys=True)
