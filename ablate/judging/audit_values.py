"""Audit the values of the metric: their unit, the size of the margin, and values that repeat."""

import math
from collections.abc import Mapping

import numpy as np

from ablate.errors import AblateError, escape_unprintable
from ablate.judging.arm_runs import Cells
from ablate.judging.findings import Finding, FindingKind
from ablate.judging.question import Question

RATIO_OF_UNITS = (33, 300)
"""If large values are 33 to 300 times as large as small values, the units are probably mixed."""
LARGE_SHARE = 0.5
"""A margin of half of the range of a share is probably a mistake."""


def check_units(cells: Cells, question: Question, shown: Mapping[str, str]) -> Finding | None:
    """Find out whether some values are shares from 0 to 1 and others are in per cent.

    If they belong to different arms, this can be correct: an arm that guesses can have about 1 per cent.
    `shown` maps the name of each arm to the name that pages show.

    Raises:
        AblateError: one arm has both kinds of values, and the metric's name says that its values are shares.
    """
    values = np.concatenate([runs.results for runs in cells.values()])
    if values.min() < 0 or not _look_mixed(values):
        return None
    metric = escape_unprintable(question.metric)
    if question.is_share:
        for (_, arm), runs in cells.items():
            shares = runs.results[runs.results != 1]  # 1 may be 1 per cent
            if _look_mixed(shares):
                raise AblateError(
                    f"metric: the arm '{shown[arm]}' has some values of {metric} from 0 to 1 and others "
                    "from 1 to 100: write all of them as shares, or all of them in per cent"
                )
    small = int(((values > 0) & (values <= 1)).sum())
    return Finding(
        kind=FindingKind.MIXED_UNITS,
        sentence=f"{small:,} values of {metric} are between 0 and 1, and {int((values > 1).sum()):,} are "
        "between 1 and 100. If they have different units, the answer is worthless.",
        count=len(values),
    )


def _look_mixed(values: np.ndarray) -> bool:
    """Return whether some values are at most 1, and all others are about 100 times as large.

    No value may be above 100.
    """
    small, large = values[(values > 0) & (values <= 1)], values[values > 1]
    if not len(small) or not len(large) or large.max() > 100:
        return False
    ratio = float(np.median(large) / np.median(small))
    return RATIO_OF_UNITS[0] <= ratio <= RATIO_OF_UNITS[1]


def check_margin(cells: Cells, question: Question) -> Finding | None:
    """Find out whether the margin is too large.

    A margin is too large if it exceeds the difference between any two runs, or half of the range of a share.
    """
    if question.margin is None:
        return None
    values = np.concatenate([runs.results for runs in cells.values()])
    spread, margin = float(np.ptp(values)), f"{question.margin:g}"
    whole = 1 if values.max() <= 1 else 100
    if question.is_share and values.min() >= 0 and LARGE_SHARE * whole <= question.margin:
        told = f"is at least half of the range of {escape_unprintable(question.metric)}, 0 to {whole}"
    elif 0 < spread < question.margin:
        told = f"is larger than the difference between any two runs, which is at most {spread:.3g}"
    else:
        return None
    return Finding(
        kind=FindingKind.LARGE_MARGIN,
        sentence=f"The margin of {margin} {told}. So hardly any difference can exceed the margin: check "
        "that the margin has the unit of the metric.",
    )


def check_repeats(cells: Cells, question: Question) -> Finding | None:
    """Find rows with the same arm and value, if no column of seeds tells whether they are the same run."""
    if question.seed is not None:
        return None
    counts = [
        np.unique(runs.results, return_counts=True)[1]
        for runs in cells.values()
        if len(runs.results) > 1 and np.ptp(runs.results) > 0  # for constant arms, there is another finding
    ]
    repeated = sum(int((each - 1).sum()) for each in counts)
    if not repeated:
        return None
    times = math.gcd(*(int(count) for each in counts for count in each))
    told = (
        f"Every value of every arm occurs {times:,} times or a multiple of it, so each run seems to be in "
        f"the table {times:,} times"
        if times > 1
        else f"{repeated:,} row{' has' if repeated == 1 else 's have'} the same arm and value as another row"
    )
    return Finding(
        kind=FindingKind.DUPLICATES,
        sentence=f"{told}. All rows count as different runs, because no column of seeds is named. If some "
        "are the same run, the p-values are too small: name the column of seeds with --seed, or delete the "
        "copies.",
        count=repeated,
    )
