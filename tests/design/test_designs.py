"""Designs: which arms and contrasts the factors give. Runs: which runs share a key."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ablate.design.designs import lay_out, list_confirm_runs
from ablate.design.runs import Run, make_slug, name_setting
from ablate.errors import StudyError
from ablate.study import study_file
from tests.conftest import STUDIES


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.parametrize("fallback", [False, True])
def test_every_study_in_studies_has_only_arms_that_can_be_built(path, fallback: bool) -> None:
    spec = study_file.read(path, fallback=fallback)
    layout = lay_out(spec)
    assert len(layout.arms) > 1 or spec.design == "search"
    assert layout.left_out == {}


def test_one_at_a_time_changes_one_factor_in_each_arm(small) -> None:
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


VALUES = {
    "pooling": ["avg", "max", "none"],
    "activation": ["sigmoid", "tanh", "relu", "gelu"],
    "dense_layers": [3, 2, 1, 4],
    "batch_size": [64, 32, 128],
}
"""The first value of each factor is that of the small study."""
FACTORS = st.dictionaries(st.sampled_from(list(VALUES)), st.integers(2, 3), min_size=2)


def factors(counts: dict[str, int]) -> str:
    return f"factors={json.dumps({name: VALUES[name][:count] for name, count in counts.items()})}"


LAW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@LAW
@given(counts=FACTORS)
def test_one_at_a_time_has_the_baseline_and_one_arm_for_each_other_value(
    small, counts: dict[str, int]
) -> None:
    layout = lay_out(small(factors(counts)))
    assert len(layout.arms) == 1 + sum(count - 1 for count in counts.values())
    assert layout.contrasts == tuple((arm.name, "baseline") for arm in layout.arms[1:])


@LAW
@given(counts=FACTORS)
def test_a_factorial_has_one_arm_for_each_combination_of_values(small, counts: dict[str, int]) -> None:
    layout = lay_out(small(factors(counts), "design=factorial"))
    assert len(layout.arms) == math.prod(counts.values())
    assert len({repr(arm.factors) for arm in layout.arms}) == len(layout.arms)
    assert layout.contrasts == tuple((arm.name, "baseline") for arm in layout.arms[1:])


@LAW
@given(counts=FACTORS)
def test_leave_one_out_has_two_arms_and_two_contrasts_for_each_factor(small, counts: dict[str, int]) -> None:
    changed = {name: VALUES[name][1:2] for name in counts}
    layout = lay_out(small(f"factors={json.dumps(changed)}", "design=leave_one_out"))
    n = len(counts)
    assert len(layout.arms) == 2 * n
    assert len(layout.contrasts) == len(set(layout.contrasts)) == 2 * n
    assert len({repr(arm.factors) for arm in layout.arms}) == 2 * n
    by_name = {arm.name: arm.factors for arm in layout.arms}
    for arm, other in layout.contrasts[1:]:  # every step and every omission changes one factor
        assert sum(by_name[arm][name] != by_name[other][name] for name in counts) == 1


def test_leave_one_out_names_its_steps_and_the_factor_that_each_arm_lacks(small) -> None:
    layout = lay_out(
        small("factors={pooling: [max], activation: [tanh], dropout: [0.1]}", "design=leave_one_out")
    )
    assert [arm.name for arm in layout.arms] == [
        "baseline",
        "pooling=max",
        "without dropout",
        "full",
        "without pooling",
        "without activation",
    ]
    assert layout.contrasts == (
        ("full", "baseline"),
        ("without pooling", "full"),
        ("without activation", "full"),
        ("without dropout", "full"),
        ("pooling=max", "baseline"),
        ("without dropout", "pooling=max"),
    )


def test_the_baseline_is_one_of_the_combinations_even_if_its_value_is_not_listed(small) -> None:
    layout = lay_out(small("factors={pooling: [max], activation: [relu, tanh]}", "design=factorial"))
    assert [arm.name for arm in layout.arms] == [
        "baseline",
        "activation=relu",
        "activation=tanh",
        "pooling=max",
        "pooling=max,activation=relu",
        "pooling=max,activation=tanh",
    ]


def test_combinations_that_cannot_be_built_are_left_out_with_the_reason(small) -> None:
    layout = lay_out(small("factors={kernel_size: [5, 3], dilation: [1, 3]}", "design=factorial"))
    assert [arm.name for arm in layout.arms] == ["baseline", "kernel_size=3", "kernel_size=3,dilation=3"]
    assert layout.left_out.keys() == {"dilation=3"}
    assert (
        "conv2: a 5×5 kernel dilated by 3 to 13×13 does not fit its 10×10 map"
        in layout.left_out["dilation=3"]
    )


def test_a_conditional_value_is_used_only_where_its_condition_holds(small) -> None:
    layout = lay_out(
        small(
            "factors={conv_layers: [2, 3], kernel_size: [5, 3, {value: [5, 3, 5], when: {conv_layers: 3}}]}",
            "design=factorial",
        )
    )
    assert [arm.name for arm in layout.arms] == [
        "baseline",
        "kernel_size=3",
        "conv_layers=3",
        "conv_layers=3,kernel_size=3",
        "conv_layers=3,kernel_size=[5 3 5]",
    ]
    assert layout.left_out == {}


def test_named_arms_have_the_keywords_of_the_file_and_the_first_is_the_baseline(small_file) -> None:
    small_file.write_text(
        small_file.read_text().replace(
            "factors: {pooling: [avg, max]}",
            "arms: {lenet: {}, wide mlp: {model: mlp, hidden: [256, 128]}, quick: {epochs: 1, pooling: max}}",
        )
    )
    spec = study_file.read(small_file)
    layout = lay_out(spec)
    assert [arm.name for arm in layout.arms] == ["lenet", "wide mlp", "quick"]
    assert layout.contrasts == (("wide mlp", "lenet"), ("quick", "lenet"))
    lenet, mlp, quick = layout.arms
    assert (mlp.model, mlp.keywords) == (
        "mlp",
        {"hidden": [256, 128]},
    )  # the baseline's pooling is not an MLP's keyword
    assert (quick.recipe.epochs, quick.keywords["pooling"]) == (1, "max")
    assert spec.factor_names == ["model", "hidden", "epochs", "pooling"]
    assert mlp.factors == {"model": "mlp", "hidden": [256, 128], "epochs": 2, "pooling": None}
    assert lenet.factors["hidden"] == [120, 84]


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ("{a: {}}", r"small\.yaml:6: arms: one arm alone"),
        (
            "{a: {}, b: {model: lenett}}",
            r"small\.yaml:6: arms\.b\.model: 'lenett' is not known: did you mean 'lenet'",
        ),
        ("{a: {}, b: {poling: max}}", r"small\.yaml:6: arms\.b\.poling: unknown keyword 'poling'"),
        ("{a: {}, b: {kernel_size: 40}}", r"small\.yaml:6: arms\.b: arm b: kernel_size"),
    ],
)
def test_named_arms_that_cannot_be_built_are_refused(small_file, arms: str, message: str) -> None:
    small_file.write_text(small_file.read_text().replace("factors: {pooling: [avg, max]}", f"arms: {arms}"))
    with pytest.raises(StudyError, match=message):
        lay_out(study_file.read(small_file))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["factors={pooling: [max]}", "design=leave_one_out"], "needs two factors"),
        (
            ["factors={pooling: [avg], dropout: [0.1]}", "design=leave_one_out"],
            "takes exactly one value per factor, and this value must differ from the value of the baseline",
        ),
        (
            ["factors={pooling: [max, none], dropout: [0.1]}", "design=leave_one_out"],
            "takes exactly one value per factor, and this value must differ from the value of the baseline",
        ),
        (["factors={pooling: [avg, max], activation: [rleu]}", "design=factorial"], "did you mean 'relu'"),
        (
            ["factors={pooling: [{value: max, when: {conv_layers: 3}}]}"],
            "no arm meets the condition conv_layers=3",
        ),
        (["factors={pooling: [{value: max, when: {conv_layer: 3}}]}"], "did you mean 'conv_layers'"),
        (["tuning.learning_rate.when={optimiser: adam}"], "did you mean 'optimizer'"),
        (["factors={pooling: [avg, max], train_images: [null, 100000]}"], "validation leaves only 1,197"),
        (["factors={pooling: [avg]}", "design=search"], "nothing differs from the baseline"),
        (
            [
                "factors={pooling: [{value: max, when: {kernel_size: 3}}], kernel_size: [3]}",
                "design=leave_one_out",
            ],
            "no conditions",
        ),
        (["tuning.learning_rate.when={optimizer: sgd}"], "no arm meets the condition `when`"),
        (
            ["recipe.train_images=1300"],
            "recipe.train_images: 1,300 images are too many: validation leaves only 1,197",
        ),
        (
            [
                f"factors={{batch_size: {list(range(1, 60))}, epochs: {list(range(1, 60))}}}",
                "design=factorial",
            ],
            "arms are more than 1,000",
        ),
    ],
)
def test_a_design_that_cannot_be_laid_out_is_refused(small, overrides: list[str], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        lay_out(small(*overrides))


def test_a_search_begins_with_the_baseline_alone(small) -> None:
    layout = lay_out(small("design=search"))
    assert [arm.name for arm in layout.arms] == ["baseline"]
    assert layout.contrasts == ()


def test_a_factor_of_the_recipe_changes_the_recipe(small) -> None:
    found = lay_out(small("factors={batch_size: [64, 128]}")).arms
    assert [arm.recipe.batch_size for arm in found] == [64, 128]


def test_different_arms_have_different_file_names(small) -> None:
    found = lay_out(small("factors={dropout: [0.0, 0.05, 0.5], kernel_size: [5, [5, 3], [3, 5]]}")).arms
    assert len({arm.slug for arm in found}) == len(found)
    assert all(arm.slug.replace("-", "").isalnum() for arm in found)


def test_long_names_that_differ_at_the_end_have_different_file_names() -> None:
    alike = "activation=relu,pooling=max,init=kaiming_uniform,optimizer=adam"
    assert make_slug(f"{alike},dropout=1") != make_slug(f"{alike},dropout=2")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("factors={poling: [max]}", r"unknown keyword 'poling': did you mean 'pooling'"),
        ("factors={pooling: [avg]}", r"nothing differs from the baseline"),
        ("factors={kernel_size: [5, 29]}", r"factors\.kernel_size\.1: arm kernel_size=29: .*29×29 kernel"),
        ("factors={optimizer: [adam, adm]}", r"factors\.optimizer\.1: 'adm'"),
        ("factors={learning_rate: [0.1, -1]}", r"is in factors and in tuning|factors\.learning_rate\.1"),
        ("baseline={kernel_size: 40}", r"baseline\.kernel_size: arm baseline"),
        ("baseline={momentum: 0.9}", r"'momentum' belongs to the recipe"),
        ("model=lenett", r"did you mean 'lenet'"),
        ("tuning={trials: 3, activation: {low: 1, high: 2}}", r"'sigmoid' is not a number"),
        (
            "tuning={trials: 3, dropout: {low: 0.1, high: 1.9}}",
            r"1\.0 is not a probability|1\.9 is not a probability",
        ),
    ],
)
def test_a_network_that_cannot_be_built_is_refused_before_anything_trains(
    small, override: str, message: str
) -> None:
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
def test_different_runs_have_different_keys(small, change) -> None:
    assert _run(small()).key(small(), "cpu") != _run(small(), **change).key(small(), "cpu")


@pytest.mark.parametrize(
    "override", ["recipe.epochs=3", "validation=200", "baseline.kernel_size=3", "recipe.weight_decay=0.1"]
)
def test_a_run_under_another_recipe_or_other_data_has_another_key(small, override: str) -> None:
    assert _run(small()).key(small(), "cpu") != _run(small(override)).key(small(override), "cpu")
    assert _run(small()).key(small(), "cpu") != _run(small()).key(small(), "cuda")


def test_the_confirm_runs_of_all_arms_are_ordered_by_seed(small) -> None:
    spec = small()
    arms = lay_out(spec).arms
    settings: dict[str, dict[str, float]] = {arm.name: {} for arm in arms}
    runs = list_confirm_runs(arms, settings, dict.fromkeys(settings, 3))
    assert [(run.seed, run.arm.name) for run in runs[:4]] == [
        (0, "baseline"),
        (0, "pooling=max"),
        (1, "baseline"),
        (1, "pooling=max"),
    ]
    assert len(runs) == 6
    fewer = list_confirm_runs(arms, settings, {"baseline": 3, "pooling=max": 1})
    assert [(run.seed, run.arm.name) for run in fewer] == [
        (0, "baseline"),
        (0, "pooling=max"),
        (1, "baseline"),
        (2, "baseline"),
    ]


def test_a_setting_is_passed_to_the_network_or_to_the_recipe(small) -> None:
    run = _run(small(), setting={"learning_rate": 0.5, "dropout": 0.25})
    assert run.recipe.learning_rate == 0.5
    assert run.keywords["dropout"] == 0.25
    assert name_setting(run.setting) == "learning_rate=0.5,dropout=0.25"
