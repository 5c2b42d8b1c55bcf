"""Workers are processes: the death of one does not harm the others, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ablate import models
from ablate.data.datasets import find_dataset
from ablate.design.designs import lay_out
from ablate.design.runs import Run
from ablate.execution import executor
from ablate.execution.executor import Conditions
from ablate.execution.workers import LocalProcesses, ThisProcess
from ablate.models.own_code import Code
from ablate.records.run_records import RunRecord
from ablate.study import study_file
from tests.commands import environment
from tests.nursery import fork

CONDITIONS = Conditions(dataset=find_dataset("digits"), data_root=None, validation=240, device="cpu")


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalProcesses]:
    """One pool for all tests, because it must recover from whatever a test does to it."""
    made = LocalProcesses(CONDITIONS, jobs=2)
    yield made
    made.close()


def some_runs(spec, count: int, **setting: float) -> list[Run]:
    return [Run(phase="tune", arm=lay_out(spec).arms[0], setting=setting, seed=seed) for seed in range(count)]


def timeless(record: RunRecord) -> tuple[object, ...]:
    return record.seed, record.status, record.train_loss, record.validation_accuracy, record.cause


def workers_of(parent: psutil.Process) -> list[psutil.Process]:
    """The living processes that the fork server of `parent` has started."""
    # A command that the nursery forked also forks its server. The nursery itself is a child of this process, and
    # its children are other tests' commands.
    names = ["multiprocessing.forkserver", *([] if parent.pid == os.getpid() else ["tests.nursery"])]
    servers = [
        child for child in parent.children() if any(name in " ".join(_command(child)) for name in names)
    ]
    return [worker for server in servers for worker in list_children(server) if is_alive(worker)]


def list_children(process: psutil.Process) -> list[psutil.Process]:
    """The children of a process, which may end at any moment."""
    try:
        return process.children()
    except psutil.NoSuchProcess:
        return []


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs. A zombie has ended: its parent or the system's first process has not noticed yet."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def test_processes_give_what_this_process_gives(small, pool: LocalProcesses) -> None:
    runs = some_runs(small("recipe.epochs=1"), 4)
    there = sorted(timeless(outcome.record) for outcome in pool.outcomes(runs))
    here = sorted(timeless(outcome.record) for outcome in ThisProcess(CONDITIONS, threads=1).outcomes(runs))
    assert there == here


def test_a_killed_worker_costs_its_run_a_second_try_and_the_others_nothing(
    small, pool: LocalProcesses
) -> None:
    runs = some_runs(small("recipe.epochs=12"), 4)
    outcomes = pool.outcomes(runs)
    first = next(outcomes)
    victim = max(workers_of(psutil.Process()), key=lambda child: child.cpu_times().user)
    victim.send_signal(signal.SIGKILL)
    records = [first.record, *(outcome.record for outcome in outcomes)]
    assert sorted(record.seed for record in records) == [0, 1, 2, 3]
    assert {record.status for record in records} == {"complete"}


def test_a_killed_idle_worker_is_replaced(small, pool: LocalProcesses) -> None:
    runs = some_runs(small("recipe.epochs=1"), 4)
    assert len(list(pool.outcomes(runs[:2]))) == 2
    for child in workers_of(psutil.Process()):
        child.send_signal(signal.SIGKILL)
    assert {outcome.record.status for outcome in pool.outcomes(runs[2:])} == {"complete"}


def test_a_run_whose_worker_dies_twice_is_recorded_failed(small, pool: LocalProcesses) -> None:
    runs = some_runs(small("recipe.epochs=60"), 1)
    stop = threading.Event()

    def hunt() -> None:
        while not stop.wait(0.1):
            for child in workers_of(psutil.Process()):
                if child.is_running() and child.cpu_times().user > 0.5:  # at work
                    child.send_signal(signal.SIGKILL)

    hunter = threading.Thread(target=hunt)
    hunter.start()
    (outcome,) = pool.outcomes(runs)
    stop.set()
    hunter.join()
    assert outcome.record.status == "failed"
    assert (
        outcome.record.cause
        == "its worker died twice, with exit code -9, as when the system is out of memory"
    )


def test_an_error_inside_a_run_is_stored_in_its_record(small, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> RunRecord:
        raise RuntimeError("expected scalar type Float\nbut found Double")

    monkeypatch.setattr(executor, "train", fail)
    (outcome,) = ThisProcess(CONDITIONS, threads=1).outcomes(some_runs(small(), 1))
    assert outcome.record.status == "failed"
    assert outcome.record.cause is not None
    assert outcome.record.cause.startswith("RuntimeError: expected scalar type Float (test_workers.py, line ")
    assert outcome.record.validation_accuracy is None


def test_running_out_of_memory_is_told_apart(small, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def fail(*_: object, **__: object) -> RunRecord:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(executor, "train", fail)
    (outcome,) = ThisProcess(CONDITIONS, threads=1).outcomes(some_runs(small(), 1))
    assert outcome.record.status == "oom"


def test_only_the_first_confirmed_seed_of_an_arm_is_kept(small) -> None:
    arm = lay_out(small("recipe.epochs=1")).arms[0]
    runs = [
        Run(phase=phase, arm=arm, setting={}, seed=seed)
        for phase, seed in (("tune", 0), ("confirm", 0), ("confirm", 1))
    ]
    kept = [outcome.checkpoint is not None for outcome in ThisProcess(CONDITIONS, threads=1).outcomes(runs)]
    assert kept == [False, True, False]


def train_without_end(path: str) -> None:
    """Train in two workers for longer than any test."""
    spec = study_file.read(Path(path), ["recipe.epochs=1000"])
    list(LocalProcesses(CONDITIONS, jobs=2).outcomes(some_runs(spec, 4)))


def test_no_worker_is_left_five_seconds_after_its_parent_was_killed(small_file: Path) -> None:
    with fork(train_without_end, str(small_file), cwd=Path.cwd(), environment=environment()) as parent:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            at_work = [w for w in workers_of(psutil.Process(parent.pid)) if w.cpu_times().user > 0.5]
            if len(at_work) >= 2:
                break
            time.sleep(0.2)
        family = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    _, left = psutil.wait_procs(family, timeout=5)
    assert [one for one in left if is_alive(one)] == []


def test_a_command_ends_after_the_server_of_its_workers_so_that_their_time_counts_as_its_own() -> None:
    script = "from ablate.execution import fork_server as p; p.prepare(); print(p.forkserver._forkserver._forkserver_pid)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not psutil.pid_exists(int(done.stdout))


def test_a_run_with_other_code_than_the_study_began_with_is_refused(
    small, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = Code(sha256="new", modules_sha256="new", files=(), packages=())
    monkeypatch.setattr(models, "identify_code", lambda _: imported)
    conditions = replace(CONDITIONS, code=(("lenet", "old"),))
    record = executor.execute(some_runs(small(), 1)[0], conditions).record
    assert record.status == "failed"
    assert record.cause == "the code of lenet changed while the study ran: run the same command again"
