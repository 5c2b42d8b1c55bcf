"""Factors become the arms they ask for, nuisances the points they span, and a run's key tells runs apart."""

import pytest

from ablate import study
from ablate.errors import StudyError
from ablate.runs import Run, setting_name
from ablate.space import confirm_runs, lay_out
from tests.conftest import STUDIES


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("fallback", [False, True])
def test_every_study_of_ours_has_only_possible_arms(path, fallback: bool) -> None:
    assert len(lay_out(study.read(path, fallback=fallback)).arms) > 1


def test_one_at_a_time_changes_one_thing_an_arm(small) -> None:
    found = lay_out(
        small("factors={pooling: [avg, max], activation: [relu, tanh], kernel_size: [5, [3, 5]]}")
    ).arms
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
    found = lay_out(small("factors={batch_size: [64, 128]}")).arms
    assert [arm.recipe.batch_size for arm in found] == [64, 128]


def test_arms_that_differ_have_file_names_that_differ(small) -> None:
    found = lay_out(small("factors={dropout: [0.0, 0.05, 0.5], kernel_size: [5, [5, 3], [3, 5]]}")).arms
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
        lay_out(small(override))


def _run(spec, **changes) -> Run:
    arm = lay_out(spec).arms[changes.pop("arm", 0)]
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
    runs = confirm_runs(spec, lay_out(spec).arms, {arm.name: {} for arm in lay_out(spec).arms})
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
    assert setting_name(run.setting) == "learning_rate=0.5,dropout=0.25"
