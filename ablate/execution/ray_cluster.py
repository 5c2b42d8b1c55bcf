"""Execute runs as Ray Core tasks on the cluster's cores or GPUs. This is the only module that imports Ray."""

import contextlib
import hashlib
import logging
import os
import socket
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import ray
import torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.devices.device import is_accelerator
from ablate.engines.training import settle_process
from ablate.errors import AblateError, format_error
from ablate.execution.executor import (
    COHORT_PLACES,
    Conditions,
    Outcome,
    execute_group,
    group_runs,
    mark_ready,
    record_failure,
)
from ablate.execution.workers import ATTEMPTS, CHECK_SECONDS, IDLE_CHECKS
from ablate.models import own

PATIENCE_SECONDS = 1.0
"""The longest time in seconds for which this process waits for the cluster without reacting to Ctrl-C."""
CONNECT_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 600.0
"""The longest time in seconds for which the timing phase waits for the cluster's tasks on this machine."""
AHEAD = 2
"""The number of tasks that are submitted for each core or GPU of the cluster.

With two tasks, a core or GPU can begin the second task as soon as it ends the first one.
"""
ARRAYS = ("images", "labels", "test_images", "test_labels")


class RayTasks:
    """Trains runs on a Ray cluster. On CPUs, each run is a task. On GPUs, each cohort of runs is a task.

    If the worker or node of a task dies, Ray repeats the task once.

    The data set is put into the cluster's object store. Each node reads the data set from this store, so the
    nodes need no data files.
    """

    def __init__(self, conditions: Conditions, address: str) -> None:
        """Join the cluster at `address`: `auto`, `HOST:PORT`, or `ray://HOST:PORT` for Ray's client.

        Raises:
            AblateError: there is no cluster at this address.
        """
        self._conditions = conditions
        self._device = torch.device(conditions.device)
        self._placed: dict[int | None, Any] = {}
        self._running: dict[Any, list[Run]] = {}
        _join(address)
        resources = {"num_gpus": 1} if is_accelerator(self._device) else {}
        remote: Any = ray.remote  # Any, because Ray's type stubs support at most nine arguments
        self._task = remote(num_cpus=1, max_retries=ATTEMPTS - 1, **resources)(_serve)

    def outcomes(self, runs: Iterable[Run]) -> Iterator[Outcome]:
        waiting = self._group(runs)
        while True:
            for group in islice(waiting, max(0, self._count_tasks() - len(self._running))):
                dataset = self._place_dataset(group[0].recipe.input_size)
                checks = CHECK_SECONDS, IDLE_CHECKS
                task = self._task.remote(group, self._conditions, compute_code_version(), checks, *dataset)
                self._running[task] = group
            if not self._running:
                return
            ready, rest = ray.wait(list(self._running), num_returns=1, timeout=PATIENCE_SECONDS)
            if ready and rest:
                ready += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
            ended: list[Outcome] = []
            for task in ready:
                group = self._running.pop(task)
                try:
                    ended += ray.get(task)
                except ray.exceptions.RayTaskError as error:
                    yield from ended
                    # An error inside a run is stored in the run's record. So this error comes from the node.
                    raise AblateError(f"--cluster: a node cannot work: {format_error(error.cause)}") from None
                except ray.exceptions.RayError as error:
                    ended += (
                        record_failure(run, f"its worker died twice: {format_error(error)}") for run in group
                    )
            yield from mark_ready(ended)

    def close(self) -> None:
        for task in self._running:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.cancel(task, force=True)
        ray.shutdown()

    def _group(self, runs: Iterable[Run]) -> Iterator[list[Run]]:
        # A group has all runs of one architecture. Split it into one task per cohort, so that several GPUs
        # can train the group.
        most = COHORT_PLACES[-1]
        return (
            group[at : at + most]
            for group in group_runs(runs, self._conditions)
            for at in range(0, len(group), most)
        )

    def _count_tasks(self) -> int:
        """Compute from the cluster's current size how many tasks should be submitted at the same time."""
        wanted = "GPU" if is_accelerator(self._device) else "CPU"
        return AHEAD * max(1, int(ray.cluster_resources().get(wanted, 0)))

    def _place_dataset(self, input_size: int | None) -> Sequence[Any]:
        """Put the data set's arrays into the object store. Return the data set as arguments for a task."""
        if input_size not in self._placed:
            dataset = self._conditions.load(input_size)
            arrays = [ray.put(getattr(dataset, name).cpu().numpy()) for name in ARRAYS]
            self._placed[input_size] = (dataset.name, dataset.classes, dataset.checksums, *arrays)
        return self._placed[input_size]


@contextlib.contextmanager
def reserve_machine(address: str) -> Iterator[None]:
    """Reserve all of the cluster's cores and GPUs on this machine while throughput is measured.

    The function first waits up to LONGEST_WAIT_SECONDS until running tasks end. If a task takes longer, the
    measurements that are made during this task are marked as disturbed. If the address begins with `ray://`,
    this machine is outside the cluster, so nothing is reserved.
    """
    if address.startswith("ray://"):
        yield
        return
    _join(address)
    try:
        here = ray.get_runtime_context().get_node_id()
        there = next(node["Resources"] for node in ray.nodes() if node["NodeID"] == here)
        remote: Any = ray.remote(_Holder)
        holder = remote.options(
            num_cpus=there.get("CPU", 0),
            num_gpus=there.get("GPU", 0),
            scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
        ).remote()
        with contextlib.suppress(ray.exceptions.GetTimeoutError):
            ray.get(holder.holds.remote(), timeout=LONGEST_WAIT_SECONDS)
        yield
    finally:
        ray.shutdown()


class _Holder:
    """A Ray actor (a remote object) that occupies cores and GPUs, but computes nothing."""

    def holds(self) -> None:
        """Do nothing. Ray calls this method only when the actor has its cores and GPUs.

        So when the call ends, the cores and GPUs are reserved.
        """


def _join(address: str) -> None:
    try:
        _try_to_connect(address)
        # `log_to_driver` is off, because the workers' output would overwrite the progress display.
        ray.init(address=address, namespace="ablate", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise AblateError(
            f"--cluster {address}: no Ray cluster answers there ({format_error(error)}): "
            "start one with `ray start --head`"
        ) from None


def _try_to_connect(address: str) -> None:
    """Check that a server listens at the address.

    If there were no server, Ray would try to connect for minutes, and would then end this process.

    Raises:
        OSError: no server listens, or the address is invalid.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    elif address != "auto":
        raise OSError("write auto, HOST:PORT or ray://HOST:PORT")


@lru_cache(maxsize=1)
def compute_code_version() -> str:
    """Describe the versions of ablate's code and of torch in one line.

    The results of a run depend only on these versions and on the run's key.
    """
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(p for p in package.rglob("*") if p.suffix in (".py", ".cpp", ".h")):
        digest.update(f"{path.relative_to(package)}".encode() + path.read_bytes())
    return f"ablate {digest.hexdigest()[:12]} with torch {torch.__version__.partition('+')[0]}"


def _serve(
    runs: list[Run],
    conditions: Conditions,
    wanted: str,
    checks: tuple[float, int],
    name: str,
    classes: tuple[str, ...],
    checksums: dict[str, str],
    *arrays: np.ndarray[Any, Any],
) -> list[Outcome]:
    """Execute a task on a node of the cluster: a run, or the runs of a cohort."""
    if compute_code_version() != wanted:
        raise AblateError(
            f"the node has {compute_code_version()}, but the command has {wanted}: "
            "install the same versions on every node"
        )
    settle_process(threads=1)
    own.allow(conditions.plugins)
    with warnings.catch_warnings():
        # torch warns that the arrays are read-only. Nothing writes to a data set, so the warning is ignored.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        images, labels, test_images, test_labels = map(torch.from_numpy, arrays)
    dataset = Dataset(
        name=name,
        classes=classes,
        checksums=checksums,
        fixed_validation=conditions.dataset.fixed_validation,
        images=images,
        labels=labels,
        test_images=test_images,
        test_labels=test_labels,
    )
    placed = dataset.to(torch.device(conditions.device))
    done = threading.Event()
    threading.Thread(
        target=_end_if_stuck, args=(threading.get_native_id(), done, *checks), daemon=True
    ).start()
    try:
        return list(execute_group(runs, conditions, placed))
    finally:
        done.set()


def _end_if_stuck(thread: int, done: threading.Event, check_seconds: float, idle_checks: int) -> None:
    """End this process if `thread` uses no processor time during `idle_checks` checks in a row.

    Ray then treats the process as a dead worker. Only the time of `thread` is checked, because Ray's own
    threads in this process always use some processor time.
    """
    idle, used = 0, -1.0
    while not done.wait(check_seconds):
        now = next(t.user_time + t.system_time for t in psutil.Process().threads() if t.id == thread)
        idle, used = (idle + 1 if now == used else 0), now
        if idle >= idle_checks:
            os._exit(1)
