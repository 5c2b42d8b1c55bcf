"""Factors become the arms they ask for, nuisances the points they span, and a run's key tells runs apart."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate import space, study
from ablate.errors import StudyError
from ablate.space import Run, arms, beyond, confirm_runs, setting_name, tuning_points
from tests.conftest import STUDIES


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("fallback", [False, True])
def test_every_study_of_ours_has_only_possible_arms(path, fallback: bool) -> None:
    assert len(arms(study.read(path, fallback=fallback))) > 1


def test_one_at_a_time_changes_one_thing_an_arm(small) -> None:
    found = arms(small("factors={pooling: [avg, max], activation: [relu, tanh], kernel_size: [5, [3, 5]]}"))
    assert [arm.name for arm in found] == [
        "baseline",
        "pooling=max",
        "activation=relu",
        "activation=tanh",
        "kernel_size=[3 5]",
    ]
    assert found[0].factors == {"pooling": "avg", "activation": "sigmoid", "kernel_size": 5}
    assert found[2].keywords == {"pooling": "avg", "activation": "relu"}


def test_a_factor_of_the_recipe_changes_the_recipe(small) -> None:
    found = arms(small("factors={batch_size: [64, 128]}"))
    assert [arm.recipe.batch_size for arm in found] == [64, 128]


def test_arms_that_differ_have_file_names_that_differ(small) -> None:
    found = arms(small("factors={dropout: [0.0, 0.05, 0.5], kernel_size: [5, [5, 3], [3, 5]]}"))
    assert len({arm.slug for arm in found}) == len(found)
    assert all(arm.slug.replace("-", "").isalnum() for arm in found)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("factors={poling: [max]}", r"unknown keyword 'poling': did you mean 'pooling'"),
        ("factors={pooling: [avg]}", r"nothing differs from the baseline"),
        ("factors={kernel_size: [5, 29]}", r"factors\.kernel_size\.1: arm kernel_size=29: .*29×29 kernel"),
        ("factors={optimizer: [adam, adm]}", r"factors\.optimizer\.1: 'adm'"),
        ("factors={learning_rate: [0.1, -1]}", r"is both|factors\.learning_rate\.1"),
        ("baseline={kernel_size: 40}", r"baseline\.kernel_size: arm baseline"),
        ("baseline={momentum: 0.9}", r"'momentum' belongs to the recipe"),
        ("model=lenett", r"did you mean 'lenet'"),
        ("tuning={trials: 3, activation: {low: 1, high: 2}}", r"'sigmoid' is no number"),
        (
            "tuning={trials: 3, dropout: {low: 0.1, high: 1.9}}",
            r"1\.0 is no probability|1\.9 is no probability",
        ),
    ],
)
def test_what_no_network_can_be_is_refused_before_anything_trains(small, override: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        arms(small(override))


def test_one_nuisance_is_tried_on_an_even_grid_that_holds_the_recipes_own_value() -> None:
    spec = study.read(STUDIES / "lenet_pooling.yaml")
    assert [point["learning_rate"] for point in tuning_points(spec)] == [0.45, 0.636396, 0.9, 1.27279, 1.8]
    # An even number of points misses the middle; the recipe's own value comes on top.
    spec = study.read(STUDIES / "lenet_pooling.yaml", ["tuning.trials=4"])
    assert 0.9 in [point["learning_rate"] for point in tuning_points(spec)]


def test_several_nuisances_are_tried_at_scattered_points_fixed_by_the_study(small) -> None:
    override = "tuning={trials: 9, learning_rate: {low: 0.001, high: 0.1, log: true}, weight_decay: {low: 0, high: 0.1}}"
    points = tuning_points(small(override))
    assert points == tuning_points(small(override))
    assert len(points) == 9
    assert points[0] == {"learning_rate": 0.003, "weight_decay": 0.0}
    assert all(0.001 <= p["learning_rate"] <= 0.1 and 0 <= p["weight_decay"] <= 0.1 for p in points)
    assert points != tuning_points(small(override, "name=other"))


def test_whole_numbers_stay_whole(small) -> None:
    points = tuning_points(small("tuning={trials: 4, batch_size: {low: 20, high: 100}}"))
    assert all(isinstance(point["batch_size"], int) for point in points)


def test_without_tuning_there_is_one_empty_setting(small) -> None:
    assert tuning_points(small("tuning.trials=0")) == [{}]
    assert setting_name({}) == "recipe"


def test_the_grid_goes_on_in_its_own_step_until_a_value_cannot_be(small) -> None:
    spec = study.read(STUDIES / "lenet_pooling.yaml")
    assert beyond(spec, "high", 1) == {"learning_rate": 2.54558}
    assert beyond(spec, "low", 2) == {"learning_rate": 0.225}
    linear = small("tuning={trials: 3, learning_rate: {low: 0.001, high: 0.003}}")
    assert beyond(linear, "low", 1) is None  # zero
    assert beyond(linear, "high", 1) == {"learning_rate": 0.004}


@settings(max_examples=60, deadline=None)
@given(low=st.floats(1e-5, 0.1), factor=st.floats(1.01, 1e3), trials=st.integers(2, 20), log=st.booleans())
def test_points_lie_in_their_range_and_hold_its_ends(
    low: float, factor: float, trials: int, log: bool
) -> None:
    high = low * factor
    spec = study.read(
        STUDIES / "lenet_pooling.yaml",
        [
            f"tuning={{trials: {trials}, learning_rate: {{low: {low!r}, high: {high!r}, log: {str(log).lower()}}}}}"
        ],
    )
    values = [point["learning_rate"] for point in tuning_points(spec)]
    grid = [value for value in values if value != 0.9]
    assert values == sorted(set(values))
    assert len(values) <= trials + 1
    assert 0.9 in values
    assert all(low * (1 - 1e-5) <= value <= high * (1 + 1e-5) for value in grid)
    assert math.isclose(min([*grid, low]), low, rel_tol=1e-5)


def _run(spec, **changes) -> Run:
    arm = arms(spec)[changes.pop("arm", 0)]
    return Run(**{"phase": "confirm", "arm": arm, "setting": {"learning_rate": 0.9}, "seed": 0, **changes})


def test_equal_runs_have_equal_keys(small) -> None:
    assert _run(small()).key(small(), "cpu") == _run(small("seeds=9")).key(small("seeds=9"), "cpu")


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"phase": "tune"}, {"arm": 1}, {"setting": {"learning_rate": 0.8}}, {"setting": {}}],
    ids=str,
)
def test_runs_that_differ_have_keys_that_differ(small, change) -> None:
    assert _run(small()).key(small(), "cpu") != _run(small(), **change).key(small(), "cpu")


@pytest.mark.parametrize(
    "override", ["recipe.epochs=3", "validation=200", "baseline.kernel_size=3", "recipe.momentum=0.1"]
)
def test_another_condition_makes_another_run(small, override: str) -> None:
    assert _run(small()).key(small(), "cpu") != _run(small(override)).key(small(override), "cpu")
    assert _run(small()).key(small(), "cpu") != _run(small()).key(small(), "cuda")


def test_the_arms_of_a_seed_are_confirmed_together(small) -> None:
    spec = small()
    runs = confirm_runs(spec, arms(spec), {arm.name: {} for arm in arms(spec)})
    assert [(run.seed, run.arm.name) for run in runs[:4]] == [
        (0, "baseline"),
        (0, "pooling=max"),
        (1, "baseline"),
        (1, "pooling=max"),
    ]
    assert len(runs) == 6


def test_a_setting_reaches_the_network_or_the_recipe_as_it_should(small) -> None:
    run = _run(small(), setting={"learning_rate": 0.5, "dropout": 0.25})
    assert run.recipe.learning_rate == 0.5
    assert run.keywords["dropout"] == 0.25
    assert space.setting_name(run.setting) == "learning_rate=0.5,dropout=0.25"
