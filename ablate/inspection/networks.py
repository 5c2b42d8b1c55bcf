"""Load trained networks from the checkpoints of a report folder.

An arm's checkpoint has the trained weights of the arm's first confirmed run.
"""

import json
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from ablate import models
from ablate.data.loading import Dataset
from ablate.design.runs import Arm, Run, make_slug
from ablate.errors import FolderError
from ablate.records.folder import ReportFolder, read_inputs
from ablate.records.provenance import Provenance
from ablate.records.run_records import Phase
from ablate.study.owners import belongs_to_recipe, drop_owner
from ablate.study.spec import StudySpec

TORN_WEIGHTS = (OSError, EOFError, RuntimeError, pickle.UnpicklingError)
"""What `read_weights` raises for a damaged file."""


class TrainedNetworks:
    """The trained networks of a finished or interrupted study, read from its report folder.

    Raises:
        FolderError: the path is not a report folder, or one of its files is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.folder = ReportFolder(path)
        self.study, self.provenance, self.tables = read_inputs(path)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.provenance.data.classes

    @property
    def arms(self) -> list[str]:
        """The names of all arms (variants of the network or its training)."""
        return list(self.provenance.networks)

    @property
    def arms_with_checkpoint(self) -> list[str]:
        """The names of the arms that have a checkpoint."""
        return [arm for arm in self.arms if self.folder.locate_checkpoint(make_slug(arm)).exists()]

    def image_shape(self, run: Run) -> tuple[int, int, int]:
        """Return the channels, height and width of the images that the run's network takes."""
        return self.study.dataset.facts.compute_shape(run.recipe.input_size)

    def rebuild_run(self, arm: str, seed: int | None = None) -> Run:
        """Rebuild an arm's confirmed run from the tables. If `seed` is None, it is the arm's first run.

        The rebuilt run has an empty `setting`. Its arm's keywords and recipe contain the tuned values.

        Raises:
            FolderError: the tables have no such run, or the model's code has changed since training.
        """
        seed = self.study.first_seed if seed is None else seed
        return _rebuild_run(self.study, self.provenance, self.tables["runs"], arm, seed)

    def reopen(self, run: Run) -> nn.Module:
        """Load the run's network with its trained weights, in evaluation mode on the CPU.

        Raises:
            FolderError: the checkpoint is missing, damaged or from another network, or training diverged.
        """
        checkpoint = self.folder.locate_checkpoint(run.arm.slug)
        return load_network(run, checkpoint, self.image_shape(run), len(self.classes), torch.device("cpu"))


def require_checkpoints(path: Path) -> None:
    """Check that a report folder has checkpoints.

    Raises:
        FolderError: the folder has no checkpoints.
    """
    if not any((path / "checkpoints").glob("*.pt")):
        raise FolderError(
            f"{path}: holds no checkpoints: `ablate retrain {path}` trains one network of each arm again"
        )


def reopen_network(run: Run, folder: ReportFolder, dataset: Dataset) -> nn.Module:
    """Load the run's network with its trained weights, in evaluation mode on the device of the data.

    Raises:
        FolderError: the checkpoint is missing, damaged or from another network, or training diverged.
    """
    images = dataset.test_images
    checkpoint = folder.locate_checkpoint(run.arm.slug)
    return load_network(run, checkpoint, tuple(images.shape[1:]), len(dataset.classes), images.device)


def load_network(
    run: Run, checkpoint: Path, image_shape: Sequence[int], classes: int, device: torch.device
) -> nn.Module:
    """Build the run's network on the device, load its weights from a checkpoint, and set evaluation mode.

    Raises:
        FolderError: the checkpoint is missing, damaged or from another network, or training diverged.
    """
    network = models.build(
        run.arm.model, run.keywords, input_shape=image_shape, classes=classes, init="default", seed=run.seed
    )
    where = f"{run.arm.name}: checkpoints/{checkpoint.name}"
    if not checkpoint.exists():
        raise FolderError(f"{where} is missing: the arm's first confirmed run failed or has not ended")
    try:
        state = read_weights(checkpoint, device)
        network.load_state_dict(state)
    except (*TORN_WEIGHTS, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FolderError(f"{where} does not hold the weights of its network ({reason})") from None
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise FolderError(f"{where} holds weights that are not finite: its training diverged")
    network.to(device).eval()
    return network


def read_weights(path: Path, device: torch.device) -> Any:
    """Read what `torch.save` wrote: tensors, in mappings or lists.

    Raises:
        OSError, EOFError, RuntimeError or UnpicklingError (`TORN_WEIGHTS`): the file is damaged.
    """
    if not zipfile.is_zipfile(path):  # for such files, torch.load can raise any error
        raise EOFError("the file is incomplete")
    return torch.load(path, map_location=device, weights_only=True)


def _rebuild_run(study: StudySpec, provenance: Provenance, runs: pd.DataFrame, arm: str, seed: int) -> Run:
    rows = runs[(runs["phase"] == Phase.CONFIRM) & (runs["arm"] == arm) & (runs["seed"] == seed)]
    if rows.empty:
        raise FolderError(
            f"tables/runs.csv has no confirmed run of {arm} with seed {seed}: run the study again"
        )
    values = {name: _parse_cell(cell) for name, cell in rows.iloc[0].items() if not pd.isna(cell)}
    names = [*study.factor_names, *study.tuning.ranges]
    network = dict(provenance.networks[arm])
    model = str(network.pop("model"))
    code = provenance.code.get(model)
    if code and code != models.fingerprint(model):
        raise FolderError(
            f"{arm}: the code of {model} has changed since its weights were trained: "
            "restore it, or run the study again"
        )
    tuned = {
        drop_owner(name): values[name]
        for name in study.tuning.ranges
        if not belongs_to_recipe(name) and drop_owner(name) in network and name in values
    }
    # In the column of a factor, an empty cell means that the factor's value is null.
    own = {
        drop_owner(name): values.get(name)
        for name in names
        if belongs_to_recipe(name) and (name in values or name in study.factor_names)
    }
    return Run(
        phase=Phase.CONFIRM,
        arm=Arm(
            name=arm,
            model=model,
            keywords={**network, **tuned},
            recipe=study.recipe.model_copy(update=own),
            factors={},
        ),
        setting={},
        seed=seed,
        first_seed=study.first_seed,
    )


def _parse_cell(cell: Any) -> Any:
    """Parse a table cell with the value of a keyword. The cell has JSON or a word without quotes."""
    try:
        return json.loads(cell) if isinstance(cell, str) else cell
    except ValueError:
        return cell
