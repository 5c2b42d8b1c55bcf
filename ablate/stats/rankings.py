"""Rank many arms over many data sets: Friedman's test, and Nemenyi's test of all pairs of arms."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from ablate.errors import AblateError, install_command
from ablate.stats.rounding import choose_digits

FEWEST_ARMS, FEWEST_PARTS = 3, 5
"""A ranking needs at least this many arms, and data sets in which all arms have a mean."""


class NemenyiError(AblateError):
    """Nemenyi's test needs a package that is not installed. The message says how to install it."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The mean ranks of arms over data sets, and two tests of them."""

    mean_ranks: pd.Series
    """The mean rank of each arm, the best arm first. Rank 1 is the best; equal means share a rank."""
    parts: int
    """The number of data sets in which all arms have a mean."""
    p_value: float
    """The p-value of Friedman's test of the hypothesis that the ranks of the arms do not differ."""
    pairs: pd.DataFrame | None
    """The p-values of Nemenyi's test, `(arms, arms)`. They are corrected for all pairs of arms. None if the
    package for the test is not installed."""


def rank_arms(means: pd.DataFrame, *, higher_is_better: bool) -> Ranking | None:
    """Rank the arms by their means in each data set (Demšar, 2006, "Statistical comparisons of classifiers").

    Return None if there are fewer than `FEWEST_ARMS` arms, or if all arms have a mean in fewer than
    `FEWEST_PARTS` data sets.

    Args:
        means: the mean of each arm, with data sets as rows and arms as columns. NaN if there is none.
        higher_is_better: whether the arm with the highest mean has rank 1.
    """
    whole = means.dropna()
    # Means of the same values in another order may differ by a rounding error, which would decide a rank.
    rounded = [row.round(choose_digits(row.to_numpy())) for _, row in whole.iterrows()]
    whole = pd.DataFrame(rounded, index=whole.index, columns=whole.columns)
    if whole.shape[1] < FEWEST_ARMS or whole.shape[0] < FEWEST_PARTS:
        return None
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
    return Ranking(mean_ranks=mean_ranks, parts=len(whole), p_value=p_value, pairs=pairs)


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
