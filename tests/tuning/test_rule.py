"""The tuning rule treats all arms alike, depends only on recorded scores, and tolerates noise."""

from collections.abc import Callable

import numpy as np
import pytest

from ablate.design.arms import make_grid
from ablate.design.designs import lay_out
from ablate.design.grid import Grid
from ablate.study.spec import StudySpec
from ablate.tuning.choice import Choice
from ablate.tuning.rule import advance
from ablate.tuning.trials import FIRST_TUNING_SEEDS, RESCORING_SEEDS, Trial

ARMS = ("baseline", "other")
Response = Callable[[str, float, int], float]


@pytest.fixture
def spec(small) -> StudySpec:
    return small(
        "tuning={trials: 5, learning_rate: {low: 0.01, high: 0.16, log: true}}", "recipe.learning_rate=0.04"
    )


def grids(spec: StudySpec, arms=ARMS) -> dict[str, Grid]:
    return dict.fromkeys(arms, make_grid(spec, lay_out(spec).arms[0]))


def tune(spec: StudySpec, response: Response, arms=ARMS) -> tuple[dict[str, Choice], dict[Trial, float]]:
    """Score every needed trial with `response(arm, learning_rate, seed)` until no trial is needed."""
    scores: dict[Trial, float] = {}
    for _ in range(20):
        wanted = advance(grids(spec, arms), scores, guessing=0.1)
        if isinstance(wanted, dict):
            return wanted, scores
        assert wanted
        assert not set(wanted) & set(scores), "asked twice"
        scores |= {t: response(t.arm, dict(t.setting)["learning_rate"], t.seed) for t in wanted}
    raise AssertionError("tuning does not end")


def peak(at: float, height: float = 0.9) -> Response:
    return lambda arm, rate, seed: height - 0.01 * abs(np.log2(rate / at))


def rates(scores, arm: str, seed: int) -> list[float]:
    return sorted(dict(t.setting)["learning_rate"] for t in scores if t.arm == arm and t.seed == seed)


def test_all_arms_try_the_same_points_and_score_the_shortlist_again(spec) -> None:
    choices, scores = tune(spec, peak(0.04))
    for arm in ARMS:
        assert rates(scores, arm, FIRST_TUNING_SEEDS[0]) == [0.01, 0.02, 0.04, 0.08, 0.16]
        assert (
            rates(scores, arm, RESCORING_SEEDS[0])
            == rates(scores, arm, RESCORING_SEEDS[1])
            == [0.02, 0.04, 0.08]
        )
        assert choices[arm].chosen == {"learning_rate": 0.04}
        assert not choices[arm].extended


def test_an_arm_takes_its_own_best_if_that_is_clearly_better(spec) -> None:
    at = {"baseline": 0.02, "other": 0.08}
    choices, _ = tune(spec, lambda arm, rate, seed: peak(at[arm])(arm, rate, seed))
    assert {arm: choice.chosen["learning_rate"] for arm, choice in choices.items()} == at


def test_an_arm_takes_its_own_best_although_it_fails_in_other_arms(spec) -> None:
    """Sigmoid networks need a high learning rate, at which ReLU networks stay at chance."""
    arms = ("sigmoid avg", "sigmoid max", "relu avg", "relu max")

    def score(arm: str, rate: float, seed: int) -> float:
        if arm.startswith("relu"):
            return 0.1 if rate > 0.05 else peak(0.02)(arm, rate, seed)
        return peak(0.16, height=0.8)(arm, rate, seed)

    choices, scores = tune(spec, score, arms)
    assert 0.16 in rates(scores, "relu max", RESCORING_SEEDS[0])
    assert [choices[arm].chosen["learning_rate"] for arm in arms] == [0.16, 0.16, 0.02, 0.02]


def test_an_arm_does_not_take_its_own_best_where_runs_of_all_arms_now_and_then_fail(spec) -> None:
    arms = tuple(f"arm{i}" for i in range(4))
    lucky = {arm: [False, True, True] for arm in arms} | {"arm0": [True, True, True]}

    def score(arm: str, rate: float, seed: int) -> float:
        seeds = [*FIRST_TUNING_SEEDS, *RESCORING_SEEDS]
        if rate < 0.16:
            return peak(0.04)(arm, rate, seed)
        return 0.95 if lucky[arm][seeds.index(seed)] else 0.1

    choices, _ = tune(spec, score, arms)
    assert choices["arm0"].best == {"learning_rate": 0.16}
    assert choices["arm0"].chosen == {"learning_rate": 0.04}


def test_an_arm_takes_its_own_best_that_other_arms_could_not_reach(spec) -> None:
    def score(arm: str, rate: float, seed: int) -> float:
        if arm == "other" and rate > 0.1:
            return 0.1
        return peak({"baseline": 0.64, "other": 0.04}[arm])(arm, rate, seed)

    choices, scores = tune(spec, score)
    assert max(rates(scores, "other", FIRST_TUNING_SEEDS[0])) == 0.16
    chosen = {arm: choice.chosen["learning_rate"] for arm, choice in choices.items()}
    assert chosen == {"baseline": 0.64, "other": 0.04}


def test_an_arm_takes_the_pooled_best_if_its_own_is_within_two_standard_errors(spec) -> None:
    def noisy(arm: str, rate: float, seed: int) -> float:
        lucky = arm == "other" and rate == 0.08
        wobble = {FIRST_TUNING_SEEDS[0]: 0.03, RESCORING_SEEDS[0]: 0.004, RESCORING_SEEDS[1]: -0.01}[seed]
        return peak(0.04)(arm, rate, seed) + (0.005 + wobble if lucky else 0)

    choices, _ = tune(spec, noisy)
    assert choices["other"].best == {"learning_rate": 0.08}
    assert choices["other"].chosen == choices["baseline"].chosen == {"learning_rate": 0.04}


def test_three_seeds_that_agree_by_chance_do_not_make_an_own_best_clear(spec) -> None:
    rng = np.random.default_rng(4)
    noise: dict[tuple[str, float, int], float] = {}

    def noisy(arm: str, rate: float, seed: int) -> float:
        if arm == "other" and rate == 0.08:
            return 0.906  # ahead by nearly the same on every seed, where other differences vary by a point
        return peak(0.04)(arm, rate, seed) + noise.setdefault((arm, rate, seed), 0.01 * rng.normal())

    noise |= {("other", 0.04, seed): 0.0 for seed in (*FIRST_TUNING_SEEDS, *RESCORING_SEEDS)}
    choices, _ = tune(spec, noisy)
    assert choices["other"].best == {"learning_rate": 0.08}
    assert choices["other"].chosen == choices["baseline"].chosen


def test_a_best_at_the_edge_widens_the_range_of_every_arm_once(spec) -> None:
    at = {"baseline": 0.04, "other": 5.0}
    choices, scores = tune(spec, lambda arm, rate, seed: peak(at[arm])(arm, rate, seed))
    for arm in ARMS:
        assert rates(scores, arm, FIRST_TUNING_SEEDS[0])[-2:] == [0.32, 0.64]
        assert choices[arm].extended
    assert choices["other"].at_edge  # only two steps; the report says that the best is at the edge
    assert not choices["baseline"].at_edge


@pytest.mark.parametrize("score", [0.0, 0.8], ids=["diverged", "fell 5 points"])
def test_no_arm_tries_values_beyond_one_that_failed_in_it(spec, score: float) -> None:
    def response(arm: str, rate: float, seed: int) -> float:
        if arm == "baseline":
            return score if rate >= 0.16 else peak(0.04)(arm, rate, seed)
        return peak(5.0)(arm, rate, seed)

    _, scores = tune(spec, response)
    assert max(rates(scores, "baseline", FIRST_TUNING_SEEDS[0])) == 0.16
    assert max(rates(scores, "other", FIRST_TUNING_SEEDS[0])) == 0.64


def test_the_second_step_of_widening_needs_the_scores_of_the_first(spec) -> None:
    def response(arm: str, rate: float, seed: int) -> float:
        return 0.0 if rate > 0.2 else peak(5.0)(arm, rate, seed)

    choices, scores = tune(spec, response)
    assert max(rates(scores, "other", FIRST_TUNING_SEEDS[0])) == 0.32
    assert choices["other"].chosen == {"learning_rate": 0.16}


def test_a_tie_keeps_the_recipes_own_value(spec) -> None:
    choices, _ = tune(spec, lambda arm, rate, seed: 0.5)
    assert choices["baseline"].chosen == choices["other"].chosen == {"learning_rate": 0.04}


def test_tuning_ends_even_for_an_arm_that_always_diverges(spec) -> None:
    choices, _ = tune(spec, lambda arm, rate, seed: 0.0 if arm == "other" else peak(0.02)(arm, rate, seed))
    assert choices["baseline"].chosen == {"learning_rate": 0.02}


def test_the_outcome_does_not_depend_on_the_order_in_which_scores_arrive(spec) -> None:
    rng = np.random.default_rng(0)
    noise: dict[tuple[str, float, int], float] = {}

    def response(arm: str, rate: float, seed: int) -> float:
        return noise.setdefault((arm, rate, seed), 0.8 + rng.normal(scale=0.02))

    choices, scores = tune(spec, response)
    partial: dict[Trial, float] = {}
    for _ in range(500):
        wanted = advance(grids(spec), partial, guessing=0.1)
        if isinstance(wanted, dict):
            break
        trial = wanted[rng.integers(len(wanted))]  # one at a time, in random order, as after a kill
        partial[trial] = scores[trial]
    assert wanted == choices
    assert partial == scores


def test_only_arms_with_equal_ranges_are_tuned_together(small) -> None:
    spec = small(
        "factors={optimizer: [adam, sgd], pooling: [avg, max]}",
        "recipe.learning_rate=0.02",
        "tuning={trials: 3, learning_rate: [{low: 0.01, high: 0.04, log: true},"
        " {when: {optimizer: sgd}, low: 0.1, high: 0.4, log: true}]}",
    )
    own = {arm.name: make_grid(spec, arm) for arm in lay_out(spec).arms}
    scores: dict[Trial, float] = {}
    while not isinstance(wanted := advance(own, scores, guessing=0.1), dict):
        scores |= {trial: peak(0.02)(trial.arm, dict(trial.setting)["learning_rate"], 0) for trial in wanted}
    assert list(wanted) == ["baseline", "optimizer=sgd", "pooling=max"]
    assert wanted["baseline"].chosen == wanted["pooling=max"].chosen == {"learning_rate": 0.02}
    assert wanted["optimizer=sgd"].chosen["learning_rate"] < 0.1  # widened downwards, within its own grid
    assert min(rates(scores, "baseline", FIRST_TUNING_SEEDS[0])) == 0.01
    assert max(rates(scores, "pooling=max", FIRST_TUNING_SEEDS[0])) == 0.04


def test_an_arm_without_a_range_needs_no_trial(small) -> None:
    spec = small(
        "factors={optimizer: [adam, sgd]}",
        "tuning={trials: 2, momentum: {when: {optimizer: sgd}, low: 0.5, high: 0.9}}",
    )
    own = {arm.name: make_grid(spec, arm) for arm in lay_out(spec).arms}
    wanted = advance(own, {}, guessing=0.1)
    assert {trial.arm for trial in wanted} == {"optimizer=sgd"}
    scores = {
        Trial(arm="optimizer=sgd", setting=(("momentum", m),), seed=s): m
        for m in (0.5, 0.9)
        for s in range(10_000, 10_003)
    }
    for _ in range(5):
        wanted = advance(own, scores, guessing=0.1)
        if isinstance(wanted, dict):
            break
        scores |= dict.fromkeys(wanted, 0.1)
    assert wanted["baseline"].chosen == {}
    assert wanted["optimizer=sgd"].chosen == {"momentum": 0.9}
