"""The audit questions units, margins, repeated rows and gaps, and the ranking survives gaps."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import ablate
from ablate.errors import AblateError
from ablate.judging.findings import FindingKind
from ablate.stats.rankings import rank_arms

QUESTION: dict[str, Any] = {"arm": "arm", "seed": "seed", "metric": "accuracy", "baseline": "a"}
A, B = [76.1, 76.3, 75.9, 76.2], [76.5, 76.4, 76.9, 77.0]


def judge(arms: dict[str, list[float]], **changes: Any) -> ablate.JudgedRuns:
    rows = [(arm, seed, value) for arm, values in arms.items() for seed, value in enumerate(values)]
    return ablate.judge(pd.DataFrame(rows, columns=["arm", "seed", "accuracy"]), **{**QUESTION, **changes})


def find(judged: ablate.JudgedRuns, kind: FindingKind) -> str:
    """Return the finding's sentence, or an empty text."""
    return " ".join(finding.sentence for finding in judged.findings if finding.kind == kind)


@pytest.mark.parametrize("chance", [[1.0, 1.0, 1.1, 1.0], [0.9, 0.9, 1.0, 0.8], [1.0, 76.0, 75.0, 76.0]])
def test_an_arm_at_chance_is_judged_and_a_finding_asks_for_the_unit(chance: list[float]) -> None:
    judged = judge({"a": A, "b": B, "broken": chance})
    assert "If they have different units, the answer is worthless" in find(judged, FindingKind.MIXED_UNITS)


def test_an_arm_with_shares_beside_values_in_per_cent_is_refused() -> None:
    with pytest.raises(AblateError, match="the arm 'b' has some values of accuracy from 0 to 1 and others"):
        judge({"a": A, "b": [0.765, 76.4, 0.769, 77.0]})


MARGINS = {
    "shares": ([0.5, 0.52, 0.51], [0.8, 0.83, 0.85], 1.0, "The margin of 1 is at least half of the range of accuracy, 0 to 1"),
    "per cent": ([10.0, 20.0, 30.0], [70.0, 80.0, 90.0], 50.0, "The margin of 50 is at least half of the range of accuracy, 0 to 100"),
    "large for these runs": (A[:3], B[:3], 1.5, "The margin of 1.5 is larger than the difference between any two runs, which is at most 1"),
    "small": (A[:3], B[:3], 0.5, ""),
    "small shares": ([0.5, 0.52, 0.51], [0.8, 0.83, 0.85], 0.01, ""),
    "none": (A[:3], B[:3], None, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", MARGINS)
def test_a_margin_that_nothing_can_exceed_is_questioned(case: str) -> None:
    ours, theirs, margin, told = MARGINS[case]
    found = find(judge({"a": ours, "b": theirs}, margin=margin), FindingKind.LARGE_MARGIN)
    assert found.startswith(told)
    assert bool(found) == bool(told)


REPEATS = {
    "written twice": ({"a": A * 2, "b": B * 2}, "Every value of every arm occurs 2 times"),
    "one row repeats": ({"a": [*A, A[0]], "b": B}, "1 row has the same arm and value as another row"),
    "some rows repeat": (
        {"a": [*A, A[0]], "b": [*B, *B]},
        "5 rows have the same arm and value as another row",
    ),
    "no row repeats": ({"a": A, "b": B}, ""),
}


@pytest.mark.parametrize("case", REPEATS)
def test_rows_that_repeat_are_found_without_a_column_of_seeds(case: str) -> None:
    arms, told = REPEATS[case]
    found = find(judge(arms, seed=None), FindingKind.DUPLICATES)
    assert found.startswith(told)
    assert bool(found) == bool(told)
    assert not find(judge(arms), FindingKind.DUPLICATES)


def make_parts(gaps: dict[str, str]) -> pd.DataFrame:
    """Seven parts with the arms a, b, c and d. `gaps` maps a part to the arms that it lacks."""
    rng = np.random.default_rng(2)
    rows = [
        {"data": part, "arm": arm, "seed": seed, "accuracy": shift + rng.normal(0, 0.01)}
        for part in "pqrstuv"
        for arm, shift in zip("abcd", (0.5, 0.6, 0.7, 0.8), strict=True)
        for seed in range(3)
        if arm not in gaps.get(part, "")
    ]
    return pd.DataFrame(rows)


GAPS: dict[str, tuple[dict[str, str], str, str]] = {
    "none": ({}, "", "Over 7 parts and 4 arms, d ranks best"),
    "an arm in one part": (dict.fromkeys("qrstuv", "d"), "d in q, d in r, d in s, d in t and 2 more", "Over 7 parts and 3 arms, c ranks best"),
    "a part with the baseline only": ({"q": "bcd"}, "3 of 21 pairs of arm and part have no run", "Over 6 parts and 4 arms, d ranks best"),
    "one cell": ({"v": "b"}, "1 of 21 pairs of arm and part has no run, and so no comparison: b in v", "Over 6 parts and 4 arms"),
    "gaps in many parts": ({"p": "d", "q": "d", "r": "c"}, "d in p, d in q and c in r", "Over 6 parts and 3 arms, c ranks best"),
}  # fmt: skip


@pytest.mark.parametrize("case", GAPS)
def test_each_gap_is_named_and_the_ranking_says_what_it_leaves_out(case: str) -> None:
    gaps, told, ranked = GAPS[case]
    judged = ablate.judge(make_parts(gaps), **QUESTION, by="data")
    found = find(judged, FindingKind.MISSING_RUNS)
    assert told in found
    assert bool(told) == bool(found)
    assert ranked in judged.answer
    assert ("4 arms" in ranked) != (
        "Not ranked, because they have no mean in many parts: d." in judged.answer
    )
    assert ("7 parts" in ranked) != (
        "Left out of the ranking, because an arm has no mean there: " in judged.answer
    )


def test_a_ranking_needs_five_parts_and_three_arms_after_gaps() -> None:
    whole = pd.DataFrame(np.arange(18.0).reshape(6, 3), columns=list("abc"))
    assert rank_arms(whole, higher_is_better=True) is not None
    whole.loc[:1, "c"] = np.nan
    assert rank_arms(whole, higher_is_better=True) is None
