"""Ctrl-C and SIGTERM, sent to real commands."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from ablate.report import writer
from tests.commands import count_trials, start, start_from_nothing
from tests.conftest import SMALL
from tests.execution.test_workers import workers_of
from tests.nursery import Child

Started = TypeVar("Started", Child, subprocess.Popen[str])


def start_command(folder: Path, begin: Callable[..., Started]) -> Started:
    """A command with some 400 runs to go, once three are recorded."""
    (folder / "small.yaml").write_text(
        SMALL.replace("seeds: 3", "seeds: 200").replace("trials: 2", "trials: 0")
    )
    parent = begin("run", "small.yaml", cwd=folder)
    while count_trials(folder / "reports" / "small")["confirm"] < 3:
        assert parent.poll() is None
        time.sleep(0.02)
    return parent


def test_an_interruption_is_told_and_loses_only_what_was_in_flight(tmp_path: Path) -> None:
    with start_command(tmp_path, start) as parent:
        family = psutil.Process(parent.pid).children(recursive=True)
        parent.send_signal(signal.SIGINT)
        _, errors = parent.communicate()
    assert parent.returncode == 130
    assert "the same command continues where this one stopped" in errors
    assert "Traceback" not in errors
    assert psutil.wait_procs(family, timeout=5)[1] == []
    assert count_trials(tmp_path / "reports" / "small")["confirm"] >= 3


@pytest.mark.thorough
def test_a_command_terminated_during_imports_stops_its_runs_and_leaves_complete_records_and_a_partial_report(
    tmp_path: Path,
) -> None:
    with start_command(tmp_path, start_from_nothing) as parent:
        while "matplotlib" not in Path(f"/proc/{parent.pid}/maps").read_text():  # for the preliminary report
            assert parent.poll() is None
            time.sleep(0.005)
        family = psutil.Process(parent.pid).children(recursive=True)
        parent.terminate()
        _, errors = parent.communicate(timeout=120)
    assert parent.returncode == 143, errors
    assert "Traceback" not in errors
    assert "partial report: reports/small/report.html" in errors
    assert "the same command continues where this one stopped" in errors
    assert psutil.wait_procs(family, timeout=5)[1] == []
    folder = tmp_path / "reports" / "small"
    recorded = count_trials(folder)["confirm"]
    assert (
        f"<b>Preliminary.</b> {400 - recorded} of 400 confirmation runs"
        in (folder / "report.html").read_text()
    )
    assert writer.gather(folder).missing_runs == 400 - recorded
    assert (folder / "tables" / "runs.csv").read_text().count("confirm,") == recorded


def test_a_second_interrupt_ends_the_command_at_once_and_leaves_no_process_running(tmp_path: Path) -> None:
    with start_command(tmp_path, start) as parent:
        family = psutil.Process(parent.pid).children(recursive=True)
        parent.send_signal(signal.SIGINT)
        while workers_of(psutil.Process(parent.pid)):  # the first one is heard once its runs are stopped
            time.sleep(0.002)
        parent.send_signal(signal.SIGINT)
        _, errors = parent.communicate()
    assert parent.returncode == -signal.SIGINT, errors
    assert "Traceback" not in errors
    assert "partial report" not in errors
    assert psutil.wait_procs(family, timeout=10)[1] == []
    count_trials(tmp_path / "reports" / "small")
    assert json.loads((tmp_path / "reports/small/environment.json").read_text())["device"] == "cpu"


@pytest.mark.thorough
def test_an_interrupted_bench_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    # Two threads on cores that another test keeps busy wait for each other at every step.
    one_thread = {"OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    with start("bench", "--quick", "--json", "bench.json", cwd=tmp_path, **one_thread) as parent:
        assert parent.stderr is not None
        parent.stderr.readline()  # it has begun
        while not (family := psutil.Process(parent.pid).children(recursive=True)):
            assert parent.poll() is None
            time.sleep(0.05)
        time.sleep(random.uniform(0, 8))
        parent.send_signal(signal.SIGTERM)
        _, errors = parent.communicate()
    assert parent.returncode == 143
    assert "interrupted; no measurements are kept" in errors
    assert "Traceback" not in errors
    assert psutil.wait_procs(family, timeout=10)[1] == []
    assert not list(tmp_path.glob("ablate-bench-*"))
