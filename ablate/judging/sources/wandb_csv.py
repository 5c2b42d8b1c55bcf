"""Runs from the CSV file that the web page of Weights & Biases (W&B) exports."""

import csv
import re
from pathlib import Path

import pandas as pd

from ablate.errors import AblateError, format_error
from ablate.judging.sources.files import read_start
from ablate.judging.sources.run_table import RUN_COLUMN, STATUS_COLUMN, RunStatus

_PAGE_COLUMNS = {"ID", "Agent", "Notes", "User", "Tags", "Created", "Runtime", "Sweep"}
"""The columns that the web page adds to a run's configuration and summary."""
_FEWEST_PAGE_COLUMNS = 2
_STATUS = {
    "finished": RunStatus.FINISHED,
    "failed": RunStatus.FAILED,
    "crashed": RunStatus.FAILED,
    "killed": RunStatus.KILLED,
    "running": RunStatus.RUNNING,
    "preempting": RunStatus.RUNNING,
    "preempted": RunStatus.KILLED,
    "pending": RunStatus.WAITING,
}
_CHART_COLUMN = re.compile(r".+ - .+__(MIN|MAX)")
"""A chart's export has three such columns for each run: NAME - METRIC, and the same with __MIN and __MAX."""


def recognise(source: str) -> bool:
    """Return whether the source is the export of W&B's table of runs, or of one of its charts."""
    columns = _read_header(Path(source))
    return _is_run_table(columns) or _is_chart(columns)


def read_runs(source: str) -> pd.DataFrame:
    """Return one row per run of an exported table of runs.

    The column `source_run` comes from the column `ID`, or from `Name` if there is no `ID`. The column
    `status` comes from `State`. Then come all columns of the export, under their own names. The export does
    not show which columns are the configuration and which are results. So ablate
    cannot remove only the results of unfinished runs. Their rows keep all numbers of the time of the export.

    Args:
        source: the CSV file.

    Raises:
        AblateError: the file is damaged, or is the export of a chart.
    """
    path = Path(source)
    if _is_chart(_read_header(path)):
        raise AblateError(f"{source}: is the export of a W&B chart: export the table of runs instead")
    try:
        table = pd.read_csv(path, na_values=["", "NaN"], keep_default_na=False, low_memory=False)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise AblateError(f"{source}: is not a complete CSV file ({format_error(error)})") from None
    names = table["ID"] if "ID" in table else table["Name"]
    states = table.pop("State").str.lower().map(_STATUS).fillna(RunStatus.RUNNING)
    table.insert(0, RUN_COLUMN, _number_repeated(names.astype(str)))
    table.insert(1, STATUS_COLUMN, states.map(str))
    return table


def _read_header(path: Path) -> list[str]:
    if path.suffix.lower() != ".csv":
        return []
    line = next(iter(read_start(path).splitlines()), "")
    try:
        return next(csv.reader([line]), [])
    except csv.Error:  # the line has a NUL or a very long field, so it is no header of W&B
        return []


def _is_run_table(columns: list[str]) -> bool:
    return {"Name", "State"} <= {*columns} and len(_PAGE_COLUMNS & {*columns}) >= _FEWEST_PAGE_COLUMNS


def _is_chart(columns: list[str]) -> bool:
    return len(columns) > 1 and any(_CHART_COLUMN.fullmatch(name) for name in columns)


def _number_repeated(names: "pd.Series[str]") -> "pd.Series[str]":
    """Make the names of runs unique, because W&B allows several runs with the same name."""
    count = names.groupby(names).cumcount() + 1
    return names.where(count == 1, names + " #" + count.astype(str))
