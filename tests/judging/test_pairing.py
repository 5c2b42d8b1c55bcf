"""Pairs are used where they keep most runs, and the report shows which runs a comparison rests on."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ablate
from ablate.judging.findings import FindingKind
from ablate.stats.rankings import rank_arms

QUESTION: dict[str, Any] = {"arm": "arm", "seed": "seed", "metric": "score", "baseline": "a"}
RNG = np.random.default_rng(3)


def make_frame(of_a: list[float], of_b: list[float], first_seed: int = 0) -> pd.DataFrame:
    rows = [("a", seed, value) for seed, value in enumerate(of_a)]
    rows += [("b", seed, value) for seed, value in enumerate(of_b, start=first_seed)]
    return pd.DataFrame(rows, columns=["arm", "seed", "score"])


def draw(n: int) -> list[float]:
    return RNG.normal(10, 1, n).tolist()


PAIRINGS = {
    "all shared": (8, 8, 0, "seed", "8 paired seeds"),
    "half of the runs shared": (10, 10, 5, "seed", "5 paired seeds"),
    "most runs of one arm alone": (10, 5, 0, "seed", "5 paired seeds"),
    "fewer than half": (30, 30, 27, "seed", "Welch's test of 30 and 30 runs with 3 common seeds"),
    "too few": (10, 10, 8, "seed", "Welch's test of 10 and 10 runs with 2 common seeds"),
    "one": (10, 10, 9, "seed", "Welch's test of 10 and 10 runs with 1 common seed)"),
    "none": (10, 10, 10, "seed", "Welch's test of 10 and 10 runs without common seeds"),
    "no column": (10, 10, 0, None, "Welch's test of 10 and 10 runs, not paired"),
}


@pytest.mark.parametrize("case", PAIRINGS)
def test_the_test_is_named_with_what_the_runs_share(case: str) -> None:
    of_a, of_b, first, seed, told = PAIRINGS[case]
    frame = make_frame(draw(of_a), draw(of_b), first)
    judged = ablate.judge(frame, **{**QUESTION, "seed": seed})
    assert told in judged.answer
    unpaired = FindingKind.NO_COMMON_SEEDS in [finding.kind for finding in judged.findings]
    assert unpaired == ("Welch" in told)


def test_the_means_of_the_compared_runs_are_shown_beside_those_of_all_runs() -> None:
    frame = make_frame([7.0, 7.1, 6.9, 7.0, 9.07, 9.08, 9.09, 9.05], [8.94, 8.96, 8.98, 8.93], 4)
    judged = ablate.judge(frame, **QUESTION)
    assert "so a is ahead" in judged.answer
    told = r"The means of b and a are 8\.95\d* and 9\.07\d* over the shared seeds, and 8\.95\d* and 8\.03\d* over all"
    assert re.search(told, judged.answer)
    (lost,) = (finding for finding in judged.findings if finding.kind == FindingKind.LOST_PAIRS)
    assert "In 1 of these comparisons, the means of all runs are in the opposite order" in lost.sentence
    assert "over the shared seeds" not in ablate.judge(make_frame(draw(5), draw(5)), **QUESTION).answer


ORDERS: dict[str, Callable[[list[float]], list[float]]] = {
    "turned": lambda values: values[::-1], "rotated": lambda values: values[1:] + values[:1], "sorted": sorted,
}  # fmt: skip


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(-999, 999), min_size=3, max_size=6, unique=True), st.sampled_from(list(ORDERS)))
def test_the_same_values_in_another_order_have_the_same_mean(numbers: list[int], order: str) -> None:
    values = [number / 10 for number in numbers]
    other = ORDERS[order](values)
    for seed in ("seed", None):
        judged = ablate.judge(make_frame(values, other), **{**QUESTION, "seed": seed})
        assert judged.comparisons["difference"].tolist() == [0]
    means = pd.DataFrame({"a": [np.mean(values)] * 6, "b": [np.mean(other)] * 6, "c": [np.mean(values)] * 6})
    ranking = rank_arms(means, higher_is_better=True)
    assert ranking is not None
    assert ranking.mean_ranks.tolist() == [2, 2, 2]
    assert ranking.p_value == 1
