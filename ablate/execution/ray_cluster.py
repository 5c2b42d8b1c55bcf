"""Runs as Ray Core tasks: wherever the cluster has a free core or GPU. Imports Ray, as nothing else does."""

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
from ablate.engines.training import settle_process
from ablate.errors import AblateError, format_error
from ablate.execution.executor import (
    COHORT_PLACES,
    Conditions,
    Outcome,
    execute_group,
    group_runs,
    record_failure,
)
from ablate.execution.workers import ATTEMPTS, IDLE_LOOKS, LOOK_SECONDS
from ablate.models import own

PATIENCE_SECONDS = 1.0
"""So often a person's Ctrl-C is looked for while the cluster works."""
KNOCK_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 600.0
"""So long others may finish their work on this machine before it times."""
AHEAD = 2
"""Runs submitted for each core or GPU: one that is free finds the next already there."""
ARRAYS = ("images", "labels", "test_images", "test_labels")


class RayTasks:
    """Every run, on a GPU every cohort, is a task; one whose worker or node dies is tried once more.

    The data set lies in the cluster's object store, whence each node takes it once: nodes need no data.
    """

    def __init__(self, conditions: Conditions, address: str) -> None:
        """Join the cluster: `auto`, `HOST:PORT` or, through Ray's client, `ray://HOST:PORT`.

        Raises:
            AblateError: there is none.
        """
        self._conditions = conditions
        self._device = torch.device(conditions.device)
        self._placed: dict[int | None, Any] = {}
        self._flying: dict[Any, list[Run]] = {}
        _join(address)
        resources = {"num_gpus": 1} if self._device.type == "cuda" else {}
        remote: Any = ray.remote  # its stubs know functions of up to nine arguments
        self._task = remote(num_cpus=1, max_retries=ATTEMPTS - 1, **resources)(_serve)

    def outcomes(self, runs: Iterable[Run]) -> Iterator[Outcome]:
        waiting = self._grouped(runs)
        while True:
            for group in islice(waiting, max(0, self._room() - len(self._flying))):
                dataset = self._placed_at(group[0].recipe.input_size)
                looks = LOOK_SECONDS, IDLE_LOOKS
                task = self._task.remote(group, self._conditions, code_version(), looks, *dataset)
                self._flying[task] = group
            if not self._flying:
                return
            ready, _ = ray.wait(list(self._flying), num_returns=1, timeout=PATIENCE_SECONDS)
            for task in ready:
                group = self._flying.pop(task)
                try:
                    yield from ray.get(task)
                except ray.exceptions.RayTaskError as error:
                    # What goes wrong inside a run is its record: this is the node's fault, and every run's.
                    raise AblateError(f"--cluster: a node cannot work: {format_error(error.cause)}") from None
                except ray.exceptions.RayError as error:
                    yield from (
                        record_failure(run, f"its worker died twice: {format_error(error)}") for run in group
                    )

    def close(self) -> None:
        for task in self._flying:
            with contextlib.suppress(ray.exceptions.RayError):
                ray.cancel(task, force=True)
        ray.shutdown()

    def _grouped(self, runs: Iterable[Run]) -> Iterator[list[Run]]:
        # One cohort a task, or all runs of an architecture would wait for one GPU.
        most = COHORT_PLACES[-1]
        return (
            group[at : at + most]
            for group in group_runs(runs, self._conditions)
            for at in range(0, len(group), most)
        )

    def _room(self) -> int:
        """How many tasks should be with the cluster, as large as it is now."""
        wanted = "GPU" if self._device.type == "cuda" else "CPU"
        return AHEAD * max(1, int(ray.cluster_resources().get(wanted, 0)))

    def _placed_at(self, input_size: int | None) -> Sequence[Any]:
        """What a task needs of the data set, its arrays in the object store."""
        if input_size not in self._placed:
            dataset = self._conditions.load(input_size)
            arrays = [ray.put(getattr(dataset, name).cpu().numpy()) for name in ARRAYS]
            self._placed[input_size] = (dataset.name, dataset.classes, dataset.checksums, *arrays)
        return self._placed[input_size]


@contextlib.contextmanager
def alone(address: str) -> Iterator[None]:
    """All cores and GPUs that the cluster has on this machine are taken from it, to measure figures there.

    Whose work is on them may end it first, but not for ever: what then disturbs a figure is seen in it. From
    outside a cluster (`ray://`) there is nothing to take.
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
        ray.shutdown()  # and with it the holder


class _Holder:
    """Does nothing on the cores that it has."""

    def holds(self) -> None:
        """Answer, once it has them."""


def _join(address: str) -> None:
    try:
        _knock(address)
        # With 5,000 runs what workers print would drown the progress display.
        ray.init(address=address, namespace="ablate", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise AblateError(
            f"--cluster {address}: no Ray cluster answers there ({format_error(error)}): "
            "start one with `ray start --head`"
        ) from None


def _knock(address: str) -> None:
    """Ray tries for minutes, and then ends the process, where nothing listens.

    Raises:
        OSError: nothing does; also where the address is none.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS).close()
    elif address != "auto":
        raise OSError("write auto, HOST:PORT or ray://HOST:PORT")


@lru_cache(maxsize=1)
def code_version() -> str:
    """What decides about a run's numbers besides its key: ablate's own code, and torch's version."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(p for p in package.rglob("*") if p.suffix in (".py", ".cpp", ".h")):
        digest.update(f"{path.relative_to(package)}".encode() + path.read_bytes())
    return f"ablate {digest.hexdigest()[:12]} with torch {torch.__version__.partition('+')[0]}"


def _serve(
    runs: list[Run],
    conditions: Conditions,
    wanted: str,
    looks: tuple[float, int],
    name: str,
    classes: tuple[str, ...],
    checksums: dict[str, str],
    *arrays: np.ndarray[Any, Any],
) -> list[Outcome]:
    """What a task does, on whatever node."""
    if code_version() != wanted:
        raise AblateError(f"it has {code_version()}, the command {wanted}: install the same everywhere")
    settle_process(threads=1)
    own.allow(conditions.plugins)
    with warnings.catch_warnings():
        # The object store's memory is shared and read-only; nothing writes into a data set.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        tensors = {name: torch.from_numpy(array) for name, array in zip(ARRAYS, arrays, strict=True)}
    dataset = Dataset(name=name, classes=classes, checksums=checksums, **tensors)
    placed = dataset.to(torch.device(conditions.device))
    done = threading.Event()
    threading.Thread(
        target=_end_if_stuck, args=(threading.get_native_id(), done, *looks), daemon=True
    ).start()
    try:
        return list(execute_group(runs, conditions, placed))
    finally:
        done.set()


def _end_if_stuck(thread: int, done: threading.Event, look_seconds: float, idle_looks: int) -> None:
    """End this process if the thread at the runs has done nothing for so many looks, as a local one is ended.

    To Ray that is a worker that died. Of the whole process the time would not do: Ray itself works in it.
    """
    idle, used = 0, -1.0
    while not done.wait(look_seconds):
        now = next(t.user_time + t.system_time for t in psutil.Process().threads() if t.id == thread)
        idle, used = (idle + 1 if now == used else 0), now
        if idle >= idle_looks:
            os._exit(1)
