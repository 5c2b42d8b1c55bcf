"""Stability: how often the arms of a contrast train, compared by an exact paired test."""

from dataclasses import dataclass

from statsmodels.stats.contingency_tables import mcnemar

from ablate.stats.contrasts import Contrast
from ablate.stats.outcomes import Outcomes


@dataclass(frozen=True, kw_only=True)
class TrainingTest:
    """In how many seeds an arm and its reference (`baseline`) trained, with McNemar's test of the counts."""

    compared_seeds: int
    """The number of seeds in which neither run is missing or crashed."""
    arm_trained: int
    baseline_trained: int
    only_arm: int
    """The number of seeds in which only the arm trained."""
    only_baseline: int

    @property
    def p_value(self) -> float:
        """The two-sided p-value of McNemar's exact test.

        The test uses only the seeds in which one arm trained and the other did not.
        """
        table = [[0, self.only_arm], [self.only_baseline, 0]]
        return float(mcnemar(table, exact=True).pvalue) if self.only_arm + self.only_baseline else 1.0

    @property
    def least_p_value(self) -> float:
        """The smallest p-value that the test can give: 2/2ⁿ if only one arm trained in n seeds."""
        return min(1.0, 2.0 ** (1 - self.only_arm - self.only_baseline))


def count_trained(outcomes: Outcomes, contrast: Contrast) -> TrainingTest | None:
    """Count the seeds in which the two arms of a contrast trained.

    Return None for an interaction, which has more than two arms, and for arms without runs.
    """
    arms = [contrast.name, contrast.reference]
    if set(arms) != set(contrast.weights) or (both := outcomes.find_trained(arms)) is None:
        return None
    arm, baseline = both.T
    return TrainingTest(
        compared_seeds=len(both),
        arm_trained=int(arm.sum()),
        baseline_trained=int(baseline.sum()),
        only_arm=int((arm & ~baseline).sum()),
        only_baseline=int((baseline & ~arm).sum()),
    )
