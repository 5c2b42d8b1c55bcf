"""The trained networks that a report folder keeps: each arm's first confirmed run, and its weights."""

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
from ablate.design.runs import Arm, Run, belongs_to_recipe, make_slug
from ablate.errors import FolderError
from ablate.records.folder import ReportFolder, read_inputs
from ablate.records.provenance import Provenance
from ablate.records.run_records import Phase
from ablate.study.spec import StudySpec

FIRST_SEED = 0
"""The seed of the confirmed run whose network is kept."""


class TrainedNetworks:
    """The trained networks of a finished or interrupted study, read from its report folder.

    Raises:
        FolderError: the path is no report folder, or a file of it is missing or torn.
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
        """The names of all arms, whether they left a checkpoint or not."""
        return list(self.provenance.networks)

    @property
    def arms_with_checkpoint(self) -> list[str]:
        """The names of the arms that left a checkpoint."""
        return [arm for arm in self.arms if self.folder.locate_checkpoint(make_slug(arm)).exists()]

    def image_shape(self, run: Run) -> tuple[int, int, int]:
        """Channels, height and width of the images that the run's network reads."""
        return self.study.dataset.facts.shape_at(run.recipe.input_size)

    def run_of(self, arm: str, seed: int = FIRST_SEED) -> Run:
        """An arm's confirmed run, rebuilt from the tables; tuned keywords count among the arm's own.

        Raises:
            FolderError: the tables have no such run, or the model's code has changed since.
        """
        return _run_of(self.study, self.provenance, self.tables["runs"], arm, seed)

    def reopen(self, run: Run) -> nn.Module:
        """The run's network with its trained weights, in evaluation mode on the CPU.

        Raises:
            FolderError: the checkpoint is missing, torn or another network's, or training diverged.
        """
        checkpoint = self.folder.locate_checkpoint(run.arm.slug)
        return network_of(run, checkpoint, self.image_shape(run), len(self.classes), torch.device("cpu"))


def need_checkpoints(path: Path) -> None:
    """Check that a report folder holds checkpoints.

    Raises:
        FolderError: it holds none.
    """
    if not any((path / "checkpoints").glob("*.pt")):
        raise FolderError(
            f"{path}: holds no checkpoints (published folders hold none): run its study again to look inside"
        )


def network_of(
    run: Run, checkpoint: Path, image_shape: Sequence[int], classes: int, device: torch.device
) -> nn.Module:
    """The run's network with the weights of its checkpoint, in evaluation mode on the device.

    Raises:
        FolderError: the checkpoint is missing, torn or another network's, or training diverged.
    """
    network = models.build(
        run.arm.model, run.keywords, input_shape=image_shape, classes=classes, init="default", seed=run.seed
    )
    named = f"{run.arm.name}: checkpoints/{checkpoint.name}"
    if not checkpoint.exists():
        raise FolderError(f"{named} is missing: its first confirmed run failed or has not ended")
    try:
        if not zipfile.is_zipfile(checkpoint):  # torch.load raises errors of any type for other files
            raise EOFError("it is torn")  # noqa: TRY301
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(state)
    except (OSError, EOFError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FolderError(f"{named} holds no weights of its network ({told})") from None
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise FolderError(f"{named} holds weights that are no numbers: its training diverged")
    return network.to(device).eval()


def _run_of(study: StudySpec, provenance: Provenance, runs: pd.DataFrame, arm: str, seed: int) -> Run:
    found = runs[(runs["phase"] == Phase.CONFIRM) & (runs["arm"] == arm) & (runs["seed"] == seed)]
    if found.empty:
        raise FolderError(f"tables/runs.csv has no confirmed run of {arm} with seed {seed}: run the study on")
    known = {name: _value(cell) for name, cell in found.iloc[0].items() if not pd.isna(cell)}
    asked = [*study.factor_names, *study.tuning.ranges]
    network = dict(provenance.networks[arm])
    model = str(network.pop("model"))
    code = provenance.code.get(model)
    if code and code != models.fingerprint(model):
        raise FolderError(
            f"{arm}: the code of {model} is no longer what its weights were trained with: "
            "restore it, or run the study again"
        )
    tuned = {name: known[name] for name in study.tuning.ranges if name in network and name in known}
    # A cell that is empty is a null where the recipe can have one.
    recipe = {name: known.get(name) for name in asked if belongs_to_recipe(name)}
    own = {name: value for name, value in recipe.items() if value is not None or name in study.factor_names}
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
    )


def _value(cell: Any) -> Any:
    """A table cell of a factor or nuisance as a value of the study file: JSON, or a bare word."""
    try:
        return json.loads(cell) if isinstance(cell, str) else cell
    except ValueError:
        return cell
