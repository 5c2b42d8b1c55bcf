"""A plan says what a study will take and what its seeds cannot do."""

from dataclasses import replace
from itertools import count

import pytest

from ablate.design.designs import lay_out
from ablate.experiment.price import price
from ablate.experiment.seed_warnings import warn_of_seeds
from ablate.study.spec import StudySpec


def warned(spec: StudySpec) -> str:
    return "\n".join(warn_of_seeds(spec, lay_out(spec)))


def test_enough_seeds_for_a_wide_margin_are_not_warned_of(small) -> None:
    assert warned(small("seeds=12", "decision.margin=0.05")) == ""


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("seeds=5",),
            "with 5 seeds, the p-value of the exact sign-flip test cannot be below 0.05: this needs at least 6 seeds",
        ),
        (
            ("seeds=6", "factors={pooling: [avg, max], activation: [sigmoid, relu]}", "design=factorial"),
            "for 4 comparisons",  # three arms and their interaction
        ),
        (("seeds=6", "design=search"), "for 4 comparisons"),  # its finalists
        (("seeds=10", "decision.margin=0.001"), "is smaller than the margin of 0.10 points"),
        (("seeds=1",), "with 1 seed, the study can hardly show that a difference is smaller than the margin"),
    ],
)
def test_seeds_that_cannot_do_what_is_asked_are_named_beforehand(small, overrides, message: str) -> None:
    assert message in warned(small(*overrides))


def test_twice_the_epochs_take_about_twice_as_long(small, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count(step=0.001)
    monkeypatch.setattr("ablate.experiment.price.time.perf_counter", lambda: next(ticks))
    short, long = (small(f"recipe.epochs={n}", "timing.blocks=0") for n in (200, 400))
    minutes = [price(spec, lay_out(spec), jobs=1).minutes[0] for spec in (short, long)]
    assert minutes[1] / minutes[0] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize(
    ("override", "words"),
    [("tuning={trials: 0}", "no runs to tune"), ("tuning.trials=2", "12 to 36 runs to tune")],
)
def test_runs_to_tune_are_a_range_or_none(small, override: str, words: str) -> None:
    spec = small(override, "timing.blocks=0")
    assert price(spec, lay_out(spec), jobs=1).runs_in_words == f"2 arms, {words}, 6 to confirm"


def test_a_search_is_priced_by_a_sample_of_its_candidates(small) -> None:
    spec = small(
        "design=search",
        "search={candidates: 20, generation: 4, finalists: 2}",
        "factors={pooling: [avg, max], activation: [sigmoid, relu]}",
    )
    priced = price(spec, lay_out(spec), jobs=2)
    assert priced.runs_in_words.startswith("20 candidates, then 3 arms, ")
    assert priced.runs_in_words.endswith(" to confirm")
    assert priced.minutes[0] <= priced.minutes[1]
    assert len(priced.arms) > 1


def test_what_the_lanes_engine_trains_needs_no_word(small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ABLATE_ENGINE", raising=False)
    spec = small("design=factorial", "factors={precision: [float32, bfloat16], pooling: [avg, max]}")
    priced = price(spec, lay_out(spec), jobs=1)
    if priced.arms[0].reason_for_loop:
        pytest.skip("no lanes engine here")
    assert [arm.reason_for_loop is None for arm in priced.arms] == [True, True, False, False]
    assert priced.engines_in_words == [
        "the torch loop trains precision=bfloat16; precision=bfloat16,pooling=max. "
        "The lanes engine is not used: it does not compute in bfloat16"
    ]
    assert replace(priced, arms=priced.arms[:1]).engines_in_words == []


def test_an_engine_that_was_forced_is_named(small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATE_ENGINE", "loop")
    spec = small()
    (line,) = price(spec, lay_out(spec), jobs=1).engines_in_words
    assert line.endswith(" trains every arm. The lanes engine is not used: ABLATE_ENGINE=loop")
