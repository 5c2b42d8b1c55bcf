"""The question that is put to a table of runs."""

import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

from ablate.errors import AblateError, did_you_mean
from ablate.judging.metric_names import guess_direction, is_share_name
from ablate.judging.names import normalise_name
from ablate.metrics import METRICS

SMALLEST_ALPHA = 1e-6
"""With a smaller alpha, an interval's confidence is rounded to 100%, and the interval can be infinite."""
SHOWN = 60
"""If a value has a wrong type, a message shows at most this many of its letters."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """The question about a table: which columns are compared, and by which rule.

    Functions of `ablate.stats` that need a `Rule` accept a `Question`.

    Attributes: arm: the column of what is compared, such as a method. metric: the column with one number for
    each run. baseline: the arm that all others are compared with. Spaces around it are dropped, as in the
    table. seed: the column of seeds. Runs of two arms with the same seed are paired. If it is None, no runs
    are paired. by: the column that splits the table, such as a data set. Each part has its own comparisons.
    margin: the smallest difference that matters, in the unit of the metric. If it is None, the verdicts say
    only whether a difference was shown. lower_is_better: whether a lower value of the metric is better.
    alpha: the probability that any comparison with the baseline shows a difference although there is none.
    Friedman's test and Nemenyi's test each have this level on their own.

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
        self._check_types()
        object.__setattr__(self, "baseline", normalise_name(self.baseline))
        if self.margin is not None and not 0 < self.margin < math.inf:
            raise AblateError(
                f"margin: {self.margin:g} is not possible: give a number above 0, in the unit of "
                f"{self.metric}"
            )
        if not SMALLEST_ALPHA <= self.alpha < 0.5:
            raise AblateError(
                f"alpha: {self.alpha:g} is not possible: give a number from {SMALLEST_ALPHA:g} to below 0.5"
            )
        roles: dict[str, str] = {}
        for role, column in self.columns.items():
            if column in roles:
                raise AblateError(
                    f"{role}: the column '{column}' is already given as {roles[column]}: name another column"
                )
            roles[column] = role

    def _check_types(self) -> None:
        """Check the types, because a notebook can pass any object.

        Raises:
            AblateError: the name of a column is not a text, or the margin or alpha is not a number.
        """
        for role, column in self.columns.items():
            if not isinstance(column, str):
                remedy = f"write '{column}'" if isinstance(column, (int, float, tuple)) else "give one name"
                raise AblateError(
                    f"{role}: {_show(column)} is not a column's name, which is a text: {remedy}"
                )
        for name in ("margin", "alpha"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, Real)):
                raise AblateError(f"{name}: {_show(value)} is not a number: write it as 0.01, without quotes")
        if max(self.margin or 0, self.alpha) > sys.float_info.max:
            raise AblateError("margin, alpha: one of these numbers is too large: give a smaller one")
        if not isinstance(self.lower_is_better, bool):
            raise AblateError(f"lower_is_better: {_show(self.lower_is_better)} is neither True nor False")

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
        return is_share_name(self.metric)

    @property
    def looks_turned(self) -> bool:
        """Whether the metric's name suggests the opposite of `lower_is_better`."""
        name = re.sub(r"^(test|val|valid|validation|eval|train)_", "", self.metric)
        if name in METRICS:
            return METRICS[name].higher_is_better == self.lower_is_better
        return guess_direction(self.metric) is self.lower_is_better

    def check_columns(self, place: str, known: Sequence[str]) -> None:
        """Check that the table has each column of the question exactly once.

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


def _show(value: object) -> str:
    """Write a value of a wrong type for a message, with its type."""
    return f"{str(value)[:SHOWN]!r} ({type(value).__name__})"
