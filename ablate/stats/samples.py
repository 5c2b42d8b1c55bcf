"""Samples: the values from which one comparison is judged.

The values are paired by seed, or they come from two groups of runs that share no seeds.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ablate.stats.contrasts import Contrast
from ablate.stats.pair_tests import measure_pairs
from ablate.stats.rule import Rule
from ablate.stats.stability import TrainingTest
from ablate.stats.verdicts import Verdict
from ablate.stats.welch_tests import measure_groups


@dataclass(frozen=True, kw_only=True)
class PairSample:
    """The contrast's value for each seed. For two arms, the value is the difference between their runs."""

    values: np.ndarray
    """One value for each seed, `(pairs,)`."""

    def measure(self, rule: Rule, family: int, share: float) -> dict[str, Any]:
        """Make a row of the `comparisons` table. See `measure_pairs`."""
        return measure_pairs(self.values, rule, family, share)


@dataclass(frozen=True, kw_only=True)
class GroupSample:
    """The values of two arms whose runs share no seeds."""

    arm: np.ndarray
    """The values of the arm's runs, `(runs,)`."""
    baseline: np.ndarray
    """The values of the runs of the arm that it is compared with, `(runs,)`."""

    def measure(self, rule: Rule, family: int, share: float) -> dict[str, Any]:
        """Make a row of the `comparisons` table. See `measure_groups`."""
        return measure_groups(self.arm, self.baseline, rule, family, share)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The data of one contrast (comparison of arms) at one look (interim analysis)."""

    contrast: Contrast
    found: PairSample | GroupSample
    broken: Verdict | None = None
    """The verdict if some runs did not train, else None.

    If some runs did not train, `found` covers only the seeds in which all arms of the contrast trained.
    """
    training: TrainingTest | None = None
    """How often the two arms trained. None for an interaction, and if it is not known which runs trained."""

    @property
    def pair_values(self) -> np.ndarray:
        """The contrast's value for each seed, `(pairs,)`. The array is empty if the arms share no seeds."""
        return self.found.values if isinstance(self.found, PairSample) else np.array([])
