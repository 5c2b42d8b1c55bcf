"""The question that is put to a table of runs."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ablate.errors import AblateError, did_you_mean
from ablate.metrics import METRICS

SHARE_NAME = re.compile(r"acc|f1|auc|auroc|precision|recall|iou|top.?[15]\b|\bmap\b", re.IGNORECASE)
"""Names of metrics that are usually shares, from 0 to 1 or in per cent."""
LOSS_NAME = re.compile(
    r"loss|error|\berr\b|perplexity|\bppl\b|\brmse\b|\bmae\b|\bmse\b|\bwer\b|\bfid\b|brier|seconds|time|latency",
    re.IGNORECASE,
)
"""Names of metrics for which a lower value is usually better."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which columns of a table are compared, and by which rule. It is a `Rule` of `ablate.stats`.

    Attributes:
        arm: the column whose values are compared, such as a method.
        metric: the column with one number for each run.
        baseline: the arm that all others are compared with.
        seed: the column of seeds. Runs of two arms with the same seed are paired. None: no runs are paired.
        by: the column that splits the table, such as a data set. Each part has its own comparisons.
        margin: the smallest difference that matters, in the unit of the metric. None: the verdicts say only
            whether a difference was shown.
        lower_is_better: whether a lower value of the metric is better.
        alpha: the probability of any false difference, over all comparisons together.

    Raises:
        AblateError: a value is impossible.
    """

    arm: str
    metric: str
    baseline: str
    seed: str | None = None
    by: str | None = None
    margin: float | None = None
    lower_is_better: bool = False
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if self.margin is not None and not (math.isfinite(self.margin) and self.margin > 0):
            raise AblateError(
                f"margin: {self.margin:g} is not possible: give a number above 0, in the unit of "
                f"{self.metric}"
            )
        if not 0 < self.alpha < 0.5:
            raise AblateError(f"alpha: {self.alpha:g} is not possible: give a number between 0 and 0.5")
        roles: dict[str, str] = {}
        for role, column in self.columns.items():
            if column in roles:
                raise AblateError(
                    f"{role}: the column '{column}' is already given as {roles[column]}: name another column"
                )
            roles[column] = role

    @property
    def columns(self) -> dict[str, str]:
        """The column of each role: arm, metric, and if they are given, seed and by."""
        roles = {"arm": self.arm, "metric": self.metric, "seed": self.seed, "by": self.by}
        return {role: column for role, column in roles.items() if column is not None}

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher value of the metric is better."""
        return not self.lower_is_better

    @property
    def is_share(self) -> bool:
        """Whether the metric's name says that its values are shares."""
        return bool(SHARE_NAME.search(self.metric))

    @property
    def looks_turned(self) -> bool:
        """Whether the metric's name suggests another direction than the question has."""
        name = re.sub(r"^(test|val|valid|validation|eval|train)_", "", self.metric)
        if name in METRICS:
            return METRICS[name].higher_is_better == self.lower_is_better
        if LOSS_NAME.search(self.metric):
            return self.higher_is_better
        return self.is_share and self.lower_is_better

    def check_columns(self, place: str, known: Sequence[str]) -> None:
        """Check that the table has each column once.

        Raises:
            AblateError: a column is missing or occurs twice. The message suggests a similar name.
        """
        for role, column in self.columns.items():
            if column not in known:
                shown = did_you_mean(column, known) if known else "it has no columns"
                raise AblateError(f"{place}: {role}: the table has no column '{column}': {shown}")
            if list(known).count(column) > 1:
                raise AblateError(
                    f"{place}: {role}: the table has several columns '{column}': rename all but one"
                )
