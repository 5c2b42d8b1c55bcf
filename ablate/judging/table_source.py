"""Check the argument of `judge`: a data frame, or the path of a table or of another tool's records."""

from pathlib import Path
from typing import Any, TypeGuard

import pandas as pd

from ablate.errors import AblateError
from ablate.judging.sources.databases import hide_password

WORKBOOK_ENDINGS = (".xlsx", ".xls", ".xlsm", ".ods")
SHOWN = 60
"""If a text cannot be a path, a message shows at most this many of its letters."""


def is_frame(source: Any) -> TypeGuard[pd.DataFrame]:
    """Return whether the source is a data frame of pandas.

    Raises:
        AblateError: the source is neither a data frame nor a path.
    """
    if isinstance(source, pd.DataFrame):
        return True
    if not isinstance(source, (str, Path)):
        remedy = "give a pandas DataFrame or a path"
        if hasattr(source, "to_pandas"):
            remedy = "give its .to_pandas()"
        elif isinstance(source, (list, dict)):
            remedy = "give pandas.DataFrame(runs), or a path"
        elif isinstance(source, bytes):
            remedy = "give the path as a str"
        raise AblateError(f"runs: an object of type {type(source).__name__} is not read: {remedy}")
    text = str(source)
    if not text.strip():
        raise AblateError("runs: the path is empty: name a file with one row for each run")
    if "://" not in text and not _can_be_path(text):
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
        raise AblateError(
            f"runs: '{shown}' cannot be a path: save the table to a file, and give the path of the file"
        )
    return False


def refuse_unread(source: str) -> None:
    """Refuse common sources that are neither a table nor a tool's records, with advice for each kind.

    Raises:
        AblateError: the source does not exist, or is standard input, a workbook, a JSON file or a folder.
    """
    path, ending = Path(source), Path(source).suffix.lower()
    if source == "-":
        raise AblateError("-: standard input is not read: save the table to a file, and give its path")
    if "://" in source:
        return
    if not path.exists():
        raise AblateError(f"{source}: there is no such file: give a table with one row for each run")
    if ending in WORKBOOK_ENDINGS:
        raise AblateError(f"{source}: a workbook is not read: save the table as CSV")
    if ending == ".json":
        raise AblateError(
            f"{source}: this JSON file is no record of a known tool: write a table as one object in each "
            "line of a file that ends with .jsonl"
        )
    if path.is_dir():
        raise AblateError(
            f"{source}: the folder has no records of a known tool: give the file with the table "
            "(.csv, .jsonl or .parquet)"
        )


def refuse_download(source: str, endings: tuple[str, ...]) -> None:
    """Refuse the web address of a table. Addresses of tracking servers are allowed.

    Raises:
        AblateError: the address ends like a table's file name.
    """
    address = source.partition("?")[0].lower()
    if address.startswith(("http://", "https://")) and address.endswith(endings):
        raise AblateError(f"{hide_password(source)}: a web address is not read: download the file first")


def _can_be_path(text: str) -> bool:
    """Return whether a file can have this path.

    A text of several lines is no path but the content of a table.
    """
    if "\0" in text or "\n" in text:
        return False
    try:
        Path(text).exists()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True
