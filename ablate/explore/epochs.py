"""The networks of an arm before training and after every epoch, if the study has `keep: epochs`."""

import copy
from collections.abc import Mapping, Sequence
from functools import lru_cache

import pandas as pd
import torch
from torch import Tensor

from ablate.design.runs import Run
from ablate.errors import FolderError
from ablate.explore.reading import Reader
from ablate.inspection.networks import TORN_WEIGHTS, TrainedNetworks, read_weights
from ablate.records.run_records import Phase

OPENED = 64
"""The maximum number of an arm's networks that are in memory at the same time."""


class EpochNetworks:
    """An arm's networks, counted by the number of epochs that they have trained."""

    def __init__(
        self, trained: Reader, weights: Sequence[Mapping[str, Tensor]], validation: Sequence[float | None]
    ) -> None:
        """Check that the parameters fit the network.

        Args:
            trained: the network after its last epoch.
            weights: the parameters before training and after every epoch.
            validation: the validation accuracies that were measured at the same times. None if unknown.

        Raises:
            FolderError: the parameters are those of another network.
        """
        self.last = len(weights) - 1
        """The number of epochs of the whole training."""
        self.validation = tuple(validation)
        self._trained = trained
        self._weights = weights
        own = trained.network.state_dict()
        if self.last < 0 or not all(
            state.keys() == own.keys() and torch.equal(weights[-1][name], own[name])
            for state in weights
            for name in own
        ):
            raise FolderError("its weights of every epoch do not end with the weights of its checkpoint")
        self.read = lru_cache(maxsize=OPENED)(self._read)

    def _read(self, epoch: int) -> Reader:
        """Return the network after this number of epochs, at most `last`."""
        if epoch >= self.last:
            return self._trained
        network = copy.deepcopy(self._trained.network)
        network.load_state_dict(self._weights[epoch])
        return Reader(network, self._trained.image_shape)


def open_epochs(trained: TrainedNetworks, run: Run, reader: Reader) -> EpochNetworks | None:
    """Open the parameters that a run's arm had after every epoch. None if the folder does not have them.

    `reader` has the arm's network after its last epoch.

    Raises:
        FolderError: the file is damaged, or belongs to another network.
    """
    path = trained.folder.locate_epoch_weights(run.arm.slug)
    if not path.exists():
        return None
    where = f"{run.arm.name}: checkpoints/epochs/{path.name}"
    try:
        weights = read_weights(path, torch.device("cpu"))
    except TORN_WEIGHTS as error:
        raise FolderError(f"{where} is damaged ({str(error).splitlines()[0]})") from None
    validation = _list_validation(trained.tables["epochs"], run, len(weights))
    try:
        return EpochNetworks(reader, weights, validation)
    except FolderError as error:
        raise FolderError(f"{where}: {error}") from None


def _list_validation(epochs: pd.DataFrame, run: Run, count: int) -> list[float | None]:
    """List the run's validation accuracies after 0 to `count` - 1 epochs, from the table of epochs."""
    rows = epochs[
        (epochs["phase"] == Phase.CONFIRM) & (epochs["arm"] == run.arm.name) & (epochs["seed"] == run.seed)
    ]
    known = rows.dropna(subset=["validation_accuracy"]).set_index("epoch")["validation_accuracy"]
    return [float(known[epoch]) if epoch in known.index else None for epoch in range(count)]
