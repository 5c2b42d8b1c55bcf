"""Refuse arms that a study cannot mean: tuned keys and factors without effect, and equal arms."""

from collections.abc import Sequence

from ablate.design.arms import collect_network, make_grid
from ablate.design.runs import Arm
from ablate.errors import StudyError
from ablate.study.owners import MODEL, belongs_to_recipe, drop_owner
from ablate.study.recipe_keys import USED_BY, explain_ignored, uses
from ablate.study.recipe_values import list_recipe_values
from ablate.study.spec import StudySpec, format_value


def refuse_ignored(study: StudySpec, arms: Sequence[Arm]) -> None:
    """Raise a StudyError if a recipe ignores a tuned key, or if no candidate of a search can use a factor."""
    mistakes = []
    for arm in arms:
        for name in make_grid(study, arm).ranges:
            key = drop_owner(name)
            if belongs_to_recipe(name) and not uses(arm.recipe, key):
                told = (
                    f"arm {arm.name}: {explain_ignored(arm.recipe, key)} (`when` limits a range to some arms)"
                )
                mistakes.append(f"{study.locate(f'tuning.{name}')}: {told}")
    for name in study.factors if study.design == "search" else ():
        key = drop_owner(name)
        if key in USED_BY and belongs_to_recipe(name) and not _can_use(study, key):
            told = explain_ignored(study.recipe, key)
            mistakes.append(f"{study.locate(f'factors.{name}')}: {told}")
    if mistakes:
        raise StudyError(*mistakes)


def _can_use(study: StudySpec, key: str) -> bool:
    """Return whether any candidate of the search can use a key of the recipe."""
    decider, values = USED_BY[key]
    return any(value in values for value in list_recipe_values(study, decider))


def refuse_equal_arms(study: StudySpec, arms: Sequence[Arm]) -> None:
    """Raise a StudyError if two values of a factor give the same arm. Arms that users name may be equal."""
    known: dict[str, Arm] = {}
    for arm in arms if study.factors else ():
        facts = study.dataset.facts
        recipe = arm.recipe.model_dump() | {
            "input_size": facts.compute_shape(arm.recipe.input_size),
            "train_images": facts.count_training_images(arm.recipe.train_images, study.validation),
            "step_epochs": arm.recipe.count_step_epochs(),
        }
        settings = {f"{MODEL}.{name}": value for name, value in collect_network(arm).items()} | recipe
        same = known.setdefault(repr({name: format_value(v) for name, v in settings.items()}), arm)
        if same is not arm:
            changed = [n for n, v in arm.factors.items() if repr(v) != repr(same.factors[n])]
            place = study.locate(".".join(["factors", *changed[:1]]))
            raise StudyError(f"{place}: the arms {same.name} and {arm.name} are the same: remove one value")
