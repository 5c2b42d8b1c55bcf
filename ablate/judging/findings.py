"""What an audit of a table found."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ablate.formatting import format_list

ROWS_NAMED = 5
NAMES_SHOWN = 4


class FindingKind(StrEnum):
    """The kinds of findings. The values are the words in the table `findings.csv`."""

    MISSING_METRIC = "metric missing"
    INFINITE_METRIC = "metric infinite"
    TEXT_METRIC = "metric is text"
    MISSING_ARM = "arm missing"
    MISSING_GROUP = "part missing"
    MISSING_SEED = "seed missing"
    UNFINISHED = "run not finished"
    DIVERGED = "run diverged"
    OTHER_PHASE = "run of another phase"
    TUNING_SEEDS = "seeds used for tuning"
    DUPLICATES = "rows repeated"
    SEVERAL_RUNS = "several runs for one seed"
    CONSTANT = "metric constant"
    MIXED_UNITS = "units mixed"
    UNEQUAL_RUNS = "numbers of runs unequal"
    LOST_PAIRS = "seeds without a partner"
    NO_COMMON_SEEDS = "no common seeds"
    ONE_RUN = "one run"
    FEW_SEEDS = "few seeds"
    MISSING_RUNS = "arm without runs in a part"
    LARGE_MARGIN = "margin large"
    NO_BASELINE = "part without the baseline"
    DIRECTION = "direction doubtful"
    SIMILAR_NAMES = "names alike"
    HOSTILE_NAMES = "names escaped"
    IGNORED_COLUMN = "column not used"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that the audit found, with a sentence about it."""

    kind: FindingKind
    sentence: str
    count: int = 0
    """The number of rows that the finding is about. 0 if it is not about rows."""
    rows: tuple[int, ...] = ()
    """The first few rows that the finding is about. Row 1 is the first row below the header of the table."""


def name_rows(rows: Iterable[int], count: int) -> str:
    """Name rows in a sentence: `row 3`, `rows 3, 4 and 9`, `rows 1, 2, 3, 4, 5 and 20 more`."""
    shown = [f"{row:,}" for row in rows]
    more = count - len(shown)
    listed = f"{', '.join(shown)} and {more:,} more" if more > 0 else format_list(shown)
    return f"row{'' if count == 1 else 's'} {listed}"


def name_some(names: Iterable[str]) -> str:
    """List the first few names in a sentence, and count the others: `a, b, c, d and 3 more`."""
    listed = list(names)
    more = len(listed) - NAMES_SHOWN
    return f"{', '.join(listed[:NAMES_SHOWN])} and {more:,} more" if more > 0 else format_list(listed)


def choose_rows(mask: np.ndarray) -> tuple[int, tuple[int, ...]]:
    """Count the rows that a mask `(rows,)` selects.

    Also return the numbers of the first few, counted from 1.
    """
    places = np.flatnonzero(mask)
    return len(places), tuple(int(place) + 1 for place in places[:ROWS_NAMED])
