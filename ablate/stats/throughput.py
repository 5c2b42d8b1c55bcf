"""Compute throughput from timing blocks: each arm's speed, and the ratio of this speed to the baseline's.

In a timing block, each arm (variant of the network) trains alone for a short time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ablate.stats.intervals import Interval, compute_mean_interval
from ablate.stats.power import PAIRS_FOR_A_VERDICT, count_seeds_for_bound

LEAST_DISTANCE = 0.08
"""The smallest distance between a mean and a bound, in standard deviations, that timing can resolve.

With a smaller distance, it takes more than a thousand timing blocks to show on which side the mean lies.
"""


def summarise_throughput(
    timing: pd.DataFrame, arms: Sequence[str], confidence: float
) -> dict[str, dict[str, float]]:
    """Compute each arm's examples per second, and the ratio of this speed to the baseline's speed.

    The speed is the median over timing blocks. The ratio is the geometric mean of the blocks' ratios. The
    t-interval of the ratio is computed from logarithms. A block times the baseline first and last. The mean
    of these two measurements cancels a steady drift. Disturbed measurements are left out. An arm has no ratio
    if fewer than three blocks have undisturbed measurements of both the arm and the baseline.

    Returns:
        For each arm, the columns of the `arms` table that describe throughput.
    """
    by_block, energies = _average_by_block(timing), _compute_energies(timing)
    found: dict[str, dict[str, float]] = {}
    for arm in arms:
        if arm not in by_block.index.get_level_values("arm"):
            continue
        blocks = by_block.loc[arm].astype(float)
        found[arm] = {"examples_per_second": float(blocks.median())}
        if arm in energies.index:
            found[arm]["joules_per_example"] = float(energies[arm])
        # This interval of the median holds for any distribution. A 95 % interval needs at least six blocks.
        tested: Any = stats.quantile_test(blocks.to_numpy(), p=0.5)
        low, high = tested.confidence_interval(confidence)
        if math.isfinite(low) and math.isfinite(high):
            found[arm] |= {"examples_per_second_ci_low": low, "examples_per_second_ci_high": high}
        if arm == arms[0]:
            found[arm]["examples_per_second_ratio"] = 1.0
        else:
            ratios = _compute_ratios(by_block, arm, arms[0])
            logarithm = compute_mean_interval(np.log(ratios.to_numpy()).tolist(), confidence)
            if logarithm is not None and len(ratios) >= PAIRS_FOR_A_VERDICT:
                ratio = logarithm.exponentiate()
                found[arm] |= {
                    "examples_per_second_ratio": ratio.mean,
                    "examples_per_second_ratio_ci_low": ratio.low,
                    "examples_per_second_ratio_ci_high": ratio.high,
                }
    return found


@dataclass(frozen=True, kw_only=True)
class RatioChange:
    """How the ratio of an arm's throughput to the baseline's throughput changed between two timings."""

    before: np.ndarray
    """The logarithm of the ratio in every undisturbed block of the first timing, `(blocks,)`."""
    after: np.ndarray
    """The logarithm of the ratio in every undisturbed block of the second timing, `(blocks,)`."""

    @property
    def blocks(self) -> int:
        """The number of undisturbed blocks in the timing that has fewer of them."""
        return min(len(self.before), len(self.after))

    def compute_interval(self, confidence: float) -> Interval | None:
        """Compute by which factor the ratio changed, with the interval of Welch's t-test.

        Return None if one of the timings has fewer than three undisturbed blocks.
        """
        if self.blocks < PAIRS_FOR_A_VERDICT:
            return None
        test = stats.ttest_ind(self.after, self.before, equal_var=False)
        low, high = test.confidence_interval(confidence)
        middle = float(self.after.mean() - self.before.mean())
        return Interval(mean=middle, low=low, high=high).exponentiate()

    def count_blocks(self, bound: float, alpha: float) -> int | None:
        """Count the timing blocks that are needed to show on which side of a bound the factor lies.

        The calculation takes the measured factor as the true factor. Both timings need this many blocks.
        Return None if more than a thousand blocks would be needed, or if there are too few blocks to know the
        spread.
        """
        if self.blocks < PAIRS_FOR_A_VERDICT:
            return None
        spread = math.sqrt(float(self.before.var(ddof=1) + self.after.var(ddof=1)))
        distance = abs(float(self.after.mean() - self.before.mean()) - math.log(bound))
        if spread == 0 or distance / spread < LEAST_DISTANCE:
            return None
        return count_seeds_for_bound(distance / spread, alpha)


def measure_ratio_change(before: pd.DataFrame, after: pd.DataFrame, arm: str, baseline: str) -> RatioChange:
    """Measure how the ratio of an arm's throughput to the baseline's changed between two timings."""
    logs = (
        np.log(_compute_ratios(_average_by_block(timing), arm, baseline).to_numpy())
        for timing in (before, after)
    )
    return RatioChange(before=next(logs), after=next(logs))


def add_speeds(timing: pd.DataFrame) -> pd.DataFrame:
    """Add the column `examples_per_second` to a table of timing blocks."""
    return timing.assign(examples_per_second=(timing["examples"] / timing["seconds"]).astype(float))


def _compute_energies(timing: pd.DataFrame) -> pd.Series:
    """Compute joules per example by arm: the median over undisturbed measurements with counted energy."""
    clean = timing[~timing["disturbed"].astype(bool) & timing["joules"].notna()]
    return (clean["joules"] / clean["examples"]).astype(float).groupby(clean["arm"]).median()


def _average_by_block(timing: pd.DataFrame) -> pd.Series:
    """Compute examples per second by arm and block, from undisturbed measurements.

    The baseline is measured twice in a block, and its two values are averaged.
    """
    clean = add_speeds(timing[~timing["disturbed"].astype(bool)])
    return clean.groupby(["arm", "block"])["examples_per_second"].mean()


def _compute_ratios(by_block: pd.Series, arm: str, baseline: str) -> pd.Series:
    """Divide the arm's speed by the baseline's speed in every block that has both."""
    if not {arm, baseline} <= set(by_block.index.get_level_values("arm")):
        return pd.Series(dtype=float)
    return (by_block.loc[arm] / by_block.loc[baseline]).dropna()


def measure_drift(timing: pd.DataFrame) -> float | None:
    """Compute the change of the baseline's speed from the start to the end of a block.

    The result is the median ratio over blocks minus 1, or None without timing blocks.
    """
    if timing.empty:
        return None
    timed = add_speeds(timing)
    ends = timed.groupby("block")["position"].agg(["min", "max"])
    at = timed.set_index(["block", "position"])["examples_per_second"]
    ratios = [at.loc[block, last] / at.loc[block, first] for block, first, last in ends.itertuples()]
    return float(np.median(ratios)) - 1


def measure_spread(timing: pd.DataFrame) -> float | None:
    """Divide the interquartile range of the baseline's undisturbed speeds by their median.

    Return None for fewer than three undisturbed measurements.
    """
    if timing.empty:
        return None
    first = timing.sort_values(["block", "position"])["arm"].iloc[0]
    clean = timing[(timing["arm"] == first) & ~timing["disturbed"].astype(bool)]
    speed = add_speeds(clean)["examples_per_second"]
    if len(speed) < PAIRS_FOR_A_VERDICT:
        return None
    return float((speed.quantile(0.75) - speed.quantile(0.25)) / speed.median())
