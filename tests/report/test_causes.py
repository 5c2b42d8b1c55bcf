"""A cause of failure is told once, with the number of its runs."""

from ablate.report.causes import MOST_CAUSES, list_causes


def test_runs_with_one_cause_share_a_line() -> None:
    causes = {
        "confirm wide recipe seed 0": "ValueError: no",
        "tune wide recipe seed 7": "the loss is not finite",
        "confirm wide recipe seed 1": "ValueError: no",
    }
    assert list_causes(causes) == [
        "2 runs: ValueError: no (first: confirm wide recipe seed 0)",
        "1 run: the loss is not finite (tune wide recipe seed 7)",
    ]


def test_many_different_causes_end_with_a_count() -> None:
    told = list_causes({f"confirm a recipe seed {n}": f"cause {n}" for n in range(MOST_CAUSES + 2)})
    assert len(told) == MOST_CAUSES + 1
    assert told[-1] == "2 other causes"


def test_without_causes_nothing_is_told() -> None:
    assert list_causes({}) == []
