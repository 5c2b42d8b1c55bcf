"""The table that every importer returns: one row per run, with flat columns."""

import json
import math
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pandas as pd

RUN_COLUMN, STATUS_COLUMN = "source_run", "status"
LONGEST_TEXT = 500
"""The maximum number of characters of a text in the table. Longer texts are cut.

A parameter can be a whole data set (pytest-benchmark's issue 96).
"""
DEEPEST = 10
"""The maximum number of levels of nested mappings. Deeper mappings become JSON text."""


class RunStatus(StrEnum):
    """The status of a run, in the same words for all tools."""

    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"
    PRUNED = "pruned"
    RUNNING = "running"
    WAITING = "waiting"
    NO_RESULT = "no result"


@dataclass(frozen=True, kw_only=True)
class SourceRun:
    """One run as a tool recorded it.

    Attributes: source_run: the tool's own name or number of the run. This name is unique in the source.
    status: whether the run finished, failed, or has not ended. parameters: the run's settings and other
    facts, such as the seed. Values can be nested mappings. metrics: the run's final numbers. Values can be
    nested mappings. Values that are not numbers are left out.
    """

    source_run: str
    status: RunStatus
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)


def make_run_table(runs: Sequence[SourceRun]) -> pd.DataFrame:
    """Make the table of runs: one row per run, in the given order.

    The columns are `source_run`, `status`, then all parameters, then all metrics. Names of nested values are
    joined by dots. If a parameter has the name of one of the first two columns, its column is called
    `parameter.NAME`. If a metric has the name of a parameter, its column is called `metric.NAME`. Only
    finished runs have metrics. For other runs, the metrics are NaN. Columns of metrics are float64.
    """
    parameters = [dict(flatten(run.parameters)) for run in runs]
    metrics = [dict(_choose_numbers(run)) for run in runs]
    columns: dict[str, list[Any]] = {
        RUN_COLUMN: [run.source_run for run in runs],
        STATUS_COLUMN: [str(run.status) for run in runs],
    }
    for name in _list_names(parameters):
        columns[_find_free_name(name, "parameter", columns)] = [row.get(name) for row in parameters]
    for name in _list_names(metrics):
        values = [row.get(name, math.nan) for row in metrics]
        columns[_find_free_name(name, "metric", columns)] = values
    return pd.DataFrame(columns)


def flatten(values: Mapping[Any, Any], prefix: str = "", *, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of each entry. Names of nested mappings are joined by dots.

    A list becomes compact JSON text, because a cell of a table holds one value.
    """
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value and depth < DEEPEST:
            yield from flatten(value, f"{name}.", depth=depth + 1)
        else:
            yield name, _simplify(value)


def add_facts(facts: dict[str, Any], prefix: str, added: Mapping[Any, Any]) -> None:
    """Add entries to a run's facts, flattened. A name that is taken becomes `PREFIX.NAME`."""
    for name, value in flatten(added):
        facts[_find_free_name(name, prefix, facts)] = value


def _simplify(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if not isinstance(value, str):
        value = json.dumps(value, default=str, separators=(",", ":"))
    return value if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]}…"


def _choose_numbers(run: SourceRun) -> Iterator[tuple[str, float]]:
    if run.status != RunStatus.FINISHED:
        return
    for name, value in flatten(run.metrics):
        if isinstance(value, bool | int | float):
            yield name, float(value)


def _list_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """List all names, in the order in which they first occur."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _find_free_name(name: str, prefix: str, taken: Container[str]) -> str:
    while name in taken:
        name = f"{prefix}.{name}"
    return name
