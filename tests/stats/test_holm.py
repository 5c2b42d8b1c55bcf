"""Holm's correction gives the values of statsmodels, the library that is slower."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from ablate.stats.holm import correct_by_holm


@pytest.mark.parametrize("count", [1, 2, 3, 10, 99])
def test_corrected_values_are_those_of_statsmodels(count: int) -> None:
    rng = np.random.default_rng(count)
    for p_values in (rng.random(count), rng.random(count) ** 4, rng.integers(0, 4, count) / 4):
        assert correct_by_holm(p_values).tolist() == multipletests(p_values, method="holm")[1].tolist()


def test_without_tests_there_is_nothing_to_correct() -> None:
    assert correct_by_holm([]).tolist() == []
