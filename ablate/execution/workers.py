"""Execute runs in this process, or in long-lived local processes with one thread each."""

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
"""A run counts as failed after this many attempts in which the worker died."""
CHECK_SECONDS = 5.0
"""The time between two checks of the workers. All time limits are numbers of checks."""
IDLE_CHECKS = 60
"""A worker that does not use the processor during this many checks (five minutes) is stuck."""
MOST_SLOWDOWN, LEAST_CHECKS = 100, 720
"""A worker that uses the processor counts as stuck if two conditions hold. Its run has taken at least
LEAST_CHECKS (one hour), and per FLOP at least MOST_SLOWDOWN times as long as the slowest complete run. Before
any run is complete, there is no limit."""


class Workers(Protocol):
    """Execute runs, and yield their outcomes in the order in which they end."""

    def outcomes(self, runs: Iterable[Run]) -> Iterator[Outcome]:
        """Train all `runs`. Each run is taken only when it begins, because another host can take it first."""

    def close(self) -> None:
        """Stop at once, and abandon unfinished runs."""


class ThisProcess:
    """Trains in this process, one cohort after the other. A second process would not make a GPU faster."""

    def __init__(self, conditions: Conditions, threads: int) -> None:
        self._conditions = conditions
        settle_process(threads)
        select(torch.device(conditions.device))

    def outcomes(self, runs: Iterable[Run]) -> Iterator[Outcome]:
        for group in group_runs(runs, self._conditions):
            yield from execute_group(group, self._conditions)

    def close(self) -> None:
        """There is nothing to stop."""


class LocalProcesses:
    """Trains in long-lived processes with one thread each.

    If a worker dies, its run is tried once more. If the parent dies, all workers end. Each worker has its own
    pipe, so that no worker can hold a lock that another needs. The package pebble was tried and not used:
    its workers share one pipe. When a worker was killed, the pool hung for over a minute and once broke.
    """

    def __init__(self, conditions: Conditions, jobs: int) -> None:
        self._conditions = conditions
        fork_server.prepare()
        self._workers = [_Worker() for _ in range(jobs)]
        self._work = costs.Work(conditions.dataset.facts, conditions.validation)
        self._slowest: float | None = None
        """Checks per FLOP of the slowest complete run; 0 if all runs ended before their first check."""

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
        """Compute the number of checks after which a worker that still trains this run counts as stuck."""
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
        theirs.close()  # so that the pipe closes when the worker ends
        self.checks = 0
        """The number of checks since the worker received its run."""
        self._idle, self._used = 0, 0.0
        self._stopped = ""

    @property
    def end(self) -> str:
        """Describe in words how the process ended."""
        if self._stopped:
            return self._stopped
        code = self.process.exitcode
        killed = code == -9  # SIGKILL, which Windows lacks
        return f"with exit code {code}{', as when the system is out of memory' if killed else ''}"

    def check(self) -> None:
        """Stop the worker if it has been idle too long. Call this every CHECK_SECONDS while it has a run.

        This method counts checks, not seconds. So time in which the parent was suspended does not count.
        """
        self.checks += 1
        with contextlib.suppress(psutil.NoSuchProcess):  # the worker died: its pipe will show that
            used = sum(psutil.Process(self.process.pid).cpu_times()[:2])
            self._idle = self._idle + 1 if used == self._used else 0
            self._used = used
        if self._idle >= IDLE_CHECKS:
            self.stop(f"it had not used the processor for {self._idle * CHECK_SECONDS:,.0f} s")

    def stop(self, why: str) -> None:
        """Kill the stuck worker. Its run is then treated like that of any dead worker."""
        self._stopped = f"stopped because {why}"
        self.process.kill()

    def close(self) -> None:
        """Join the process and close its pipe."""
        self.process.join()
        self.pipe.close()

    def send(self, task: tuple[Run, Conditions]) -> None:
        """Send a run to the worker."""
        self.checks = self._idle = 0
        with contextlib.suppress(OSError):  # the worker has died: reading its pipe will show that
            self.pipe.send(task)


def open_workers(conditions: Conditions, jobs: int) -> Workers:
    """Open local processes on a CPU. On a GPU, or if `ABLATE_ENGINE` selects cohorts, use this process."""
    device = torch.device(conditions.device)
    if not is_accelerator(device) and not trains_in_cohorts(device):
        return LocalProcesses(conditions, jobs)
    return ThisProcess(conditions, count_cores())


def _serve(pipe: connection.Connection) -> None:
    """Train one run after the other in a worker, until the parent closes the pipe or dies."""
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
    """Wait for the parent's end, then end this process."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
