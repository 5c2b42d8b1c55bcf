"""Stopping: when a comparison needs no more seeds, and how many seeds it takes on average."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from scipy import special, stats

from ablate.stats.looks import Look

if TYPE_CHECKING:  # pydantic takes a quarter of a second to import
    from ablate.study.effort import Decision

FUTILE = 0.1
"""A comparison stops if its probability of a definite verdict at the last look is below this number."""
SIMULATED_STUDIES = 4_000


class Step(StrEnum):
    """What happens to a comparison after a look. Tables and reports show these texts."""

    GO_ON = "go on"
    DECIDED = "decided"
    """The verdict is definite: more seeds would hardly change it."""
    FUTILE = "more seeds would hardly decide it"
    LAST_LOOK = "last look"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Half the width of the intervals at a look (interim analysis), in standard errors of the mean."""

    difference: float
    """Half the width for two claims: there is a difference, and the difference is larger than the margin."""
    equivalence: float
    """Half the width for the claim that the difference is smaller than the margin."""

    @classmethod
    def compute(cls, pairs: int, alpha: float) -> "Reach":
        """Compute half the widths of the t-intervals that belong to tests at level `alpha`."""
        return cls(
            difference=float(stats.t.isf(alpha / 2, pairs - 1)),
            equivalence=float(stats.t.isf(alpha, pairs - 1)),
        )


def compute_predictive_probability(
    mean: np.ndarray, spread: np.ndarray, pairs: int, last_pairs: int, decision: "Decision", alpha: float
) -> np.ndarray:
    """Compute the probability of a definite verdict at the last look, given the results so far.

    A verdict is definite if the whole interval lies beyond the margin, or if the whole interval lies inside
    it. The mean at the last look is predicted by Student's t distribution around the mean so far
    (Spiegelhalter, Freedman & Blackburn, 1986). The spread at the last look is taken to be the spread so far.

    Args:
        mean: the mean difference so far in each study, `(studies,)`.
        spread: the standard deviation of the differences so far in each study, `(studies,)`, above zero.
        pairs: the number of pairs so far.
        last_pairs: the number of pairs at the last look.
        decision: the margin.
        alpha: the level of the tests at the last look.
    """
    further = last_pairs - pairs
    scale = spread * np.sqrt(1 / pairs + 1 / further) * further / last_pairs
    reach, error = Reach.compute(last_pairs, alpha), spread / np.sqrt(last_pairs)
    beyond = decision.margin + reach.difference * error
    inside = decision.margin - reach.equivalence * error

    def below(limit: np.ndarray) -> np.ndarray:
        return np.asarray(special.stdtr(pairs - 1, (limit - mean) / scale))

    matters = 1 - below(beyond) + below(-beyond)
    equivalent = np.where(inside > 0, below(inside) - below(-inside), 0.0)
    return np.asarray(matters + equivalent)


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """Results of simulated studies: after how many seeds each stopped, and with which mean difference."""

    seeds: np.ndarray
    means: np.ndarray
    errors: np.ndarray
    """The standard error of each mean."""
    reaches: np.ndarray
    """Half the width of each difference's interval, in standard errors."""


def simulate(
    effect: float, spread: float, looks: Sequence[Look], decision: "Decision", contrasts: int
) -> Simulation:
    """Simulate studies with one comparison each, and stop each study by the rules of its looks.

    Each seed's difference is drawn from a normal distribution with mean `effect` and standard deviation
    `spread`. The comparison is tested at the level alpha/contrasts (Bonferroni). A real study uses Holm's
    correction, so a real study stops a little earlier. The random numbers are the same in every call.
    """
    rng = np.random.default_rng(0)
    values = rng.normal(effect, spread, size=(SIMULATED_STUDIES, looks[-1].seeds))
    seeds = np.zeros(SIMULATED_STUDIES, dtype=int)
    means, errors, reaches = np.zeros((3, SIMULATED_STUDIES))
    for look in looks:
        seen = values[:, : look.seeds]
        mean, error = seen.mean(axis=1), seen.std(axis=1, ddof=1) / np.sqrt(look.seeds)
        reach = Reach.compute(look.seeds, decision.alpha * look.share / contrasts)
        stops = np.abs(mean) - reach.difference * error > decision.margin
        stops |= np.abs(mean) + reach.equivalence * error < decision.margin
        if look is looks[-1]:
            stops[:] = True
        else:
            alpha = decision.alpha * looks[-1].share / contrasts
            chance = compute_predictive_probability(
                mean, error * np.sqrt(look.seeds), look.seeds, looks[-1].seeds, decision, alpha
            )
            stops |= chance < FUTILE
        new = stops & (seeds == 0)
        seeds[new], reaches[new] = look.seeds, reach.difference
        means[new], errors[new] = mean[new], error[new]
    return Simulation(seeds=seeds, means=means, errors=errors, reaches=reaches)


def estimate_bias(
    difference: float, spread: float, looks: Sequence[Look], decision: "Decision", contrasts: int
) -> float:
    """Estimate the bias of the mean difference that early stopping causes, from simulated studies.

    The simulation takes the measured difference and spread as the true values (parametric bootstrap). A study
    is more likely to stop early if its difference is large by chance. The mean difference of such a study is
    then too large on average.
    """
    return float(simulate(difference, spread, looks, decision, contrasts).means.mean() - difference)
