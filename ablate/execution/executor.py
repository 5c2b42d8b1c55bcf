"""How a run is executed, wherever that is: alone or in a cohort; what goes wrong becomes its record."""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from ablate.data import loading
from ablate.data.datasets import DatasetSpec
from ablate.design.runs import Run, setting_name
from ablate.engines.choice import trainer_for, trains_in_cohorts
from ablate.engines.cohort import cohort_key, reason_against, train_together
from ablate.engines.training import train
from ablate.errors import format_error
from ablate.interruption import Interrupted
from ablate.records.run_records import Phase, RunRecord, Status

AT_ONCE = 512
"""So many runs a GPU takes at a time: whole cohorts of some ten architectures."""
COHORT_PLACES = (8, 16, 32)
"""Empty places cost what others do, and every size rounds in its own way: so few sizes, and no others."""
# What torch raises where a cohort cannot be trained; its runs are then trained alone.
UNTRAINABLE = (RuntimeError, ValueError, IndexError, TypeError, ArithmeticError, MemoryError)


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What all runs of a study share; small enough to send with each."""

    dataset: DatasetSpec
    data_root: Path | None
    validation: int
    device: str
    plugins: tuple[str, ...] = ()
    """Packages whose code a study may name."""

    def load(self, input_size: int | None) -> loading.Dataset:
        """The data set on the device, at the size that a recipe asks for."""
        return loading.load(self.dataset, self.data_root, torch.device(self.device), input_size)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A run's record and, for an arm's first confirmed seed, its parameters as torch.save wrote them."""

    run: Run
    record: RunRecord
    checkpoint: bytes | None = None


def execute(run: Run, conditions: Conditions, placed: loading.Dataset | None = None) -> Outcome:
    """Train one run; what goes wrong inside it becomes its record.

    `placed` is the data set, if it is here already, on the device and at the size that the recipe asks for.
    """
    try:
        dataset = placed or conditions.load(run.recipe.input_size)
        trainer = trainer_for(run, dataset, dataset.images.device)
        record = train(run, trainer, dataset, validation=conditions.validation)
        checkpoint = _checkpoint(run, trainer.model.state_dict())
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001  # nobody knows what a person's own layers may raise
        return record_failure(
            run, format_error(error), status=Status.OOM if _lacks_memory(error) else Status.FAILED
        )
    return Outcome(run=run, record=record, checkpoint=checkpoint)


def execute_group(
    runs: Sequence[Run], conditions: Conditions, placed: loading.Dataset | None = None
) -> Iterator[Outcome]:
    """Train what `group_runs` put together: a run alone, or several in a cohort."""
    if len(runs) == 1:
        yield execute(runs[0], conditions, placed)
    else:
        yield from _execute_together(runs, conditions, placed)


def group_runs(runs: Iterable[Run], conditions: Conditions) -> Iterator[list[Run]]:
    """Runs that train together, each run taken only when it is about to begin, on a GPU AT_ONCE at a time."""
    if not trains_in_cohorts(torch.device(conditions.device)):
        yield from ([run] for run in runs)
        return
    waiting = iter(runs)
    while taken := list(islice(waiting, AT_ONCE)):
        yield from _groups(taken, conditions)


def _groups(runs: Sequence[Run], conditions: Conditions) -> list[list[Run]]:
    """Runs that train together, in their order; what no cohort covers is a group of its own."""
    covered: dict[str, bool] = {}
    by_kind: dict[str, list[Run]] = {}
    for number, run in enumerate(runs):
        kind = cohort_key(run)
        if kind not in covered:
            covered[kind] = reason_against(run, conditions.load(run.recipe.input_size)) is None
        by_kind.setdefault(kind if covered[kind] else str(number), []).append(run)
    return list(by_kind.values())


def _execute_together(
    runs: Sequence[Run], conditions: Conditions, placed: loading.Dataset | None = None
) -> Iterator[Outcome]:
    """Train runs in the smallest cohort that holds them all, or the largest; alone what that leaves over."""
    dataset = placed or conditions.load(runs[0].recipe.input_size)
    places = next((size for size in COHORT_PLACES if size >= len(runs)), COHORT_PLACES[-1])
    left = list(runs)
    cause = ""
    try:
        for finished in train_together(runs, dataset, validation=conditions.validation, places=places):
            checkpoint = _checkpoint(finished.run, finished.state)
            left.remove(finished.run)
            yield Outcome(run=finished.run, record=finished.record, checkpoint=checkpoint)
    except UNTRAINABLE as error:
        cause = f"trained alone, for its cohort of {places} ended with {format_error(error)}"
    # Only here: the exception's traceback would have kept the cohort's memory.
    for run in left:
        outcome = execute(run, conditions, placed)
        yield replace(outcome, record=replace(outcome.record, cause=outcome.record.cause or cause))


def _checkpoint(run: Run, state: Mapping[str, torch.Tensor]) -> bytes | None:
    """The parameters as torch.save writes them, of an arm's first confirmed seed; None for other runs."""
    if run.phase != Phase.CONFIRM or run.seed != 0:
        return None
    buffer = io.BytesIO()
    torch.save({name: tensor.cpu() for name, tensor in state.items()}, buffer)
    return buffer.getvalue()


def _lacks_memory(error: Exception) -> bool:
    """Whether the device or, by whatever name torch's allocator gives it, the CPU ran out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def record_failure(run: Run, cause: str, status: Status = Status.FAILED) -> Outcome:
    """What is recorded of a run that came to nothing."""
    record = RunRecord(
        phase=run.phase,
        arm=run.arm.name,
        setting=setting_name(run.setting),
        seed=run.seed,
        values={**run.arm.factors, **run.setting},
        status=status,
        engine="",
        cause=cause,
    )
    return Outcome(run=run, record=record)
