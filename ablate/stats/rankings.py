"""Rank many arms over many data sets: Friedman's test, and Nemenyi's test of all pairs of arms."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ablate.errors import AblateError, install_command
from ablate.stats.rounding import choose_digits

FEWEST_ARMS, FEWEST_PARTS = 3, 5
"""A ranking needs at least this many arms, and at least this many data sets with a mean of every arm."""


class NemenyiError(AblateError):
    """Nemenyi's test needs a package that is not installed. The message says how to install it."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The mean ranks of arms (variants of the network) over data sets, and two tests of these ranks."""

    mean_ranks: pd.Series
    """The mean rank of each arm, the best arm first. Rank 1 is the best; equal means share a rank."""
    parts: int
    """The number of data sets that are used."""
    arms_left_out: list[str]
    """The arms that lack a mean in too many data sets."""
    parts_left_out: list[str]
    """The data sets in which one of the ranked arms has no mean."""
    p_value: float
    """The p-value of Friedman's test of the hypothesis that the ranks of the arms do not differ."""
    pairs: pd.DataFrame | None
    """The p-values of Nemenyi's test, `(arms, arms)`, corrected for all pairs of arms.

    None if the package for this test is not installed.
    """


def rank_arms(means: pd.DataFrame, *, higher_is_better: bool) -> Ranking | None:
    """Rank the arms by their means in each data set (Demšar, 2006, "Statistical comparisons of classifiers").

    The ranking uses data sets in which all ranked arms have a mean. Arms that lack a mean in more than half
    of the data sets are left out. If there are then still too few data sets with a mean of every arm, more
    arms are left out. The arm that lacks most means is left out first. Return None if fewer than
    `FEWEST_ARMS` arms or `FEWEST_PARTS` data sets are left.

    Args:
        means: the mean of each arm in each data set. Rows are data sets, columns are arms. NaN marks a
            missing mean.
        higher_is_better: whether the arm with the highest mean has rank 1.
    """
    whole = _choose_whole(means)
    if whole.shape[1] < FEWEST_ARMS or whole.shape[0] < FEWEST_PARTS:
        return None
    # If the same values are averaged in another order, their mean can differ by a rounding error. Rounding
    # prevents that such an error decides a rank.
    rounded = [row.round(choose_digits(row.to_numpy())) for _, row in whole.iterrows()]
    whole = pd.DataFrame(rounded, index=whole.index, columns=whole.columns)
    ranks = whole.rank(axis="columns", ascending=not higher_is_better)
    mean_ranks = ranks.mean().sort_values(kind="stable")
    if (ranks.nunique(axis="columns") == 1).all():  # every arm ties with every other arm in every data set
        p_value = 1.0
    else:
        p_value = float(stats.friedmanchisquare(*(whole[arm] for arm in whole)).pvalue)
    try:
        pairs = test_all_pairs(whole)
    except NemenyiError:
        pairs = None
    return Ranking(
        mean_ranks=mean_ranks,
        parts=len(whole),
        arms_left_out=[str(arm) for arm in means.columns.difference(whole.columns, sort=False)],
        parts_left_out=[str(part) for part in means.index.difference(whole.index, sort=False)],
        p_value=p_value,
        pairs=pairs,
    )


def _choose_whole(means: pd.DataFrame) -> pd.DataFrame:
    """Choose arms and data sets such that each arm has a mean in each data set. See `rank_arms`."""
    useful = means[means.notna().sum(axis="columns") > 1]
    kept = useful.loc[:, useful.notna().mean() >= 0.5]
    while len(kept.dropna()) < FEWEST_PARTS and kept.shape[1] > FEWEST_ARMS:
        missing = kept.isna().sum()
        kept = kept.drop(columns=missing[missing == missing.max()].index[-1])
    return kept.dropna()


def test_all_pairs(whole: pd.DataFrame) -> pd.DataFrame:
    """Compute the p-values of Nemenyi's test, `(arms, arms)`, from the means of arms in data sets.

    Raises:
        NemenyiError: scikit-posthocs is not installed.
    """
    try:
        from scikit_posthocs import posthoc_nemenyi_friedman
    except ImportError:
        raise NemenyiError(
            f"Nemenyi's test needs a package that is not installed: {install_command('judge')}"
        ) from None
    found = np.asarray(posthoc_nemenyi_friedman(whole.to_numpy()), dtype=float)
    return pd.DataFrame(found, index=whole.columns, columns=whole.columns)
