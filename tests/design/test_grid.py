"""The tuning grid: its points depend only on the study, and arms with equal ranges have equal grids."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.design.arms import make_grid
from ablate.design.designs import lay_out
from ablate.design.grid import Grid
from ablate.design.runs import name_setting
from ablate.study import study_file
from ablate.study.spec import StudySpec
from tests.conftest import STUDIES


def grid(spec: StudySpec, arm: int = 0) -> Grid:
    return make_grid(spec, lay_out(spec).arms[arm])


def test_one_nuisance_gets_an_even_grid_that_includes_the_recipes_own_value() -> None:
    spec = study_file.read(STUDIES / "lenet_pooling.yaml")
    assert [point["learning_rate"] for point in grid(spec).list_points()] == [
        0.45,
        0.636396,
        0.9,
        1.27279,
        1.8,
    ]
    # An even number of points misses the middle, so the recipe's own value is an extra point.
    spec = study_file.read(STUDIES / "lenet_pooling.yaml", ["tuning.trials=4"])
    assert 0.9 in [point["learning_rate"] for point in grid(spec).list_points()]


def test_several_nuisances_get_scattered_points_that_depend_only_on_the_study(small) -> None:
    override = "tuning={trials: 9, learning_rate: {low: 0.001, high: 0.1, log: true}, weight_decay: {low: 0, high: 0.1}}"
    points = grid(small(override)).list_points()
    assert points == grid(small(override)).list_points()
    assert len(points) == 9
    assert points[0] == {"learning_rate": 0.003, "weight_decay": 0.0}
    assert all(0.001 <= p["learning_rate"] <= 0.1 and 0 <= p["weight_decay"] <= 0.1 for p in points)
    assert points != grid(small(override, "name=other")).list_points()


def test_a_nuisance_that_is_a_whole_number_gets_whole_values(small) -> None:
    points = grid(small("tuning={trials: 4, batch_size: {low: 20, high: 100}}")).list_points()
    assert all(isinstance(point["batch_size"], int) for point in points)


def test_without_tuning_there_is_one_empty_setting(small) -> None:
    assert grid(small("tuning.trials=0")).list_points() == [{}]
    assert name_setting({}) == "recipe"


def test_the_grid_is_extended_by_its_own_step_until_a_value_is_impossible(small) -> None:
    spec = study_file.read(STUDIES / "lenet_pooling.yaml")
    assert grid(spec).find_point_beyond("high", 1) == {"learning_rate": 2.54558}
    assert grid(spec).find_point_beyond("low", 2) == {"learning_rate": 0.225}
    linear = small("tuning={trials: 3, learning_rate: {low: 0.001, high: 0.003}}")
    assert grid(linear).find_point_beyond("low", 1) is None  # zero
    assert grid(linear).find_point_beyond("high", 1) == {"learning_rate": 0.004}


@settings(max_examples=60, deadline=None)
@given(low=st.floats(1e-5, 0.1), factor=st.floats(1.01, 1e3), trials=st.integers(2, 20), log=st.booleans())
def test_points_lie_within_their_range_and_include_its_ends(
    low: float, factor: float, trials: int, log: bool
) -> None:
    high = low * factor
    spec = study_file.read(
        STUDIES / "lenet_pooling.yaml",
        [
            f"tuning={{trials: {trials}, learning_rate: {{low: {low!r}, high: {high!r}, log: {str(log).lower()}}}}}"
        ],
    )
    values = [point["learning_rate"] for point in grid(spec).list_points()]
    even = [value for value in values if value != 0.9]
    assert values == sorted(set(values))
    assert len(values) <= trials + 1
    assert 0.9 in values
    assert all(low * (1 - 1e-5) <= value <= high * (1 + 1e-5) for value in even)
    assert math.isclose(min([*even, low]), low, rel_tol=1e-5)


CONDITIONAL = (
    "tuning={trials: 3, learning_rate: ["
    "{low: 0.01, high: 0.04, log: true}, {when: {optimizer: sgd}, low: 0.1, high: 0.4, log: true}]}"
)


def test_an_arm_is_tuned_over_the_last_range_whose_condition_holds(small) -> None:
    spec = small("factors={optimizer: [adam, sgd]}", "recipe.learning_rate=0.02", CONDITIONAL)
    assert grid(spec).list_points() == [{"learning_rate": value} for value in (0.01, 0.02, 0.04)]
    # The recipe's 0.02 is meant for Adam. It is outside SGD's range, so it is not one of SGD's points.
    assert grid(spec, arm=1).list_points() == [{"learning_rate": value} for value in (0.1, 0.2, 0.4)]
    assert grid(spec, arm=1).own is None
    assert grid(spec) != grid(spec, arm=1)


def test_arms_that_share_their_ranges_have_equal_grids(small) -> None:
    spec = small()
    assert grid(spec, arm=0) == grid(spec, arm=1)


def test_a_nuisance_is_not_tuned_in_an_arm_for_which_it_has_no_range(small) -> None:
    spec = small(
        "factors={optimizer: [adam, sgd]}",
        "tuning={trials: 2, momentum: {when: {optimizer: sgd}, low: 0.5, high: 0.9}}",
    )
    assert grid(spec).list_points() == [{}]
    assert [point["momentum"] for point in grid(spec, arm=1).list_points()] == [0.5, 0.9]
