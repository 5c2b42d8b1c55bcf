"""Execute runs in this process, or in other processes on this machine (workers), with one thread each."""

import contextlib
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator
from multiprocessing import connection, parent_process
from typing import Protocol

import psutil
import torch

from ablate.cores import count_cores
from ablate.design.runs import Run
from ablate.devices.device import is_accelerator, select
from ablate.engines.choice import trains_in_cohorts
from ablate.engines.training import settle_process
from ablate.execution import fork_server
from ablate.execution.executor import (
    Conditions,
    Outcome,
    execute,
    execute_group,
    group_runs,
    mark_ready,
    record_failure,
)
from ablate.models import own
from ablate.timing import costs

ATTEMPTS = 2
"""The number of attempts to train a run. If the worker dies in each of them, the run counts as failed."""
CHECK_SECONDS = 5.0
"""The time between two checks of the workers, in seconds. All time limits are counted in checks."""
IDLE_CHECKS = 60
"""A worker counts as stuck if it uses no processor time during this many checks (five minutes)."""
MOST_SLOWDOWN, LEAST_CHECKS = 100, 720
"""A worker that uses processor time counts as stuck if its run takes far too long.

Both of these conditions must hold. The run has lasted at least LEAST_CHECKS checks (one hour). The run's time
per FLOP is at least MOST_SLOWDOWN times the time per FLOP of the slowest complete run. Before a first run is
complete, such a worker never counts as stuck.
"""


class Workers(Protocol):
    """Processes that execute runs."""

    def outcomes(self, runs: Iterable[Run]) -> Iterator[Outcome]:
        """Train all `runs`, and yield their outcomes in the order in which the runs end.

        Each run is taken from `runs` only when it is about to begin. Until then, another host that works on
        the same study can still take the run.
        """

    def close(self) -> None:
        """Stop all workers at once. Unfinished runs have no outcome."""


class ThisProcess:
    """Trains all runs in this process, one group after the other.

    A second process would not make a GPU faster.
    """

    def __init__(self, conditions: Conditions, threads: int) -> None:
        self._conditions = conditions
        settle_process(threads)
        select(torch.device(conditions.device))

    def outcomes(self, runs: Iterable[Run]) -> Iterator[Outcome]:
        for group in group_runs(runs, self._conditions):
            yield from execute_group(group, self._conditions)

    def close(self) -> None:
        """Do nothing, because there is no other process to stop."""


class LocalProcesses:
    """Trains runs in long-lived worker processes with one thread each.

    If a worker dies, its run is tried once more. If the parent dies, all workers end.

    Each worker has its own pipe, so that a killed worker cannot hold a lock that another worker needs. The
    package pebble was tried and is not used, because its workers share one pipe. After a worker was killed,
    pebble's pool hung for over a minute, and once it broke.
    """

    def __init__(self, conditions: Conditions, jobs: int) -> None:
        self._conditions = conditions
        fork_server.prepare()
        self._workers = [_Worker() for _ in range(jobs)]
        self._work = costs.Work(conditions.dataset.facts, conditions.validation)
        self._slowest: float | None = None
        """The number of checks per FLOP of the slowest complete run.

        It is None if no run is complete yet. It is 0 if each complete run ended before its first check.
        """

    def outcomes(self, runs: Iterable[Run]) -> Iterator[Outcome]:
        waiting = ((run, 1) for run in runs)
        again: list[tuple[Run, int]] = []
        running: dict[_Worker, tuple[Run, int]] = {}
        checked = time.monotonic()
        while True:
            for i, worker in enumerate(self._workers):
                if worker in running or (task := again.pop() if again else next(waiting, None)) is None:
                    continue
                if not worker.process.is_alive():
                    worker.close()
                    worker = self._workers[i] = _Worker()
                running[worker] = task
                worker.send((task[0], self._conditions))
            if not running:
                return
            ready = connection.wait([worker.pipe for worker in running], timeout=CHECK_SECONDS)
            if time.monotonic() - checked >= CHECK_SECONDS:
                checked = time.monotonic()
                for worker, (run, _) in running.items():
                    worker.check()
                    if worker.checks >= LEAST_CHECKS and worker.checks >= self._most_checks(run):
                        worker.stop(f"it had worked on the run for {worker.checks * CHECK_SECONDS:,.0f} s")
            ended: list[Outcome] = []
            for worker in [worker for worker in running if worker.pipe in ready]:
                run, attempt = running.pop(worker)
                try:
                    outcome = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    if attempt < ATTEMPTS:
                        again.append((run, attempt + 1))
                    else:
                        ended.append(record_failure(run, f"its worker died twice, {worker.end}"))
                else:
                    if outcome.record.status == "complete":
                        spent = worker.checks / self._work.count_flops(run) if worker.checks else 0.0
                        self._slowest = max(self._slowest or 0.0, spent)
                    ended.append(outcome)
            yield from mark_ready(ended)

    def close(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.close()

    def _most_checks(self, run: Run) -> float:
        """Compute after how many checks the worker that trains this run counts as stuck."""
        if self._slowest is None:
            return math.inf
        return MOST_SLOWDOWN * self._slowest * self._work.count_flops(run)


class _Worker:
    """One worker process and the parent's end of its pipe."""

    def __init__(self) -> None:
        context = fork_server.choose_start_method()
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with fork_server.ignore_interrupts(), fork_server.hide_main_module():
            self.process.start()
        theirs.close()  # only the worker keeps this end of the pipe, so the pipe closes when the worker ends
        self.checks = 0
        """The number of checks since the worker received its current run."""
        self._idle, self._used = 0, 0.0
        self._stopped = ""

    @property
    def end(self) -> str:
        """Describe how the process ended. The text continues the message `its worker died twice, …`."""
        if self._stopped:
            return self._stopped
        code = self.process.exitcode
        killed = code == -9  # SIGKILL, which Windows lacks
        return f"with exit code {code}{', as when the system is out of memory' if killed else ''}"

    def check(self) -> None:
        """Stop the worker if it has used no processor time for too long.

        The parent calls this method every CHECK_SECONDS while the worker has a run. The method counts calls
        instead of seconds. So the time in which the parent is suspended does not count.
        """
        self.checks += 1
        # NoSuchProcess means that the worker has died. The parent's next read from the pipe shows this.
        with contextlib.suppress(psutil.NoSuchProcess):
            used = sum(psutil.Process(self.process.pid).cpu_times()[:2])
            self._idle = self._idle + 1 if used == self._used else 0
            self._used = used
        if self._idle >= IDLE_CHECKS:
            self.stop(f"it had not used the processor for {self._idle * CHECK_SECONDS:,.0f} s")

    def stop(self, why: str) -> None:
        """Kill the worker because it is stuck. The parent then treats it like a worker that died."""
        self._stopped = f"stopped because {why}"
        self.process.kill()

    def close(self) -> None:
        """Join the process and close its pipe."""
        self.process.join()
        self.pipe.close()

    def send(self, task: tuple[Run, Conditions]) -> None:
        """Send a run to the worker."""
        self.checks = self._idle = 0
        # OSError means that the worker has died. The parent's next read from the pipe shows this.
        with contextlib.suppress(OSError):
            self.pipe.send(task)


def open_workers(conditions: Conditions, jobs: int) -> Workers:
    """Start worker processes on a CPU. On a GPU, or if `ABLATE_ENGINE` is `cohort`, use only this process."""
    device = torch.device(conditions.device)
    if not is_accelerator(device) and not trains_in_cohorts(device):
        return LocalProcesses(conditions, jobs)
    return ThisProcess(conditions, count_cores())


def _serve(pipe: connection.Connection) -> None:
    """Train one run after the other in a worker process, until the parent process closes the pipe."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    settle_process(threads=1)
    while True:
        try:
            run, conditions = pipe.recv()
        except EOFError:
            return
        own.allow(conditions.plugins)
        pipe.send(execute(run, conditions))


def _end_with_parent() -> None:
    """Wait until the parent process ends, and then end this process."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
