"""Execute runs, each alone or several together in a cohort.

A cohort is a group of runs of one architecture that train together on a GPU. An error inside a run is stored
in the run's record.
"""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from ablate import models
from ablate.data import loading
from ablate.data.datasets import DatasetSpec
from ablate.design.runs import Run, name_setting
from ablate.devices.memory import free_unused
from ablate.engines.choice import choose_trainer, trains_in_cohorts
from ablate.engines.cohort import make_cohort_key, reason_against
from ablate.engines.cohort_runs import train_together
from ablate.engines.training import Trained, train
from ablate.errors import format_error
from ablate.interruption import Interrupted
from ablate.models.own import locate_in_own_code
from ablate.records.predictions import encode_predictions
from ablate.records.run_records import RunRecord, Status
from ablate.torch_settings import keep_torch_settings

MOST_RUNS_AT_ONCE = 512
"""The maximum number of runs that are grouped into cohorts in one go.

This number is enough to fill cohorts of about ten architectures.
"""
COHORT_PLACES = (8, 16, 32)
"""A new cohort has one of these numbers of places. Each place can have one run.

The number of places changes the rounding errors of results. So only these few numbers are used. An empty
place takes as much time as an occupied place.
"""
# If a cohort cannot be trained, torch raises one of these exceptions. The cohort's runs then train alone.
UNTRAINABLE = (RuntimeError, ValueError, IndexError, TypeError, ArithmeticError, MemoryError)


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The data and settings that all runs of a study share. They are small, so each run is sent with them."""

    dataset: DatasetSpec
    data_root: Path | None
    validation: int
    device: str
    plugins: tuple[str, ...] = ()
    """The names of the packages whose code the study is allowed to use."""
    code: tuple[tuple[str, str], ...] = ()
    """The model name of each user's own network, with the checksum of its code when the study started."""

    def load(self, input_size: int | None) -> loading.Dataset:
        """Load the data set onto the device. If `input_size` is None, the images keep their size."""
        return loading.load(self.dataset, self.data_root, torch.device(self.device), input_size)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A run's record, and the contents of the files that the run leaves in the report folder."""

    run: Run
    record: RunRecord
    checkpoint: bytes | None = None
    """The trained parameters in torch.save's format. Only the first confirmation run of an arm has them."""
    epoch_weights: bytes | None = None
    """The parameters before training and after every epoch, as a list in torch.save's format.

    Only a run whose field `keep_epochs` is True has them.
    """
    predictions: bytes | None = None
    """The encoded predictions for the test images. Only complete confirmation runs have them."""
    more_ready: bool = False
    """Whether one more outcome is ready now. Then both outcomes can be stored in one transaction."""


def mark_ready(outcomes: Sequence[Outcome]) -> Iterator[Outcome]:
    """Yield outcomes that are ready at the same time. In all except the last, set `more_ready` to True."""
    return (replace(one, more_ready=one is not outcomes[-1]) for one in outcomes)


def execute(run: Run, conditions: Conditions, placed: loading.Dataset | None = None) -> Outcome:
    """Train one run. An error inside the run is stored in the run's record.

    `placed` is the data set on the device, with images of the size in the recipe. If it is None, the data set
    is loaded.
    """
    code = dict(conditions.code).get(run.arm.model)
    imported = models.identify_code(run.arm.model) if code else None
    if imported and imported.modules_sha256 != code:
        return record_failure(
            run, f"the code of {run.arm.model} changed while the study ran: run the same command again"
        )
    try:
        with keep_torch_settings():  # a user's network must not change the settings of later runs
            dataset = placed or conditions.load(run.recipe.input_size)
            trainer = choose_trainer(run, dataset, dataset.images.device)
            trained = train(run, trainer, dataset, validation=conditions.validation)
            outcome = _make_outcome(run, trained, trainer.model.state_dict())
    except Interrupted:
        raise
    except BaseException as error:  # noqa: BLE001  # a user's own layers can raise anything, or exit
        cause = f"{format_error(error)}{locate_in_own_code(error)}"
        return record_failure(run, cause, status=Status.OOM if _lacks_memory(error) else Status.FAILED)
    return outcome


def execute_group(
    runs: Sequence[Run], conditions: Conditions, placed: loading.Dataset | None = None
) -> Iterator[Outcome]:
    """Train a group of runs that `group_runs` made: a single run alone, or several runs as a cohort."""
    if len(runs) == 1:
        yield execute(runs[0], conditions, placed)
    else:
        yield from _execute_together(runs, conditions, placed)


def group_runs(runs: Iterable[Run], conditions: Conditions) -> Iterator[list[Run]]:
    """Yield groups of runs that train together.

    If the device does not train cohorts, each group has one run. The function then takes a run from `runs`
    only when this run is about to begin. If the device trains cohorts, the function takes up to
    MOST_RUNS_AT_ONCE runs together.
    """
    if not trains_in_cohorts(torch.device(conditions.device)):
        yield from ([run] for run in runs)
        return
    waiting = iter(runs)
    while taken := list(islice(waiting, MOST_RUNS_AT_ONCE)):
        yield from _groups(taken, conditions)


def _groups(runs: Sequence[Run], conditions: Conditions) -> list[list[Run]]:
    """Group the runs that can train in one cohort. A run that cannot do so is alone in its group."""
    covered: dict[str, bool] = {}
    by_kind: dict[str, list[Run]] = {}
    for number, run in enumerate(runs):
        kind = make_cohort_key(run)
        if kind not in covered:
            covered[kind] = reason_against(run, conditions.load(run.recipe.input_size)) is None
        by_kind.setdefault(kind if covered[kind] else str(number), []).append(run)
    return list(by_kind.values())


def _execute_together(
    runs: Sequence[Run], conditions: Conditions, placed: loading.Dataset | None = None
) -> Iterator[Outcome]:
    """Train runs in a cohort.

    The cohort has the smallest number of places in `COHORT_PLACES` that is enough for all runs. If there are
    more runs than the largest number of places, some runs wait until a place is free.

    If the device has too little memory, the unfinished runs are trained again in a cohort with half as many
    places. If the cohort fails for another reason, each of its unfinished runs is trained alone.
    """
    dataset = placed or conditions.load(runs[0].recipe.input_size)
    places = next((size for size in COHORT_PLACES if size >= len(runs)), COHORT_PLACES[-1])
    left = list(runs)
    cause = ""
    while left and places > 1:
        try:
            for finished in train_together(left, dataset, validation=conditions.validation, places=places):
                outcome = _make_outcome(finished.run, finished, finished.state)
                left.remove(finished.run)
                yield outcome
        except UNTRAINABLE as error:
            lacks_memory = _lacks_memory(error)
            cause = f"trained alone, because its cohort of {places} failed: {format_error(error)}"
        else:
            return
        # Inside the except block, the traceback keeps tensors alive. So memory is freed after this block.
        if not lacks_memory:
            break
        free_unused(dataset.images.device)
        places //= 2
    for run in left:
        outcome = execute(run, conditions, placed)
        yield replace(outcome, record=replace(outcome.record, cause=outcome.record.cause or cause))


def _make_outcome(run: Run, trained: Trained, state: Mapping[str, torch.Tensor]) -> Outcome:
    made = trained.predictions
    return Outcome(
        run=run,
        record=trained.record,
        checkpoint=_encode(state) if run.is_first else None,
        epoch_weights=_encode(list(trained.epoch_weights)) if trained.epoch_weights else None,
        predictions=None if made is None else encode_predictions(made, name_setting(run.setting)),
    )


def _encode(parameters: Mapping[str, torch.Tensor] | Sequence[Mapping[str, torch.Tensor]]) -> bytes:
    """Encode the parameters of one network or of several networks with torch.save."""
    buffer = io.BytesIO()
    if isinstance(parameters, Mapping):
        parameters = {name: tensor.cpu() for name, tensor in parameters.items()}
    torch.save(parameters, buffer)
    return buffer.getvalue()


def _lacks_memory(error: BaseException) -> bool:
    """Whether the error says that the GPU or the CPU ran out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # On a CPU, torch raises a RuntimeError when there is no memory.
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in format_error(error)


def record_failure(run: Run, cause: str, status: Status = Status.FAILED) -> Outcome:
    """Make the outcome of a run that failed. `cause` says why the run failed."""
    record = RunRecord(
        phase=run.phase,
        arm=run.arm.name,
        setting=name_setting(run.setting),
        seed=run.seed,
        values={**run.arm.factors, **run.setting},
        status=status,
        engine="",
        cause=cause,
    )
    return Outcome(run=run, record=record)
