"""Make names of arms (variants of the network) for pages and figures.

Such a name is the arm's own name, followed by the factor values that the own name does not mention.
"""

import json
from dataclasses import dataclass

import pandas as pd

from ablate.stats.contrasts import BOTH_ALONE
from ablate.study.spec import FULL, StudySpec, format_value

MOST_VALUES = 4
"""The maximum number of factor values that are added to a name. If there are more, none of them is added.

The name of a finalist of a search always gets its values, because nobody could know otherwise what it is.
"""


@dataclass(frozen=True, kw_only=True)
class ArmNames:
    """Makes the names of a study's arms for pages and figures. CSV files always have the arms' own names."""

    baseline: str
    values: pd.DataFrame
    """The factor values as text: one row for each arm, one column for each factor.

    The table is empty if the study file names its arms itself.
    """
    searched: bool = False
    """Whether the arms other than the baseline are the finalists of a search."""

    def name_arm(self, arm: str, beside: str | None = None) -> str:
        """Return an arm's name and its factor values that differ from the arm `beside`.

        An example is `baseline (pooling=avg)`. If `beside` is None, the baseline gets all its factor values.
        Every other arm gets the values that differ from the baseline. Values that are part of the arm's own
        name are not repeated.

        The arm `without pooling` is the full arm (all changes) with the baseline's pooling. It is called
        `full with pooling=avg`, because "without" could mean that it has no pooling. If `beside` is None, it
        gets no further values.
        """
        if arm not in self.values.index:
            return arm
        own = self.values.loc[arm]
        _, _, kept = arm.partition("without ")
        if kept in own.index:
            beside = beside or FULL
        elif beside is None and arm != self.baseline:
            beside = self.baseline
        shown = f"{FULL} with {kept}={own[kept]}" if kept in own.index else arm
        if beside in self.values.index:
            own = own[own != self.values.loc[beside]]
        named = {part.partition("=")[0] for part in arm.split(",") if "=" in part} | {kept}
        told = [f"{factor}={value}" for factor, value in own.items() if factor not in named]
        few = len(told) <= MOST_VALUES or (self.searched and arm != self.baseline)
        return f"{shown} ({', '.join(told)})" if told and few else shown

    def name_change(self, arm: str, other: str) -> str:
        """Name what an arm changes in the arm `other`, for example `optimizer=adam`.

        If the factor values do not tell, return the arm's name.
        """
        if not {arm, other} <= set(self.values.index):
            return self.name_arm(arm, other)
        own, others = self.values.loc[arm], self.values.loc[other]
        changed = [f"{factor}={value}" for factor, value in own[own != others].items()]
        return ", ".join(changed) or self.name_arm(arm, other)

    def name_contrast(self, arm: str, other: str) -> str:
        """Name a comparison: `pooling=max against baseline (pooling=avg)`, or `interaction of A and B`."""
        if other == BOTH_ALONE:
            return f"interaction of {' and '.join(arm.split(' × '))}"
        return f"{self.name_arm(arm, other)} against {self.name_arm(other, arm)}"


def read_arm_names(study: StudySpec, runs: pd.DataFrame, baseline: str) -> ArmNames:
    """Read the arms' factor values from the `runs` table. Factors that have no column in it are left out.

    A list is written as in the names of arms: `[3 8]`.
    """
    by_arm = runs.drop_duplicates("arm").set_index("arm")
    factors = [name for name in study.factor_names if name in runs]
    values = by_arm[factors].fillna("null").astype(str).map(_spell)
    return ArmNames(
        baseline=baseline,
        values=values.iloc[:0] if study.arms else values,
        searched=study.design == "search",
    )


def _spell(cell: str) -> str:
    """Write a cell of the `runs` table as in the names of arms. The table has lists as JSON."""
    if not cell.startswith("["):
        return cell
    try:
        return format_value(json.loads(cell))
    except ValueError:  # a text that begins with a bracket
        return cell
