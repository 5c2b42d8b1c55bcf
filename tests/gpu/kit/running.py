"""Run one part in a process group of its own, for a limited time."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablate.interruption import Interrupted, delay_interrupts, raise_on_interrupt
from tests.gpu.kit.parts import Part
from tests.gpu.kit.places import ROOT

GRACE_SECONDS = 5.0
"""How long a part may take to end after SIGTERM."""
Status = Literal["passed", "failed", "out of time", "not started"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a part ended."""

    status: Status
    seconds: float
    exit_code: int | None = None


def run_part(part: Part, environment: Mapping[str, str], log: Path, seconds: float) -> Outcome:
    """Run the part for at most `seconds` seconds. Write everything that it prints to `log`.

    No process of the part's group is left over, however this function ends.
    """
    if seconds <= GRACE_SECONDS:
        return Outcome(status="not started", seconds=0.0)
    started = time.monotonic()
    process: subprocess.Popen[bytes] | None = None
    code: int | None = None
    with log.open("ab") as stream:
        try:
            with delay_interrupts():  # a signal inside Popen would leave a process that nobody knows
                process = subprocess.Popen(
                    list(map(str, part.command)),
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(seconds - GRACE_SECONDS)
        finally:
            if process is not None:
                _end_group(process)
    status: Status = "out of time" if code is None else "failed" if code else "passed"
    return Outcome(status=status, seconds=time.monotonic() - started, exit_code=code)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End all processes of the group: first by SIGTERM, so that ablate keeps its record, then by SIGKILL."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def exit_on_signals() -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP end the kit, after it ended its part and wrote its summary."""
    try:
        with raise_on_interrupt():
            yield
    except Interrupted as stopped:
        raise SystemExit(stopped.code) from None
