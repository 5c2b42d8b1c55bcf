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
from ablate.design.runs import Arm, Run, in_recipe
from ablate.errors import FolderError
from ablate.records.provenance import Provenance
from ablate.records.run_records import Phase
from ablate.study.spec import StudySpec

FIRST_SEED = 0
"""Of an arm's confirmed runs the one whose network is kept."""


def confirmed(
    study: StudySpec, provenance: Provenance, runs: pd.DataFrame, arm: str, seed: int = FIRST_SEED
) -> Run:
    """An arm's confirmed run as the folder's tables tell it, what was tuned among its own keywords.

    Raises:
        FolderError: there is no such run.
    """
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
    recipe = {name: known.get(name) for name in asked if in_recipe(name)}
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


def need_checkpoints(path: Path) -> None:
    """See that a report folder can be looked into.

    Raises:
        FolderError: it holds no checkpoints.
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
        if not zipfile.is_zipfile(checkpoint):  # of anything else torch.load raises whatever comes up
            raise EOFError("it is torn")  # noqa: TRY301
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        network.load_state_dict(state)
    except (OSError, EOFError, RuntimeError, TypeError, pickle.UnpicklingError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FolderError(f"{named} holds no weights of its network ({told})") from None
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise FolderError(f"{named} holds weights that are no numbers: its training diverged")
    return network.to(device).eval()


def _value(cell: Any) -> Any:
    """A cell of a factor or nuisance as the study file has it: JSON, words bare."""
    try:
        return json.loads(cell) if isinstance(cell, str) else cell
    except ValueError:
        return cell
