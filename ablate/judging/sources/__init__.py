"""Read the runs that other tools recorded, as one table with one row per run.

Each module of this folder reads one kind of source. The module is chosen by the content of the path, not by
the path's name. See README.md in this folder.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pandas as pd

from ablate.errors import AblateError, did_you_mean
from ablate.judging.sources.databases import hide_password


@dataclass(frozen=True, kw_only=True)
class SourceKind:
    """One kind of source, and the module that reads it.

    Attributes: name: the kind's short name. looks_like: a description of such a source for messages. module:
    the module with the functions `recognise` and `read_runs`. The module is imported at first use.
    experiments: the tool's word for its experiments, if a source of this kind can have several. Then the
    module's `read_runs` has the keyword `experiment`. Otherwise the text is empty.
    """

    name: str
    looks_like: str
    module: str
    experiments: str = ""

    def recognise(self, source: str) -> bool:
        """Return whether the source is of this kind."""
        recognise: Callable[[str], bool] = self._import("recognise")
        return recognise(source)

    def read_runs(self, source: str, *, experiment: str | None = None) -> pd.DataFrame:
        """Return one row per run of the source.

        Raises:
            AblateError: the source cannot be read, or `experiment` is given for a source without experiments.
        """
        read: Callable[..., pd.DataFrame] = self._import("read_runs")
        if self.experiments:
            return read(source, experiment=experiment)
        if experiment is not None:
            raise AblateError(f"{source}: has no experiments: leave out '{experiment}'")
        return read(source)

    def _import(self, function: str) -> Callable[..., Any]:
        return getattr(import_module(f"{__name__}.{self.module}"), function)


KINDS = (
    SourceKind(
        name="optuna",
        looks_like="an Optuna storage (SQLite file, journal file or postgresql:// URL)",
        module="optuna_storage",
        experiments="Optuna studies",
    ),
    SourceKind(
        name="mlflow",
        looks_like="an MLflow folder mlruns, MLflow's database, or a tracking server's http:// URL",
        module="mlflow_tracking",
        experiments="MLflow experiments",
    ),
    SourceKind(
        name="pytest-benchmark",
        looks_like="a JSON file of pytest-benchmark, or a folder of such files",
        module="benchmark_json",
    ),
    SourceKind(
        name="ray",
        looks_like="a folder of Ray Tune's trials (params.json, result.json)",
        module="ray_folders",
        experiments="folders of experiments",
    ),
    SourceKind(
        name="hydra",
        looks_like="a folder of Hydra's jobs (.hydra/config.yaml)",
        module="hydra_folders",
    ),
    SourceKind(
        name="wandb",
        looks_like="a folder wandb of W&B's runs",
        module="wandb_folders",
        experiments="W&B projects",
    ),
    SourceKind(
        name="wandb-csv",
        looks_like="the CSV file that W&B's web page exports",
        module="wandb_csv",
    ),
    SourceKind(
        name="tensorboard",
        looks_like="a folder of TensorBoard's event files",
        module="tensorboard_events",
    ),
)
"""All kinds of sources, in the order in which `find_kind` tries them."""


def find_kind(source: str) -> SourceKind | None:
    """Return the kind of the source, or None if no importer recognises it."""
    return next((kind for kind in KINDS if kind.recognise(source)), None)


def read_runs(source: str, *, experiment: str | None = None, kind: str | None = None) -> pd.DataFrame:
    """Return one row per run of the source.

    The columns are `source_run` (the tool's own name of the run), `status` (see `RunStatus`), the run's
    parameters, then its final metrics. Only rows with the status `finished` have metrics.

    Args:
        source: a path or a URL.
        experiment: the experiment to read, if the source has several: an Optuna study, an MLflow or Ray Tune
            experiment, or a W&B project.
        kind: the name of the kind (see `KINDS`). If it is None, the kind is recognised by the content.

    Raises:
        AblateError: the source does not exist, is of no known kind, or cannot be read.
    """
    names = [one.name for one in KINDS]
    if kind is not None:
        if kind not in names:
            raise AblateError(f"{source}: no importer is called '{kind}': {did_you_mean(kind, names)}")
        return KINDS[names.index(kind)].read_runs(source, experiment=experiment)
    found = find_kind(source)
    if found is None:
        known = "; ".join(one.looks_like for one in KINDS)
        raise AblateError(f"{hide_password(source)}: holds no runs that can be read: ablate reads {known}")
    return found.read_runs(source, experiment=experiment)
