"""Record the speeds that the calibration of `--commits` draws from.

In every session, three processes time one arm of the same code in turn, as `--commits` does: LeNet on the digits,
in blocks of 0.1 seconds. Half of the sessions run beside a program that keeps the core busy. The recording in
`recorded_speeds.csv` took ten minutes. It had one of two cores of a virtual machine, and priority over other
programs, whose load average was 8: `nice -n -15 taskset -c 1 python -m tests.gate.record_speeds`.
"""

import contextlib
import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ablate.gate.commits import Checkout, Timer, Training, time_rounds
from tests.commands import ROOT
from tests.conftest import SMALL

SPEEDS = Path(__file__).with_name("recorded_speeds.csv")
COLUMNS = ("load", "session", "round", "first", "second", "again")
LOADS = ("usual", "busy")
SESSIONS, ROUNDS = 6, 80
ARM = "baseline"
OVERRIDES = ("timing.block_seconds=0.1",)
BUSY = "while True: sum(range(100_000))"


@contextlib.contextmanager
def keep_busy() -> Iterator[None]:
    """Run another program that uses one core."""
    other = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def record_session(study: Path, load: str, rounds: int) -> list[list[float]]:
    """Return the examples per second of three equal processes in every round, `(3, rounds)`."""
    here = Checkout(commit="0" * 40, path=ROOT, root=ROOT)
    with contextlib.ExitStack() as stack:
        timers = [Timer(here, Training(study=study, overrides=OVERRIDES)) for _ in range(3)]
        for timer in timers:
            stack.callback(timer.close)
            timer.list_arms()
        if load == "busy":
            stack.enter_context(keep_busy())
        return time_rounds(timers, ARM, rounds).speeds


def main() -> None:
    """Write the table, one session after the other."""
    with tempfile.TemporaryDirectory() as folder, SPEEDS.open("w", newline="") as file:
        study = Path(folder, "small.yaml")
        study.write_text(SMALL)
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for session in range(SESSIONS):
            for load in LOADS:
                speeds = record_session(study, load, ROUNDS)
                for place, values in enumerate(zip(*speeds, strict=True)):
                    table.writerow([load, session, place, *(round(value, 1) for value in values)])
                file.flush()


if __name__ == "__main__":
    main()
