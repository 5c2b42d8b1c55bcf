"""The recipe: keys that later versions added, and keys that contradict each other."""

from collections.abc import Callable

import pytest

from ablate.design.arms import make_grid
from ablate.design.designs import lay_out
from ablate.errors import StudyError
from ablate.study.recipe import Recipe
from ablate.study.spec import StudySpec

FIRST_KEYS = [
    "epochs", "batch_size", "optimizer", "learning_rate", "momentum", "weight_decay", "init", "augmentation",
    "input_size", "train_images",
]  # fmt: skip
"""The keys of the first version, from which the keys of stored runs are computed."""

Small = Callable[..., StudySpec]


def test_later_keys_do_not_change_under_which_key_a_run_is_stored() -> None:
    assert list(Recipe().dump()) == FIRST_KEYS
    assert Recipe(schedule="cosine").dump()["schedule"] == "cosine"


REFUSED = {
    "a schedule that is not known": (["recipe.schedule=cosin"], r"recipe\.schedule: 'cosin' is not known: did you mean 'cosine'\?"),
    "a warm-up of true": (["recipe.warmup_epochs=true"], r"recipe\.warmup_epochs: True: input should be a valid number"),
    "a negative warm-up": (["recipe.warmup_epochs=-1"], r"recipe\.warmup_epochs: -1: .*greater than or equal to 0"),
    "a warm-up as long as training": (["recipe.warmup_epochs=2"], r"recipe\.warmup_epochs: arm baseline: warmup_epochs: a warm-up of 2 epochs is not shorter than the training of 2 epochs: set warmup_epochs below epochs"),
    "half a step": (["recipe.step_epochs=0.5"], r"recipe\.step_epochs: 0\.5: input should be a valid integer"),
    "a growing step": (["recipe.step_factor=2"], r"recipe\.step_factor: 2: .*less than or equal to 1"),
    "a step factor without steps": (["recipe.schedule=cosine", "recipe.step_factor=0.5"], r"recipe\.step_factor: arm baseline: step_factor: the schedule cosine ignores step_factor: leave it out, or use step"),
    "a warm-up before one_cycle": (["recipe.schedule=one_cycle", "recipe.warmup_epochs=1"], r"the schedule one_cycle ignores warmup_epochs: leave it out, or use constant, step, cosine or linear"),
    "a warm-up tuned beyond the end": (["tuning={trials: 3, warmup_epochs: {low: 0.0, high: 2.0}}"], r"tuning\.warmup_epochs: a warm-up of 2 epochs is not shorter than the training of 2 epochs"),
    "an optimizer that is not known": (["recipe.optimizer=rmsprob"], r"recipe\.optimizer: 'rmsprob' is not known: did you mean 'rmsprop'\?"),
    "Nesterov's momentum with Adam": (["recipe.nesterov=true"], r"recipe\.nesterov: arm baseline: nesterov: the optimizer adam ignores nesterov: leave it out, or use sgd"),
    "Nesterov's momentum of zero": (["recipe.optimizer=sgd", "recipe.nesterov=true"], r"recipe\.nesterov: arm baseline: nesterov: nesterov needs momentum: set momentum above 0, or leave nesterov out"),
    "a tuned momentum of zero with nesterov": (["recipe={optimizer: sgd, nesterov: true, momentum: 0.9}", "tuning={trials: 3, momentum: {low: 0.0, high: 0.9}}"], r"tuning\.momentum: nesterov needs momentum"),
    "labels of no class": (["recipe.label_smoothing=1"], r"recipe\.label_smoothing: 1: .*less than 1"),
    "a negative norm": (["recipe.gradient_clip=-1"], r"recipe\.gradient_clip: -1: .*greater than or equal to 0"),
    "a norm that is no number": (["recipe.gradient_clip=null"], r"recipe\.gradient_clip: None: input should be a valid number"),
    "a tuned key that the schedule ignores": (["tuning={trials: 3, step_factor: {low: 0.1, high: 0.5}}"], r"tuning\.step_factor: arm baseline: the schedule constant ignores step_factor: .* use step \(`when` limits a range to some arms\)"),
    "a factor of a search that no schedule uses": (["design=search", "factors={step_factor: [0.1, 0.5], schedule: [constant, cosine]}"], r"factors\.step_factor: the schedule constant ignores step_factor"),
}  # fmt: skip


@pytest.mark.parametrize(("overrides", "message"), REFUSED.values(), ids=REFUSED)
def test_a_value_that_cannot_be_used_is_refused_with_a_remedy(
    small: Small, overrides: list[str], message: str
) -> None:
    with pytest.raises(StudyError, match=message):
        lay_out(small(*overrides))


def test_schedules_are_factors_and_their_keys_are_tuned(small: Small) -> None:
    factors = "factors={schedule: [constant, step, cosine], warmup_epochs: [0, 0.5]}"
    tuned = "tuning={trials: 3, step_factor: {when: {schedule: step}, low: 0.1, high: 0.5}}"
    layout = lay_out(small(factors, tuned, "design=factorial"))
    assert [arm.name for arm in layout.arms] == [
        "baseline",
        "warmup_epochs=0.5",
        "schedule=step",
        "schedule=step,warmup_epochs=0.5",
        "schedule=cosine",
        "schedule=cosine,warmup_epochs=0.5",
    ]
    assert layout.arms[-1].recipe == small("recipe.schedule=cosine", "recipe.warmup_epochs=0.5").recipe


def test_smoothing_and_clipping_are_factors_and_tuned(small: Small) -> None:
    tuned = "tuning={trials: 3, label_smoothing: {low: 0.0, high: 0.2}, gradient_clip: {low: 0.5, high: 2.0, log: true}}"
    layout = lay_out(small("factors={optimizer: [adam, rmsprop]}", "recipe.gradient_clip=1.0", tuned))
    assert [arm.recipe.optimizer for arm in layout.arms] == ["adam", "rmsprop"]
    for arm in layout.arms:
        points = make_grid(small("recipe.gradient_clip=1.0", tuned), arm).list_points()
        assert points[0] == {"label_smoothing": 0.0, "gradient_clip": 1.0}
        assert len({point["label_smoothing"] for point in points}) == 3


def test_a_search_may_draw_a_schedule_and_the_keys_that_it_uses(small: Small) -> None:
    factors = "factors={step_factor: [0.1, 0.5], schedule: [constant, step]}"
    assert len(lay_out(small("design=search", factors)).arms) == 1


def test_two_ways_to_write_the_same_steps_are_the_same_arm(small: Small) -> None:
    study = small("recipe.schedule=step", "factors={step_epochs: [null, 1]}")  # a third of 2 epochs is 1
    with pytest.raises(StudyError, match="are the same: remove one value"):
        lay_out(study)
