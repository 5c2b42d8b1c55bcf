"""The columns that a judgement needs, as arrays of numbers. 10 million rows take about 300 MB of memory."""

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablate.errors import AblateError
from ablate.judging.names import normalise_name
from ablate.judging.number_formats import name_format
from ablate.judging.question import Question
from ablate.judging.seed_codes import MISSING_NAMES, encode_seeds

MOST_NAMES = 20_000
"""The maximum number of different names in a column of arms, parts or statuses.

If a column has more names, it is probably the wrong column.
"""
EXAMPLES = 5
MOST_FORMATTED = 100_000
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass
class Names:
    """A column of names.

    `codes` has for each row the position of its name in `names`, or -1 if the row has no name.
    """

    names: list[str] = field(default_factory=list)
    codes: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))


@dataclass
class RunColumns:
    """A table of runs. All arrays have one element for each row."""

    place: str
    """The name of the table in messages: its path, or `frame` for a data frame."""
    known: list[str]
    """The names of all columns of the table."""
    arms: Names
    groups: Names | None
    """The parts into which the question splits the table."""
    seeds: NDArray[np.int64] | None
    has_seed: NDArray[np.bool_] | None
    values: NDArray[np.float64]
    """The metric of each row. The metric is NaN if the cell is empty or is not a number."""
    texts: Mapping[int, str]
    """The first few cells of the metric that are text. The keys are rows, counted from 0."""
    text_rows: NDArray[np.int64]
    """All rows in which the metric is text, counted from 0."""
    formatted: Mapping[int, str]
    """The cells of the metric that are text, but that a person reads as a number, such as `1,016.9`.

    The keys are rows, counted from 0. There are at most `MOST_FORMATTED` cells.
    """
    statuses: Names | None
    phases: Names | None

    @property
    def rows(self) -> int:
        return len(self.values)


class ColumnReader:
    """Collects the columns of a table chunk by chunk."""

    def __init__(self, place: str, known: Sequence[str], question: Question) -> None:
        question.check_columns(place, known)
        self._place, self._known, self._question = place, list(known), question
        # The question does not name these columns. These columns are used because they say which rows are
        # results.
        self._status = _find_column(known, "status", question)
        self._phase = _find_column(known, "phase", question)
        self._names: dict[str, dict[str, int]] = {}
        self._codes: dict[str, list[NDArray[np.int32]]] = {}
        self._seeds: list[NDArray[np.int64]] = []
        self._has_seed: list[NDArray[np.bool_]] = []
        self._values: list[NDArray[np.float64]] = []
        self._texts: dict[int, str] = {}
        self._formatted: dict[int, str] = {}
        self._text_rows: list[NDArray[np.int64]] = []
        self._rows = 0

    @property
    def text_columns(self) -> list[str]:
        """The columns of names, which must be read as text, so that `0.10` and `none` stay names."""
        found = [self._question.arm, self._question.by, self._status, self._phase]
        return [column for column in found if column is not None]

    @property
    def needed(self) -> list[str]:
        """The names of all columns to read."""
        seed = [self._question.seed] if self._question.seed is not None else []
        return [*self.text_columns, *seed, self._question.metric]

    def add(self, chunk: pd.DataFrame) -> None:
        """Add rows. The chunk has at least the columns of `needed`."""
        for column in self.text_columns:
            self._add_names(column, chunk[column])
        if self._question.seed is not None:
            try:
                seeds, has_seed = encode_seeds(chunk[self._question.seed], self._place)
            except TypeError:
                raise self._refuse_objects(self._question.seed, chunk[self._question.seed]) from None
            self._seeds.append(seeds)
            self._has_seed.append(has_seed)
        values, is_text = read_numbers(chunk[self._question.metric])
        self._values.append(values)
        if is_text.any():
            rows = np.flatnonzero(is_text)
            self._text_rows.append(rows + self._rows)
            cells = chunk[self._question.metric]
            for row in rows[: EXAMPLES - len(self._texts)]:
                self._texts[int(row) + self._rows] = str(cells.iloc[row])
            for row in rows[: MOST_FORMATTED - len(self._formatted)]:
                if name_format(text := str(cells.iloc[row])) is not None:
                    self._formatted[int(row) + self._rows] = text
        self._rows += len(chunk)

    def finish(self) -> RunColumns:
        """Join all chunks.

        Raises:
            AblateError: the table has no rows.
        """
        if not self._rows:
            raise AblateError(f"{self._place}: the table has no rows: each row must be one finished run")
        paired = self._question.seed is not None
        return RunColumns(
            place=self._place,
            known=self._known,
            arms=self._join_names(self._question.arm),
            groups=None if self._question.by is None else self._join_names(self._question.by),
            seeds=_join(self._seeds) if paired else None,
            has_seed=_join(self._has_seed) if paired else None,
            values=_join(self._values),
            texts=self._texts,
            formatted=self._formatted,
            text_rows=np.concatenate(self._text_rows) if self._text_rows else np.empty(0, np.int64),
            statuses=None if self._status is None else self._join_names(self._status),
            phases=None if self._phase is None else self._join_names(self._phase),
        )

    def _refuse_objects(self, column: str, cells: pd.Series) -> AblateError:
        """Make the error about a cell that is a list, a mapping or another collection."""
        row = next((i for i, cell in enumerate(cells) if not isinstance(cell, Hashable)), 0)
        kind = type(cells.iloc[row]).__name__
        return AblateError(
            f"{self._place}: the column '{column}' has a {kind} in row {self._rows + row + 1:,}: write one "
            "text or number in each cell"
        )

    def _join_names(self, column: str) -> Names:
        return Names(names=list(self._names[column]), codes=_join(self._codes[column]))

    def _add_names(self, column: str, cells: pd.Series) -> None:
        known = self._names.setdefault(column, {})
        try:
            codes, uniques = pd.factorize(cells)
        except TypeError:
            if column in self._question.columns.values():
                raise self._refuse_objects(column, cells) from None
            codes, uniques = pd.factorize(cells.map(str))  # a column that the question does not name
        found = [normalise_name(str(name)) for name in uniques]
        places = np.fromiter((known.setdefault(name, len(known)) for name in found), np.int32, len(found))
        if len(known) > MOST_NAMES:
            raise AblateError(
                f"{self._place}: the column '{column}' has more than {MOST_NAMES:,} different values: "
                "name a column with few values"
            )
        empty = np.array([not name for name in found], dtype=bool)
        places[empty] = -1
        translated = np.append(places, np.int32(-1))[codes]
        self._codes.setdefault(column, []).append(translated.astype(np.int32))


def read_numbers(cells: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Convert a column to numbers, `(rows,)`.

    Also return for each cell whether it is text that is not a number, `(rows,)`.
    """
    if isinstance(cells.dtype, pd.CategoricalDtype):
        cells = cells.astype(cells.cat.categories.dtype if not cells.hasnans else object)
    if pd.api.types.is_bool_dtype(cells.dtype) or (
        pd.api.types.is_numeric_dtype(cells.dtype) and not pd.api.types.is_complex_dtype(cells.dtype)
    ):
        return cells.to_numpy(float, na_value=np.nan), np.zeros(len(cells), bool)
    words = cells.astype(object)
    missing = words.isna().to_numpy()
    if not (pd.api.types.is_object_dtype(cells.dtype) or pd.api.types.is_string_dtype(cells.dtype)):
        return np.full(len(cells), np.nan), ~missing  # dates and durations of pandas
    stripped = words.where(~missing).map(_strip)
    try:
        numbers = pd.to_numeric(stripped, errors="coerce").to_numpy(float, na_value=np.nan)
    except OverflowError:  # an integer of more than 308 digits
        numbers = np.array([_read_number(cell) for cell in stripped])
    is_text = ~missing & np.isnan(numbers)
    for row in np.flatnonzero(is_text):
        is_text[row] = str(words.iloc[row]).strip().lower() not in MISSING_NAMES
    return numbers, is_text


def _read_number(cell: object) -> float:
    """Read one number. A number that is too large becomes infinite.

    A text that is not a number becomes NaN.
    """
    try:
        return float(cell)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return math.nan


def _strip(cell: object) -> object:
    if isinstance(cell, str):
        return cell.strip()
    return cell if isinstance(cell, (int, float)) or np.isscalar(cell) else str(cell)


def _find_column(known: Iterable[str], name: str, question: Question) -> str | None:
    """Find a column by its name, in upper or lower case.

    Columns that the question uses are not searched. Return None if no column or several columns are found.
    """
    used = question.columns.values()
    found = [column for column in known if column.strip().lower() == name and column not in used]
    return found[0] if len(found) == 1 else None


def _join(parts: list[NDArray[Scalar]]) -> NDArray[Scalar]:
    """Join the arrays, and empty their list, so that only the joined array stays in memory."""
    whole = np.concatenate(parts)
    parts.clear()
    return whole
