"""Read the small text files in which tools record runs: JSON, JSON lines, CSV and YAML."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablate.errors import AblateError, format_error

_FIRST_BYTES = 65_536


def read_start(path: Path) -> str:
    """Return the first 64 kB of a file as text, or an empty text if it cannot be read as a file."""
    try:
        with path.open("rb") as file:
            return file.read(_FIRST_BYTES).decode("utf-8-sig", errors="replace")
    except (OSError, ValueError):
        return ""


def read_json(path: Path) -> Any:
    """Return the value in a JSON file. NaN and Infinity are allowed, because Python's tools write them.

    Raises:
        AblateError: the file cannot be read or is not JSON, for example because it ends too early.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise AblateError(f"{path}: is not a complete JSON file ({format_error(error)})") from None


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the object in each line. An incomplete last line is left out.

    A process that is killed while it writes leaves such a line.

    Raises:
        AblateError: the file cannot be read, or a line before the last one is not a JSON object.
    """
    broken = 0
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip("\0 \r\n\t"):
                    continue
                if broken:
                    raise AblateError(f"{path}:{broken}: is not a JSON object")
                try:
                    found = json.loads(line)
                except (ValueError, RecursionError):
                    found = None
                if isinstance(found, dict):
                    yield found
                else:
                    broken = number
    except OSError as error:
        raise AblateError(f"{path}: cannot be read ({error.strerror})") from None


def read_csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield each row of a CSV file as a dict from columns to cells.

    Texts that are numbers become floats. Empty cells are left out.

    A row with fewer cells than columns is incomplete and is left out.

    Raises:
        AblateError: the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            for row in csv.DictReader(file, restkey="", restval=None):
                if None not in row.values():
                    yield {name: _parse(cell) for name, cell in row.items() if name and cell}
    except (OSError, csv.Error) as error:
        raise AblateError(f"{path}: cannot be read ({format_error(error)})") from None


def read_yaml(path: Path) -> Any:
    """Return the value in a YAML file that another tool wrote. Such tools write YAML 1.1, as PyYAML reads it.

    Raises:
        AblateError: the file cannot be read, is not YAML, or has aliases. Aliases are refused, because with
            them a short file can contain a huge value.
    """
    import yaml

    # The loader in C is ten times as fast, but some installations of PyYAML do not have it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text = path.read_text(encoding="utf-8-sig")
        has_alias = "&" in text and any(
            isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=loader)
        )
        if not has_alias:
            return yaml.load(text, Loader=loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        cause = " ".join(str(error).split())[:120]
        raise AblateError(f"{path}: is not a complete YAML file ({cause})") from None
    raise AblateError(f"{path}: has YAML aliases, which are not read")


def parse_number(text: str) -> float | None:
    """Return the number that a text stands for, or None. `NaN` and `Infinity` are numbers."""
    try:
        return float(text)
    except ValueError:
        return None


def _parse(cell: str) -> Any:
    number = parse_number(cell)
    return cell if number is None else number


def keep_last_values(rows: Iterator[dict[str, Any]]) -> tuple[dict[str, Any], int]:
    """Return the last value of every column, and the number of rows.

    Lightning's CSV logger writes the metrics of training and of validation into different rows. So the last
    row alone does not have all metrics.
    """
    last: dict[str, Any] = {}
    count = 0
    for row in rows:
        last |= row
        count += 1
    return last, count


def is_missing(value: Any) -> bool:
    """Return whether a value is None or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))
