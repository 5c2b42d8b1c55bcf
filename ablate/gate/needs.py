"""Count the seeds that would settle a requirement that the two folders leave open."""

from typing import NamedTuple

from ablate.gate.measuring import MetricChange
from ablate.gate.rules import Reason, Requirement
from ablate.stats.power import PAIRS_FOR_A_VERDICT, count_seeds_for_bound, count_seeds_for_equivalence
from ablate.study.effort import Decision

LEAST_DISTANCE = 0.03
"""The smallest distance between a mean and a bound for which seeds are counted, in standard deviations.

A smaller distance would need thousands of seeds.
"""


class Need(NamedTuple):
    """A number of seeds (or timing blocks) that settles a requirement with 80 % power."""

    number: int
    as_measured: bool = False
    """Whether the number assumes that the true difference is the measured one. Otherwise it assumes zero."""


def count_needed(
    requirement: Requirement, reason: Reason, change: MetricChange, decision: Decision
) -> Need | None:
    """Count the seeds that would settle a requirement. Return None if this number is not known."""
    if reason not in (Reason.UNCLEAR, Reason.TOO_FEW_SEEDS):
        return None
    pairs, difference, spread = change.measured.pairs, change.measured.difference, change.spread
    if spread is None or difference is None:
        return Need(PAIRS_FOR_A_VERDICT) if pairs < PAIRS_FOR_A_VERDICT else None
    alpha, margin = decision.alpha / change.tests, decision.margin
    if requirement != Requirement.BETTER:
        both = requirement != Requirement.NO_WORSE
        count = count_seeds_for_equivalence if both else count_seeds_for_bound
        if margin / spread >= LEAST_DISTANCE and (seeds := count(margin / spread, alpha)) > pairs:
            return Need(seeds)
        lost = abs(difference) if both else -difference
        inside = lost < margin
        distance, level = (margin - lost, alpha) if inside else (lost, alpha / 2)
    elif difference > 0:
        distance, level = difference, alpha / 2
    else:
        distance, level = margin - difference, alpha
    if distance / spread < LEAST_DISTANCE:
        return None
    return Need(max(pairs + 1, count_seeds_for_bound(distance / spread, level)), as_measured=True)
