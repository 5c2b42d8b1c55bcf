"""Make, write and read tables. The columns of a table have the types that `COLUMNS` lists."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ablate.records.columns import COLUMNS, LATER_COLUMNS, OPTIONAL_COLUMNS, TABLES
from ablate.records.files import write_whole
from ablate.records.run_records import RunRecord


def make_frame(table: str, rows: Iterable[Mapping[str, Any]], extra: Sequence[str] = ()) -> pd.DataFrame:
    """Make a data frame with the columns and types of `table`. The `extra` columns come after `status`."""
    columns = list(TABLES[table])
    if extra:
        at = columns.index("status") + 1
        columns[at:at] = extra
    made = pd.DataFrame([{c: row.get(c) for c in columns} for row in rows], columns=columns, dtype=object)
    return made.astype(
        {c: COLUMNS[c].dtype if c in COLUMNS and c not in extra else "string" for c in columns}
    )


def make_runs_frame(records: Iterable[RunRecord], values: Sequence[str]) -> pd.DataFrame:
    """Make the table `runs`, which has a row for each run.

    The rows are sorted and contain no times. So the same study always gives the same file.
    """
    rows = [
        {**vars(record), **{name: _format_cell(record.values.get(name)) for name in values}}
        for record in records
    ]
    return make_frame("runs", rows, values).sort_values(
        ["phase", "arm", "setting", "seed"], ignore_index=True
    )


def make_epochs_frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Make the table `epochs`, which has a row for each point of each run's training curve."""
    rows = ({**vars(record), **vars(point)} for record in records for point in record.epochs)
    return make_frame("epochs", rows).sort_values(
        ["phase", "arm", "setting", "seed", "epoch"], ignore_index=True
    )


def make_metrics_frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Make the table `metrics`, which has a row for each run that has metrics.

    The rows are sorted. So the same study always gives the same file.
    """
    rows = (
        {
            **vars(record),
            **{f"validation_{name}": value for name, value in record.validation_metrics.items()},
            **{f"test_{name}": value for name, value in record.test_metrics.items()},
        }
        for record in records
        if record.validation_metrics or record.test_metrics
    )
    return make_frame("metrics", rows).sort_values(["phase", "arm", "setting", "seed"], ignore_index=True)


def make_recalls_frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Make the table `recalls`, which has a row for each confirmed run and class, sorted by arm and seed."""
    rows = (
        {
            "arm": record.arm,
            "seed": record.seed,
            "label": label,
            "recall": right / images,
            "test_images": images,
        }
        for record in records
        for label, (right, images) in record.test_by_class.items()
    )
    # A stable sort keeps the classes of a run in the data set's order.
    return make_frame("recalls", rows).sort_values(["arm", "seed"], kind="stable", ignore_index=True)


def list_written(made: pd.DataFrame) -> list[str]:
    """List the columns that the file of a table has: all except empty columns of `OPTIONAL_COLUMNS`."""
    return [c for c in made.columns if c not in OPTIONAL_COLUMNS or made[c].notna().any()]


def write_table(made: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV in SI units. The file is written completely or not at all.

    Empty columns of `OPTIONAL_COLUMNS` are left out.
    """
    made = made[list_written(made)]
    write_whole(path, made.to_csv(index=False, lineterminator="\n").encode())


def read_table(table: str, path: Path) -> pd.DataFrame:
    """Read a table that this version or an older version of ablate wrote.

    The columns get the types that `COLUMNS` lists.
    """
    raw = pd.read_csv(path, dtype="string", keep_default_na=False, na_values=[""])
    for column in (*LATER_COLUMNS, *OPTIONAL_COLUMNS):
        if column in TABLES[table] and column not in raw.columns:
            raw[column] = pd.Series(pd.NA, index=raw.index, dtype="string")
    extra = [column for column in raw.columns if column not in TABLES[table]]
    if any(column not in raw.columns for column in TABLES[table]):
        missing = sorted(set(TABLES[table]) - set(raw.columns))
        raise ValueError(f"{path} has no column {missing[0]}")
    known = {c: COLUMNS[c].dtype for c in TABLES[table]}
    for column, dtype in known.items():
        if dtype == "boolean":
            raw[column] = raw[column].map({"True": True, "False": False})
    return raw.astype({**known, **dict.fromkeys(extra, "string")})


def _format_cell(value: Any) -> str | None:
    """Format a factor's value as text. A string stays as it is, and any other value becomes JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value)
