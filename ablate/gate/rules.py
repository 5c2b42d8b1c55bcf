"""The rules of the gate: whether measured numbers show that a requirement holds, or that it does not hold.

The functions take numbers, and return an outcome with its reason. They do nothing else. `ablate compare
--help` and `reports/README.md` state the same rules in words.
"""

from dataclasses import dataclass, replace
from enum import StrEnum, auto

from ablate.stats.power import PAIRS_FOR_A_VERDICT


class Requirement(StrEnum):
    """What a pipeline can require of the second folder, B, relative to the first, A."""

    NO_WORSE = "no-worse"
    BETTER = "better"
    EQUIVALENT = "equivalent"
    REPRODUCED = "reproduced"
    THROUGHPUT = "throughput"
    PARAMETERS = "parameters"


OF_THE_METRIC = (Requirement.NO_WORSE, Requirement.BETTER, Requirement.EQUIVALENT, Requirement.REPRODUCED)
"""The requirements on the metric. The other two requirements have a bound of their own."""


class Outcome(StrEnum):
    """What the folders show about a requirement."""

    HOLDS = "holds"
    FAILS = "does not hold"
    CANNOT_TELL = "cannot tell"


class Reason(StrEnum):
    """Why a check has its outcome. The values are the words in the JSON file and the JUnit file."""

    SAME = "same results in every seed"
    WITHIN_MARGIN = "any difference is smaller than the margin"
    NO_LOSS_BEYOND_MARGIN = "any loss is smaller than the margin"
    NO_GAIN_BEYOND_MARGIN = "any gain is smaller than the margin"
    WORSE = "worse"
    BETTER = "better"
    TRAINS_LESS_OFTEN = "trains less often"
    TRAINS_MORE_OFTEN = "trains more often"
    UNCLEAR = "the interval reaches beyond what the requirement allows"
    TOO_FEW_SEEDS = "too few seeds"
    SOME_DID_NOT_TRAIN = "some runs did not train"
    CRASHED = "some runs crashed"
    UNFINISHED = "a study is not finished"
    NO_COMMON_ARM = "the arm is not in both folders"
    OTHER_DATA = "the data differs"
    OTHER_SETTINGS = "the settings differ"
    OTHER_HARDWARE = "the hardware differs"
    TOO_FEW_BLOCKS = "too few undisturbed timing blocks"
    NOT_MEASURED = "not measured"
    ABOVE_BOUND = "above the bound"
    BELOW_BOUND = "below the bound"
    AT_BOUND = "the interval contains the bound"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How one arm changed from A to B. Positive values mean that B is better, also for a loss."""

    pairs: int
    """The number of seeds with a run in both folders.

    If `broken` is true, only seeds count for which the runs of both folders trained.
    """
    difference: float | None
    low: float | None
    """The lower bound of the difference.

    Each of the bounds `low` and `high` holds with confidence 1 − alpha/tests.
    """
    high: float | None
    significant: bool = False
    """Whether the corrected p-value is below alpha."""
    same: bool = False
    """Whether every run of B has the same result as the run of A with the same seed.

    Both folders must have at least three such seeds.
    """
    broken: bool = False
    """Whether some runs diverged, or stayed at the accuracy of guessing."""
    trains: int = 0
    """1 if B is shown to train more often than A, −1 if it is shown to train less often, else 0."""

    def swap(self) -> "Measured":
        """Return the same measurement with A and B exchanged."""
        low, high = (None if end is None else -end for end in (self.high, self.low))
        difference = None if self.difference is None else -self.difference
        return replace(self, difference=difference, low=low, high=high, trains=-self.trains)


class Loss(StrEnum):
    """What the results show about a loss: whether B is worse than A."""

    SMALL = auto()
    """Any loss is smaller than the margin."""
    REAL = auto()
    """There is a loss, and the loss may be larger than the margin."""
    LESS_OFTEN = auto()
    """B trains less often than A."""
    UNCLEAR = auto()


def find_loss(measured: Measured, margin: float) -> Loss:
    """Find what the results show about a loss from A to B.

    The margin is positive and in the unit of the differences.
    """
    if measured.trains < 0:
        return Loss.LESS_OFTEN
    if measured.difference is None or measured.low is None or measured.pairs < PAIRS_FOR_A_VERDICT:
        return Loss.UNCLEAR
    if measured.low > -margin:
        # If some runs did not train, the runs that trained cannot show that any loss is small.
        return Loss.UNCLEAR if measured.broken and measured.trains <= 0 else Loss.SMALL
    return Loss.REAL if measured.significant and measured.difference < 0 else Loss.UNCLEAR


def decide(requirement: Requirement, measured: Measured, margin: float) -> tuple[Outcome, Reason]:
    """Decide whether a requirement on the metric is shown to hold for one arm.

    `better` is the mirror image of `no-worse`: it holds if `no-worse` does not hold with A and B exchanged.
    `equivalent` and `reproduced` hold if `no-worse` holds in both directions.
    """
    if measured.same:
        return (Outcome.FAILS if requirement == Requirement.BETTER else Outcome.HOLDS), Reason.SAME
    lost, gained = find_loss(measured, margin), find_loss(measured.swap(), margin)
    failing = {
        Loss.REAL: (Outcome.FAILS, Reason.WORSE),
        Loss.LESS_OFTEN: (Outcome.FAILS, Reason.TRAINS_LESS_OFTEN),
    }
    if requirement == Requirement.NO_WORSE:
        found = failing | {Loss.SMALL: (Outcome.HOLDS, Reason.NO_LOSS_BEYOND_MARGIN)}
        return found.get(lost) or _doubt(measured)
    if requirement == Requirement.BETTER:
        if lost in failing:
            return failing[lost]
        # B may lose more by runs that do not train than it gains by the others.
        if measured.broken and gained == Loss.REAL:
            return Outcome.CANNOT_TELL, Reason.SOME_DID_NOT_TRAIN
        found = {
            Loss.REAL: (Outcome.HOLDS, Reason.BETTER),
            Loss.LESS_OFTEN: (Outcome.HOLDS, Reason.TRAINS_MORE_OFTEN),
            Loss.SMALL: (Outcome.FAILS, Reason.NO_GAIN_BEYOND_MARGIN),
        }
        return found.get(gained) or _doubt(measured)
    if lost in failing:
        return failing[lost]
    if gained == Loss.REAL:
        return Outcome.FAILS, Reason.BETTER
    if gained == Loss.LESS_OFTEN:
        return Outcome.FAILS, Reason.TRAINS_MORE_OFTEN
    both_small = lost == gained == Loss.SMALL
    return (Outcome.HOLDS, Reason.WITHIN_MARGIN) if both_small else _doubt(measured)


def _doubt(measured: Measured) -> tuple[Outcome, Reason]:
    """Say why the seeds do not settle the requirement."""
    if measured.broken:
        return Outcome.CANNOT_TELL, Reason.SOME_DID_NOT_TRAIN
    few = measured.pairs < PAIRS_FOR_A_VERDICT
    return Outcome.CANNOT_TELL, Reason.TOO_FEW_SEEDS if few else Reason.UNCLEAR


def decide_throughput(low: float | None, high: float | None, bound: float) -> tuple[Outcome, Reason]:
    """Decide whether B is at least `bound` times as fast as A.

    `low` and `high` are the ends of the interval of the ratio of throughputs, B / A.
    """
    if low is None or high is None:
        return Outcome.CANNOT_TELL, Reason.TOO_FEW_BLOCKS
    if low >= bound:
        return Outcome.HOLDS, Reason.ABOVE_BOUND
    return (Outcome.FAILS, Reason.BELOW_BOUND) if high < bound else (Outcome.CANNOT_TELL, Reason.AT_BOUND)


def decide_parameters(before: int | None, after: int | None, bound: float) -> tuple[Outcome, Reason]:
    """Decide whether B has at most `bound` times the parameters of A. Both numbers are exact."""
    if before is None or after is None:
        return Outcome.CANNOT_TELL, Reason.NOT_MEASURED
    if after <= bound * before:
        return Outcome.HOLDS, Reason.BELOW_BOUND
    return Outcome.FAILS, Reason.ABOVE_BOUND
