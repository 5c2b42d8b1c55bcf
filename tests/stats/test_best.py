"""The mark "level with the best" is on every arm that the seeds do not tell from the best arm."""

import numpy as np
import pandas as pd
import pytest

from ablate.stats.best import find_best
from ablate.study.effort import Decision

ACCURACY, LOSS = Decision(), Decision(metric="log_loss")


def frame(**arms: list[float]) -> pd.DataFrame:
    return pd.DataFrame(arms, dtype=float).rename_axis("seed")


def test_the_best_arm_and_those_level_with_it_are_found() -> None:
    values = frame(a=[0.70, 0.71, 0.72, 0.70], b=[0.90, 0.91, 0.92, 0.93], c=[0.91, 0.90, 0.91, 0.93])
    found = find_best(values, ["a", "b", "c"], ACCURACY)
    assert found is not None
    assert (found.arm, found.level, found.tests) == ("b", {"c"}, 3)
    lowest = find_best(values, ["a", "b", "c"], LOSS)
    assert lowest is not None
    assert (lowest.arm, lowest.level) == ("a", frozenset())


@pytest.mark.parametrize(
    ("values", "arms"),
    [
        (frame(a=[0.7, 0.8, 0.9]), ["a"]),
        (frame(a=[0.7, 0.8], b=[0.8, 0.9]), ["a", "b"]),
        (frame(a=[0.7, 0.8, 0.9], b=[0.8, np.nan, 0.9]), ["a", "b"]),
    ],
)
def test_one_arm_or_too_few_seeds_have_no_best(values: pd.DataFrame, arms: list[str]) -> None:
    assert find_best(values, arms, ACCURACY) is None


def test_arms_without_variance_between_them_are_level() -> None:
    values = frame(a=[0.7, 0.8, 0.9], b=[0.71, 0.81, 0.91])
    found = find_best(values, ["a", "b"], ACCURACY)
    assert found is not None
    assert found.level == {"a"}


def test_equal_arms_are_called_worse_than_the_best_in_at_most_alpha_of_studies() -> None:
    rng, studies, wrong = np.random.default_rng(0), 250, 0
    arms = list("abcdef")
    for _ in range(studies):
        found = find_best(pd.DataFrame(rng.normal(size=(8, len(arms))), columns=arms), arms, ACCURACY)
        assert found is not None
        wrong += len(found.level) < len(arms) - 1
    assert wrong / studies <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)
