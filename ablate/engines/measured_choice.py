"""Measure whether the lanes engine or another engine trains a large network faster on this machine.

Each measurement is made only once, and its result is stored.
"""

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock

from ablate import models
from ablate.cache import locate_cache
from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.engines.lanes_library import load_library
from ablate.engines.training import Trainer
from ablate.records.files import write_whole
from ablate.seeds import seeded_streams
from ablate.torch_settings import keep_torch_settings

SMALLEST_MEASURED = 300_000
"""A network is measured only if it has at least this many parameters.

In the studies of this project, all smaller networks train faster with the lanes engine.
"""
LEAST_GAIN = 1.2
"""Another engine is chosen only if it trains more than this many times as fast as lanes.

The limit is above 1 for two reasons. First, the measured factor varied by a tenth on a busy machine. Second,
only training is measured, and the lanes engine can still be faster in evaluation.
"""
WARM_STEPS, TIMED_STEPS = 2, 6


def is_lanes_slower(
    run: Run, dataset: Dataset, make_lanes: Callable[[], Trainer], make_other: Callable[[], Trainer]
) -> bool:
    """Whether another engine trains the run's network clearly faster than the lanes engine.

    Clearly faster means by a factor of more than `LEAST_GAIN`.

    The lanes engine reads all weights again for each small group of examples. If the weights do not fit into
    the core's cache, matrix products of the whole batch are faster.

    The measured factor is stored in the user's cache folder. So all processes choose the same engine, even if
    a study continues later. If the factor cannot be measured or stored, the result is False.

    Args:
        run: a run that lanes can train.
        dataset: the run's images, on the CPU.
        make_lanes, make_other: functions that make the two engines for this run. They are called only if the
            cache folder has no factor for the run's network.
    """
    kept = locate_cache() / "engines" / f"{_make_key(run, dataset)}.txt"
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(kept.with_suffix(".lock")):  # one process measures while others wait
            if not kept.exists():
                gain = _measure_gain(run, dataset, make_lanes, make_other)
                write_whole(kept, f"{gain:.3f}\n".encode())
            return float(kept.read_text(encoding="utf-8")) > LEAST_GAIN
    except (OSError, NotImplementedError, ValueError):
        # Without a stored factor, each process would measure, and processes could choose different engines.
        return False


def _make_key(run: Run, dataset: Dataset) -> str:
    """Make a file name from the network, the batches, the optimiser and the versions of the engines."""
    library = load_library()
    identity = [
        library if isinstance(library, str) else Path(library._name).stem,
        torch.__version__,
        torch.backends.cpu.get_cpu_capability(),
        run.arm.model,
        models.fingerprint(run.arm.model),
        # The speed depends only on whether there is dropout. Tuning can change the probability of dropout.
        {name: bool(value) if name == "dropout" else value for name, value in run.keywords.items()},
        run.recipe.batch_size,
        run.recipe.optimizer,
        list(dataset.images.shape[1:]),
        len(dataset.classes),
    ]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]


def _measure_gain(
    run: Run, dataset: Dataset, make_lanes: Callable[[], Trainer], make_other: Callable[[], Trainer]
) -> float:
    """Measure the other engine's training speed, divided by that of lanes. The engines step alternately."""
    size = min(run.recipe.batch_size, len(dataset.labels))
    batches = torch.randperm(len(dataset.labels), generator=torch.Generator().manual_seed(0)).split(size)
    seconds: dict[str, list[float]] = {}
    with keep_torch_settings(), seeded_streams(run.seed, "measured choice"):
        torch.set_num_threads(1)
        trainers = {"lanes": make_lanes(), "other": make_other()}
        for number in range(WARM_STEPS + TIMED_STEPS):
            for name, trainer in trainers.items():
                # Measure processor time, because it does not grow while other processes use the core.
                started = time.thread_time()
                trainer.step(batches[number % max(1, len(batches) - 1)])
                seconds.setdefault(name, []).append(time.thread_time() - started)
    return min(seconds["lanes"][WARM_STEPS:]) / min(seconds["other"][WARM_STEPS:])
