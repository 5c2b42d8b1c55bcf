"""A run as MLflow recorded it, from any of MLflow's stores."""

import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from ablate.judging.sources.run_table import RunStatus, SourceRun, add_facts, make_run_table

_FINISHED = "FINISHED"
_STATUS = {
    "RUNNING": RunStatus.RUNNING,
    "SCHEDULED": RunStatus.WAITING,
    _FINISHED: RunStatus.FINISHED,
    "FAILED": RunStatus.FAILED,
    "KILLED": RunStatus.KILLED,
}
_OWN_TAGS = "mlflow."
_KEPT = {"mlflow.runName": "run_name", "mlflow.parentRunId": "parent_run"}
"""The tags of MLflow itself that the table keeps, and the names of their columns."""
_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|nan|inf|-inf")


@dataclass(kw_only=True)
class MlflowRun:
    """A run with MLflow's own word for its status. Parameters and tags are texts."""

    run_id: str
    status: str
    parameters: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def make_mlflow_table(runs: Sequence[MlflowRun]) -> pd.DataFrame:
    """Make the table of runs. The runs are sorted by ID, and the columns by name.

    Without sorting, each of MLflow's stores would give another order.

    MLflow stores every parameter as a text. A parameter becomes a number if its texts are numbers in all
    runs. So `1e5` stays a text if the parameter is `auto` in another run.
    """
    parameters = _list_names(run.parameters for run in runs)
    tags = _list_names(run.tags for run in runs)
    metrics = _list_names(run.metrics for run in runs if run.status == _FINISHED)
    numeric = _find_numeric([run.parameters for run in runs])
    made = []
    for run in sorted(runs, key=lambda run: run.run_id):
        facts: dict[str, Any] = {}
        values = {name: run.parameters.get(name) for name in parameters}
        add_facts(facts, "param", {k: _to_number(v) if v and k in numeric else v for k, v in values.items()})
        add_facts(facts, "tag", {tag: run.tags.get(tag) for tag in tags if not tag.startswith(_OWN_TAGS)})
        add_facts(facts, "mlflow", {_KEPT[tag]: run.tags.get(tag) for tag in tags if tag in _KEPT})
        made.append(
            SourceRun(
                source_run=run.run_id,
                status=_STATUS.get(run.status, RunStatus.NO_RESULT),
                parameters=facts,
                metrics={name: _restore_infinity(run.metrics.get(name, math.nan)) for name in metrics},
            )
        )
    return make_run_table(made)


def _list_names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({name for row in rows for name in row})


def _find_numeric(rows: Sequence[dict[str, str]]) -> set[str]:
    texts = {name for row in rows for name, text in row.items() if not _NUMBER.fullmatch(text)}
    return {*_list_names(rows)} - texts


def _to_number(text: str) -> float | int:
    return int(text) if _INTEGER.fullmatch(text) else float(text)


def _restore_infinity(value: float) -> float:
    """Convert the largest floating-point number to infinity, because MLflow's databases store infinity so."""
    if abs(value) == sys.float_info.max:
        return float("inf") if value > 0 else float("-inf")
    return value
