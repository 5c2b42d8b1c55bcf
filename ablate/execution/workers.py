"""Where runs execute: in this process, or in long-lived local processes of one thread each."""

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

from ablate.design.runs import Run
from ablate.engines.choice import trains_in_cohorts
from ablate.engines.training import settle_process
from ablate.execution import fork_server
from ablate.execution.executor import Conditions, Outcome, execute, execute_group, group_runs, record_failure
from ablate.models import own
from ablate.timing import costs

ATTEMPTS = 2
"""A run whose worker died is tried once more before it counts as failed."""
LOOK_SECONDS = 5.0
"""So often the parent looks whether its workers still work; all patience is counted in looks."""
IDLE_LOOKS = 60
"""A worker at a run that has not used the processor for five minutes is stuck, whatever the run's length."""
LONGEST_TIMES, LEAST_LOOKS = 100, 720
"""One that does use it is stuck once it has spent a hundred times longer on each FLOP than the slowest run so
far, but never within its first hour. Until a first run is complete nothing is known, and it is waited for."""


class Workers(Protocol):
    """Takes runs, gives outcomes in the order in which they end."""

    def outcomes(self, runs: Iterable[Run]) -> Iterator[Outcome]:
        """Train all `runs`, each taken only when it is about to begin: until then another host may."""

    def close(self) -> None:
        """Stop at once, whatever is in flight."""


class Here:
    """Runs in this very process: on a GPU, which gains nothing from a second one, cohort after cohort."""

    def __init__(self, conditions: Conditions, threads: int) -> None:
        self._conditions = conditions
        settle_process(threads)
        # cuDNN would round the loop's convolutions to TF32, and a cohort's are plain matrix products in fp32:
        # arms of one study must not differ in that.
        torch.backends.cudnn.allow_tf32 = False

    def outcomes(self, runs: Iterable[Run]) -> Iterator[Outcome]:
        for group in group_runs(runs, self._conditions):
            yield from execute_group(group, self._conditions)

    def close(self) -> None:
        """Nothing to stop; what is timed next is torch as it comes."""
        torch.backends.cudnn.allow_tf32 = True


class LocalProcesses:
    """Long-lived processes, one thread a run; a death costs one run a second try, the parent's ends all.

    Each worker has a pipe of its own, so that none can hold a lock that another needs: pebble's pool, which
    shares one, was tried; after a worker was killed it stood still beyond a minute and once broke whole.
    """

    def __init__(self, conditions: Conditions, jobs: int) -> None:
        self._conditions = conditions
        fork_server.prepare()
        self._workers = [_Worker() for _ in range(jobs)]
        self._work = costs.Work(conditions.dataset.facts, conditions.validation)
        self._slowest: float | None = None
        """Looks a FLOP of the slowest complete run; 0 where all ended before they were looked at."""

    def outcomes(self, runs: Iterable[Run]) -> Iterator[Outcome]:
        waiting = ((run, 1) for run in runs)
        again: list[tuple[Run, int]] = []
        flying: dict[_Worker, tuple[Run, int]] = {}
        looked = time.monotonic()
        while True:
            for i, worker in enumerate(self._workers):
                if worker in flying or (task := again.pop() if again else next(waiting, None)) is None:
                    continue
                if not worker.process.is_alive():
                    worker.close()
                    worker = self._workers[i] = _Worker()
                flying[worker] = task
                worker.send((task[0], self._conditions))
            if not flying:
                return
            ready = connection.wait([worker.pipe for worker in flying], timeout=LOOK_SECONDS)
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked = time.monotonic()
                for worker, (run, _) in flying.items():
                    worker.look()
                    if worker.looks >= LEAST_LOOKS and worker.looks >= self._most_looks(run):
                        worker.stop(f"it had been at the run for {worker.looks * LOOK_SECONDS:,.0f} s")
            for worker in [worker for worker in flying if worker.pipe in ready]:
                run, attempt = flying.pop(worker)
                try:
                    outcome = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    if attempt < ATTEMPTS:
                        again.append((run, attempt + 1))
                    else:
                        yield record_failure(run, f"its worker died twice, {worker.end}")
                else:
                    if outcome.record.status == "complete":
                        spent = worker.looks / self._work.of(run) if worker.looks else 0.0
                        self._slowest = max(self._slowest or 0.0, spent)
                    yield outcome

    def close(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.close()

    def _most_looks(self, run: Run) -> float:
        """After how many a worker at this run is stuck."""
        return math.inf if self._slowest is None else LONGEST_TIMES * self._slowest * self._work.of(run)


class _Worker:
    """One process and the parent's end of its pipe."""

    def __init__(self) -> None:
        context = fork_server.context()
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with fork_server.deaf_to_interrupts():
            self.process.start()
        theirs.close()  # so that the pipe ends when the worker does
        self.looks = 0
        """How often it has been looked at since it was given its run."""
        self._idle, self._used = 0, 0.0
        self._stopped = ""

    @property
    def end(self) -> str:
        """How it ended, once it has."""
        return self._stopped or f"with exit code {self.process.exitcode}"

    def look(self) -> None:
        """Stop it if it does nothing; to be called every LOOK_SECONDS while it is at a run.

        Counted in looks and not by a clock: a parent that was itself suspended has not looked meanwhile.
        """
        self.looks += 1
        with contextlib.suppress(psutil.NoSuchProcess):  # it has died since: its pipe tells
            used = sum(psutil.Process(self.process.pid).cpu_times()[:2])
            self._idle = self._idle + 1 if used == self._used else 0
            self._used = used
        if self._idle >= IDLE_LOOKS:
            self.stop(f"it had not used the processor for {self._idle * LOOK_SECONDS:,.0f} s")

    def stop(self, why: str) -> None:
        """Kill it, for it is stuck: its run is then treated as that of any worker that died."""
        self._stopped = f"stopped because {why}"
        self.process.kill()

    def close(self) -> None:
        """Let go of it, once it has ended or been killed."""
        self.process.join()
        self.pipe.close()

    def send(self, task: tuple[Run, Conditions]) -> None:
        """Give it a run."""
        self.looks = self._idle = 0
        with contextlib.suppress(OSError):  # it has died since: receiving will tell
            self.pipe.send(task)


def open_workers(conditions: Conditions, jobs: int) -> Workers:
    """Processes on a CPU, this process on a GPU or where `ABLATE_ENGINE` asks for cohorts."""
    if conditions.device == "cpu" and not trains_in_cohorts(torch.device(conditions.device)):
        return LocalProcesses(conditions, jobs)
    return Here(conditions, os.cpu_count() or 1)


def _serve(pipe: connection.Connection) -> None:
    """A worker's life: one thread, a run after the other, gone when its parent is."""
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
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
