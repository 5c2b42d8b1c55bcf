"""Train the first confirmed run of each arm again, for a report folder without checkpoints.

Published folders have tables but no trained networks. The checkpoints written here are small enough for Git.
"""

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from ablate.data import sources
from ablate.errors import DataError, FolderError
from ablate.execution.executor import Conditions, Outcome
from ablate.execution.workers import ThisProcess
from ablate.inspection.confusion import score_network
from ablate.inspection.networks import TrainedNetworks, reopen_network
from ablate.records.files import write_whole
from ablate.records.folder import ReportFolder
from ablate.records.run_records import Phase, Status

ABOUT = "README.md"
"""The file in the folder `checkpoints` that says how the weights were made."""
LARGEST_DIFFERENCE = 0.05
"""If the second training gives a test accuracy that differs by more than this, it trained something else."""
INTRODUCTION = """\
# Trained networks

`ablate retrain` made these files. It trained the first confirmed run of each arm again. To make the
files small, the weights are rounded to float16. The two accuracies can differ a little, because other
processors and other versions of torch round differently. No number in the report comes from these files.

| arm | test accuracy in `tables/runs.csv` | trained again | predictions that rounding the weights changed |
|---|---:|---:|---:|"""


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """A network that was trained again, and how well it agrees with the recorded run of the report folder."""

    arm: str
    slug: str
    checkpoint: bytes
    recorded_accuracy: float
    """The test accuracy in `tables/runs.csv`."""
    accuracy: float
    """The test accuracy of the network that was trained again, before its weights were rounded."""
    changed: int
    """The number of test images for which rounding the weights changed the predicted class."""
    test_images: int


def retrain(path: Path, data_dir: Path | None) -> Iterator[Retrained]:
    """Train the first confirmed run of each arm again. Write all checkpoints after the last run has ended.

    An arm is left out if it has a checkpoint, or if its first confirmed run is not complete. The tables and
    pages of the folder do not change.

    Raises:
        FolderError: the folder is damaged, or a run did not end in the same way as the recorded run.
        DataError: the data set is not on this machine.
    """
    networks = TrainedNetworks(path)
    study = networks.study
    root = sources.find_root(study.dataset, data_dir, download=True)
    if root is None and sources.needs_root(study.dataset):
        raise DataError(f"{study.dataset}: no folder contains it: pass one with --data-dir or ABLATE_DATA")
    conditions = Conditions(dataset=study.dataset, data_root=root, validation=study.validation, device="cpu")
    recorded = _read_accuracies(networks)
    present = networks.arms_with_checkpoint
    runs = [networks.rebuild_run(arm) for arm in networks.arms if arm in recorded and arm not in present]
    made = []
    for outcome in ThisProcess(conditions, 1).outcomes(runs):
        made.append(_compare(outcome, recorded[outcome.run.arm.name], conditions))
        yield made[-1]
    for one in made:
        networks.folder.write_checkpoint(one.slug, one.checkpoint)
    if made:
        write_whole(path / "checkpoints" / ABOUT, describe(made).encode())


def describe(made: Sequence[Retrained]) -> str:
    """Describe the checkpoints in Markdown: how they were made, and a table of the arms."""
    rows = [
        f"| {one.arm.replace('|', '/')} | {one.recorded_accuracy:.2%} | {one.accuracy:.2%} "
        f"| {one.changed:,} of {one.test_images:,} |"
        for one in made
    ]
    return "\n".join([INTRODUCTION, *rows, ""])


def _read_accuracies(networks: TrainedNetworks) -> dict[str, float]:
    """Read the test accuracy of each arm's first confirmed run. Leave out runs that are not complete."""
    runs = networks.tables["runs"]
    is_first = (runs["phase"] == Phase.CONFIRM) & (runs["seed"] == networks.study.first_seed)
    first = runs[is_first & (runs["status"] == Status.COMPLETE)]
    return dict(zip(first["arm"], first["test_accuracy"].astype(float), strict=True))


def _compare(outcome: Outcome, recorded_accuracy: float, conditions: Conditions) -> Retrained:
    run, record = outcome.run, outcome.record
    if record.status != Status.COMPLETE:
        raise FolderError(
            f"{run.arm.name}: the run on record is complete, but training again ended as {record.status}"
            + (f" ({record.cause})" if record.cause else "")
        )
    assert outcome.checkpoint is not None, "the first confirmed run of an arm has a checkpoint"
    assert record.test_accuracy is not None, "a complete confirmed run has a test accuracy"
    if abs(record.test_accuracy - recorded_accuracy) > LARGEST_DIFFERENCE:
        raise FolderError(
            f"{run.arm.name}: training again gave a test accuracy of {record.test_accuracy:.2%}, and "
            f"{recorded_accuracy:.2%} is on record: the code or the data has changed since"
        )
    dataset = conditions.load(run.recipe.input_size)
    small = shrink_checkpoint(outcome.checkpoint)
    with TemporaryDirectory() as temporary:
        folder = ReportFolder(Path(temporary))
        guesses = []
        for content in (outcome.checkpoint, small):
            folder.write_checkpoint(run.arm.slug, content)
            guesses.append(score_network(reopen_network(run, folder, dataset), dataset).guesses)
    return Retrained(
        arm=run.arm.name,
        slug=run.arm.slug,
        checkpoint=small,
        recorded_accuracy=recorded_accuracy,
        accuracy=record.test_accuracy,
        changed=int((guesses[0] != guesses[1]).sum()),
        test_images=len(guesses[0]),
    )


def shrink_checkpoint(content: bytes) -> bytes:
    """Round a checkpoint's weights to float16, and compress the file. `torch.load` reads the result.

    Biases and the statistics of batch norm stay in float32, because they take little memory.
    """
    state = torch.load(io.BytesIO(content), weights_only=True)
    rounded = io.BytesIO()
    torch.save({name: _round_weights(tensor) for name, tensor in state.items()}, rounded)
    small = io.BytesIO()
    with zipfile.ZipFile(rounded) as source, zipfile.ZipFile(small, "w") as target:
        for name in source.namelist():
            # A ZipInfo made from a name has a fixed date. So equal weights give equal bytes.
            target.writestr(zipfile.ZipInfo(name), source.read(name), zipfile.ZIP_DEFLATED, compresslevel=9)
    return small.getvalue()


def _round_weights(tensor: Tensor) -> Tensor:
    kept = tensor.clone()  # tensors can share one storage, and torch.save writes the whole storage
    if not tensor.is_floating_point() or tensor.ndim < 2:
        return kept
    rounded = tensor.half()
    return rounded if rounded.isfinite().all() else kept  # the largest number in float16 is 65,504
