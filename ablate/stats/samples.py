"""Samples: the values from which one comparison is judged, paired by seed or not."""

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
    """The contrast's value for each seed. For two arms, this is the difference between their runs."""

    values: np.ndarray
    """`(pairs,)`"""

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
    """The data of one contrast at one look."""

    contrast: Contrast
    found: PairSample | GroupSample
    broken: Verdict | None = None
    """The verdict if some runs did not train, else None.

    If it is not None, `found` covers only the seeds in which all arms of the contrast trained.
    """
    training: TrainingTest | None = None
    """How often the two arms trained. None for an interaction, and if it is not known which runs trained."""

    @property
    def pair_values(self) -> np.ndarray:
        """The contrast's value for each seed, `(pairs,)`. It is empty if no seeds are shared."""
        return self.found.values if isinstance(self.found, PairSample) else np.array([])
