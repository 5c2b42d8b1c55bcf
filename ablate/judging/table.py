"""Read a table of runs: a data frame, a file (CSV, JSON lines, Parquet), or another tool's records."""

import gzip
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ablate.errors import AblateError, format_error, install_command
from ablate.judging.csv_header import read_header
from ablate.judging.csv_lengths import check_lengths
from ablate.judging.files import is_compressed, open_text
from ablate.judging.question import Question
from ablate.judging.run_columns import ColumnReader, RunColumns
from ablate.judging.sources import find_kind, read_runs
from ablate.judging.table_source import WORKBOOK_ENDINGS, is_frame, refuse_download, refuse_unread

FRAME = "frame"
"""The name of a data frame in messages."""
CHUNK = 500_000
"""The number of rows that are read at a time."""
CSV_ENDINGS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz")
JSON_ENDINGS = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
PARQUET_ENDINGS = (".parquet", ".pq")
TABLE_ENDINGS = (*CSV_ENDINGS, *JSON_ENDINGS, *PARQUET_ENDINGS)
MISSING = ["", "NA", "NaN", "nan", "None", "null"]
"""Words for a missing number in CSV files. In a column of names, `None` is a name."""


def read_columns(
    source: str | Path | pd.DataFrame, question: Question, *, experiment: str | None = None
) -> RunColumns:
    """Read the columns that the question needs, in chunks. Other columns of the table are not kept.

    Args:
        source: a data frame with one row for each run; the path of such a table (`.csv`, `.tsv`, `.jsonl`,
            `.parquet`; CSV and JSON lines also as `.gz`); or another tool's records, which
            `judging/sources/README.md` lists.
        question: the columns to compare, and the rule of the comparison.
        experiment: the experiment to read, if another tool's records contain several.

    Raises:
        AblateError: the table cannot be read, or a column is missing.
    """
    if is_frame(source):
        _refuse_experiment(FRAME, experiment)
        return _read_frame(source, FRAME, question)
    text = str(source)
    ending = text.lower()
    refuse_download(text, (*TABLE_ENDINGS, *WORKBOOK_ENDINGS))
    kind = find_kind(text)
    if kind is None and not ending.endswith(TABLE_ENDINGS):
        refuse_unread(text)
    if kind is not None or not ending.endswith(TABLE_ENDINGS):
        return _read_frame(read_runs(text, experiment=experiment), text, question)
    _refuse_experiment(text, experiment)
    path = Path(source)
    if not path.is_file():
        what = "this is a folder" if path.is_dir() else "there is no such file"
        raise AblateError(f"{path}: {what}: give a table with one row for each run")
    try:
        if ending.endswith(PARQUET_ENDINGS):
            return _read_parquet(path, question)
        if ending.endswith(JSON_ENDINGS):
            return _read_json_lines(path, question)
        return _read_csv(path, question)
    except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise AblateError(
            f"{path}: cannot be read as text: {format_error(error)}: save it as UTF-8"
        ) from None
    except OSError as error:
        raise AblateError(f"{path}: cannot be read ({error.strerror or error}): check the file") from None
    except MemoryError:
        raise AblateError(f"{path}: does not fit in memory: leave out rows or columns") from None


def _refuse_experiment(place: str, experiment: str | None) -> None:
    if experiment is not None:
        raise AblateError(f"{place}: experiment: a table has no experiments: leave out '{experiment}'")


def _read_frame(frame: pd.DataFrame, place: str, question: Question) -> RunColumns:
    inside = [name for name in frame.index.names if name in question.columns.values()]
    if inside and not {*inside} & {*frame.columns}:
        frame = frame.reset_index(level=inside)
    named = frame.set_axis([str(column) for column in frame.columns], axis="columns")
    reader = ColumnReader(place, list(named.columns), question)
    reader.add(named)
    return reader.finish()


def _read_csv(path: Path, question: Question) -> RunColumns:
    separator, written = read_header(path)
    used = question.columns.values()
    known = [name if name in used else name.strip() for name in written]
    reader = ColumnReader(str(path), known, question)
    texts = reader.text_columns
    # Seeds are read as text, too. Otherwise an empty cell would turn all seeds into floating-point numbers,
    # which round large seeds.
    seed = [] if question.seed is None else [question.seed]
    check_lengths(path, separator, len(known))
    as_written = dict(zip(known, written, strict=True))
    missing = {**dict.fromkeys(reader.needed, MISSING), **{name: [""] for name in texts}}
    try:
        with pd.read_csv(
            path,
            sep=separator,
            usecols=[as_written[name] for name in reader.needed],
            dtype=dict.fromkeys([as_written[name] for name in [*texts, *seed]], str),
            keep_default_na=False,
            na_values={as_written[name]: words for name, words in missing.items()},
            index_col=False,
            chunksize=CHUNK,
            low_memory=False,
            encoding="utf-8-sig",
            compression="gzip" if is_compressed(path) else None,
        ) as chunks:
            for chunk in chunks:
                reader.add(chunk.rename(columns={as_written[name]: name for name in reader.needed}))
    except pd.errors.ParserError as error:
        raise AblateError(
            f"{path}: cannot be read as CSV: {format_error(error)}: every row needs the fields of the header"
        ) from None
    return reader.finish()


def _read_json_lines(path: Path, question: Question) -> RunColumns:
    """Read a file with one JSON object in each line. The first chunk decides which columns the table has."""
    reader: ColumnReader | None = None
    with open_text(path) as file:
        numbered = ((number, line) for number, line in enumerate(file, start=1) if line.strip())
        while lines := list(itertools.islice(numbered, CHUNK)):
            rows = [_parse_object(path, number, line) for number, line in lines]
            reader = reader or ColumnReader(
                str(path), list(dict.fromkeys(key for row in rows for key in _list_keys(row))), question
            )
            # Without `object`, a missing cell would turn integers of arms and seeds into rounded floats.
            cells = {
                column: pd.Series(
                    [_find_cell(row, column) for row in rows],
                    dtype=None if column == question.metric else object,
                )
                for column in reader.needed
            }
            reader.add(pd.DataFrame(cells))
    if reader is None:
        raise AblateError(f"{path}: the file is empty: write one JSON object in each line")
    return reader.finish()


def _list_keys(row: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """List the keys of an object. The keys of a nested object are joined by a dot, such as `config.arm`."""
    for key, value in row.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _list_keys(value, f"{prefix}{key}.")


def _find_cell(row: dict[str, Any], column: str) -> object:
    """Find the value of a key, such as `config.arm`. The value is None if the object lacks the key."""
    if column in row:
        return row[column]
    key, dot, rest = column.partition(".")
    inner = row.get(key)
    return _find_cell(inner, rest) if dot and isinstance(inner, dict) else None


def _parse_object(path: Path, number: int, line: str) -> dict[str, object]:
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise AblateError(
            f"{path}: line {number:,} is no JSON ({format_error(error)}): write one object in each line"
        ) from None
    if not isinstance(parsed, dict):
        raise AblateError(f"{path}: line {number:,} is no JSON object: write one object in each line")
    return parsed


def _read_parquet(path: Path, question: Question) -> RunColumns:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise AblateError(
            f"{path}: Parquet needs a package that is not installed: {install_command('judge')}"
        ) from None
    try:
        with ParquetFile(path) as file:
            reader = ColumnReader(str(path), file.schema_arrow.names, question)
            for batch in file.iter_batches(batch_size=CHUNK, columns=reader.needed):
                reader.add(batch.to_pandas(integer_object_nulls=True))
    except ArrowException as error:
        raise AblateError(
            f"{path}: cannot be read as Parquet: {format_error(error)}: check the file"
        ) from None
    return reader.finish()
