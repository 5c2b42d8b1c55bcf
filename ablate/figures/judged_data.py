"""Hold the data of the figures of judged runs, and choose the rows that a figure shows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ablate.figures.canvas import MOST_ARMS, Styles, make_styles

MOST_ROWS = 40
"""A panel of differences has at most this many rows."""
MOST_PANELS = 6
"""A figure of differences has at most this many panels."""
MOST_PARTS_WITH_RUNS = 4
"""The figure of runs has at most this many panels."""
MOST_LINES = 200
"""With more seeds than this, the runs of a seed are not joined."""
MOST_MARKS = 300
"""At most this many runs of an arm are drawn, evenly chosen from all runs sorted by value."""


@dataclass(frozen=True, kw_only=True)
class JudgedData:
    """The data of the figures of judged runs."""

    comparisons: pd.DataFrame
    """Columns part, arm, difference, ci_low and ci_high; all differences in the unit of the axis."""
    runs: pd.DataFrame
    """Columns part, arm, seed, value and mean. `mean` is NaN if a run of the arm diverged."""
    arms: Mapping[str, str]
    """Maps every arm to its name in figures. The baseline comes first."""
    parts: Mapping[str, str]
    """Maps every part of the table to its name in figures. Without `by`, the only part is ''."""
    metric: str
    is_share: bool
    """Whether values are drawn in per cent, and differences in percentage points."""
    margin: float | None
    """The margin in the unit of the axis of differences. None if there is no margin."""
    paired: bool
    """Whether a comparison pairs runs with the same seed."""
    mean_ranks: pd.Series | None
    """The mean rank of each arm over the parts. The best arm comes first."""
    rank_pairs: pd.DataFrame | None
    """The p-values of Nemenyi's test, `(arms, arms)`. None if there are too few arms or parts."""
    alpha: float
    lower_is_better: bool = False
    """Whether a lower value of the metric is better. Labels of axes then say so."""

    @property
    def styles(self) -> Styles:
        """The style of each arm."""
        return make_styles(self.arms)


def choose_rows(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Choose the rows with an interval. If there are too many, keep those with the largest differences."""
    rows = comparisons.dropna(subset=["difference", "ci_low", "ci_high"])
    if len(rows) > MOST_ROWS:
        rows = rows.loc[rows["difference"].abs().nlargest(MOST_ROWS).sort_index().index]
    return rows.reset_index(drop=True)


def thin_out(runs: pd.DataFrame) -> pd.DataFrame:
    """Keep at most `MOST_MARKS` runs of each arm, evenly chosen from all runs sorted by value."""
    kept = []
    for _, of_arm in runs.groupby("arm", sort=False):
        ordered = of_arm.sort_values("value", kind="stable")
        count = min(len(ordered), MOST_MARKS)
        kept.append(ordered.iloc[np.linspace(0, len(ordered) - 1, count).astype(int)])
    return pd.concat(kept) if kept else runs


def label_direction(data: JudgedData) -> str:
    return " (lower is better)" if data.lower_is_better else ""


def split_by_arm(data: JudgedData) -> tuple[list[str], dict[str, pd.DataFrame]]:
    """Choose the parts and the arms of the figure of differences by part.

    Returns:
        The parts, and the rows of each arm. The index of a row is the place of its part.
    """
    arms = list(dict.fromkeys(data.comparisons["arm"]))[:MOST_PANELS]
    here = data.comparisons[data.comparisons["arm"].isin(arms)]
    parts = [part for part in data.parts if part in set(here["part"])][:MOST_ROWS]
    by_arm = {}
    for arm in arms:
        of_arm = here[here["arm"] == arm].set_index("part")
        by_arm[arm] = of_arm.reindex(parts).reset_index().dropna(subset=["difference"])
    return parts, by_arm


def choose_runs(data: JudgedData) -> tuple[Styles, dict[str, pd.DataFrame]]:
    """Choose the arms and the runs of the figure of runs: the styles of the arms, and the runs of each part.

    Runs have no column `seed` if their seeds are not joined by lines.
    """
    parts = [part for part in data.parts if part in set(data.runs["part"])][:MOST_PARTS_WITH_RUNS]
    styles = dict(list(data.styles.items())[:MOST_ARMS])
    by_part = {}
    for part in parts:
        here = data.runs[(data.runs["part"] == part) & data.runs["arm"].isin(list(styles))]
        joined = data.paired and here["seed"].nunique() <= MOST_LINES
        by_part[part] = here if joined else thin_out(here).drop(columns="seed")
    return styles, by_part
