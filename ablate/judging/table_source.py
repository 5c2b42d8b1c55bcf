"""Check what `judge` is given: a data frame, or the path of a table or of another tool's records."""

from pathlib import Path
from typing import Any, TypeGuard

import pandas as pd

from ablate.errors import AblateError

SHOWN = 60
"""The letters that a message shows of a text that is no path."""


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


def _can_be_path(text: str) -> bool:
    """Return whether a file can have this path. A text of several lines is the content of a table."""
    if "\0" in text or "\n" in text:
        return False
    try:
        Path(text).exists()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True
