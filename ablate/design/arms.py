"""Make, check and name arms. An arm is a variant of the network: the baseline with some changes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from ablate import models
from ablate.design.grid import Grid
from ablate.design.names import list_spellings
from ablate.design.runs import Arm, Setting
from ablate.errors import ModelError, StudyError
from ablate.study.owners import MODEL, RECIPE, belongs_to_recipe, drop_owner
from ablate.study.recipe import Recipe
from ablate.study.recipe_keys import find_conflict
from ablate.study.spec import StudySpec, Value, ValueWhen, format_value

BASELINE = "baseline"


def make_grid(study: StudySpec, arm: Arm) -> Grid:
    """Make the tuning grid of an arm: the values that the arm tries for each tuned parameter.

    The study file can have several ranges for a parameter. The last range that applies to the arm is used.
    """
    settings = collect_settings(arm)
    ranges = {}
    for name, choices in study.tuning.ranges.items():
        applying = [choice for choice in choices if choice.applies(settings)]
        if applying:
            ranges[name] = applying[-1]
    own = {name: _require_number(study, name, settings.get(name)) for name in ranges}
    outside = any(ranges[n].when and not ranges[n].low <= own[n] <= ranges[n].high for n in ranges)

    def possible(point: Setting) -> bool:
        try:
            check_point(study, arm, point)
        except StudyError:
            return False
        return True

    return Grid(
        study=study.name,
        trials=study.tuning.trials,
        ranges=ranges,
        own=None if outside else own,
        whole=frozenset(name for name, value in own.items() if isinstance(value, int)),
        possible=possible,
    )


def list_values(study: StudySpec, name: str, settings: Mapping[str, Any]) -> list[Value]:
    """List the values that a factor can have together with these settings.

    A value can have a condition. If the settings do not meet the condition, the value is not listed.
    """
    plain = (
        (v.value, v.applies(settings)) if isinstance(v, ValueWhen) else (v, True) for v in study.factors[name]
    )
    return [value for value, applies in plain if applies]


def collect_network(arm: Arm) -> dict[str, Any]:
    """Return the value of every keyword of the arm's network, including default values."""
    return {**models.read_keywords(arm.model), **arm.keywords}


def collect_settings(arm: Arm) -> dict[str, Any]:
    """Return the value of every keyword of the arm's network and recipe, including default values.

    Each keyword has two entries: one with its plain name, such as `width`, and one with its owner, such as
    `model.width`. If the network and the recipe have a keyword of the same name, the plain name gives the
    value of the recipe.
    """
    return dict(
        [*list_spellings(collect_network(arm), MODEL), *list_spellings(arm.recipe.model_dump(), RECIPE)]
    )


def make_arm(study: StudySpec, name: str, changes: Mapping[str, Value], key: str) -> Arm:
    """Make an arm: the baseline with `changes`. `key` is the arm's key in the study file, for error messages.

    Raises:
        StudyError: a network or recipe with these changes is impossible.
    """
    arm = assemble(study, name, changes, key)
    _check_network(study, arm, {}, key)
    return arm


def explain_impossible(
    study: StudySpec, arm: Arm, changes: Mapping[str, Value] | None = None
) -> ModelError | None:
    """Explain why the arm, with `changes` to its network, is impossible. Return None if it is possible.

    An arm is impossible if its network cannot be built, or if keys of its recipe contradict each other.
    """
    if conflict := find_conflict(arm.recipe):
        return ModelError(*conflict)
    facts = study.dataset.facts
    keywords = {**arm.keywords, **(changes or {})}
    try:
        models.check(
            arm.model,
            keywords,
            input_shape=facts.compute_shape(arm.recipe.input_size),
            classes=facts.classes,
        )
    except ModelError as error:
        return error
    return None


def name_arm(changes: Mapping[str, Value]) -> str:
    """Name an arm, for example `pooling=max,activation=relu`, or `baseline` if there are no changes."""
    return ",".join(f"{name}={format_value(value)}" for name, value in changes.items()) or BASELINE


def select_changes(study: StudySpec, settings: Mapping[str, Value]) -> dict[str, Value]:
    """Return only those settings that have another value than the baseline."""
    own = collect_baseline_values(study)
    return {name: value for name, value in settings.items() if format_value(value) != format_value(own[name])}


def assemble(study: StudySpec, name: str, changes: Mapping[str, Value], key: str) -> Arm:
    """Make an arm without checking whether its network can be built."""
    model = str(changes.get("model", study.model))
    changed = {k: v for k, v in changes.items() if k != "model"}
    keywords = {
        drop_owner(k): v
        for k, v in {**(study.baseline if model == study.model else {}), **changed}.items()
        if not belongs_to_recipe(k)
    }
    recipe = _change_recipe(
        study, study.recipe, {drop_owner(k): v for k, v in changed.items() if belongs_to_recipe(k)}, key
    )
    arm = Arm(name=name, model=model, keywords=keywords, recipe=recipe, factors={})
    known = {"model": model, **collect_settings(arm)}
    # If a factor is no keyword of the arm's model, the arm's cell for this factor is empty in the tables.
    return replace(arm, factors={n: _convert_tuple(known.get(n)) for n in study.factor_names})


def collect_baseline_values(study: StudySpec) -> dict[str, Value]:
    """Return the value that the baseline has for every factor."""
    return dict(assemble(study, BASELINE, {}, BASELINE).factors)


def _convert_tuple(value: Any) -> Value:
    return list(value) if isinstance(value, tuple) else value


def _require_number(study: StudySpec, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise StudyError(
            f"{study.locate(f'tuning.{name}')}: {value!r} is not a number: only numbers can be tuned"
        )
    return value


def check_point(study: StudySpec, arm: Arm, point: Setting) -> None:
    """Raise a StudyError if the arm cannot be trained at this point (with these tuned values)."""
    recipe = {drop_owner(k): v for k, v in point.items() if belongs_to_recipe(k)}
    key = f"tuning.{next(iter(point), '')}"
    changed = _change_recipe(study, arm.recipe, recipe, key)
    if conflict := find_conflict(changed):
        raise StudyError(f"{study.locate(key)}: {conflict[1]}")
    if len(recipe) < len(point):
        _check_network(
            study, arm, {drop_owner(k): v for k, v in point.items() if not belongs_to_recipe(k)}, key
        )


def _change_recipe(study: StudySpec, recipe: Recipe, changes: Mapping[str, Value], key: str) -> Recipe:
    try:
        changed = Recipe.model_validate({**recipe.model_dump(), **changes}) if changes else recipe
    except ValidationError as error:
        told = (f"{one['input']!r}: {one['msg'].lower()}" for one in error.errors())
        raise StudyError(*(f"{study.locate(key)}: {one}" for one in told)) from None
    left = study.dataset.facts.train_images - study.validation
    if changed.train_images is not None and changed.train_images > left:
        at = key if "train_images" in changes else "recipe.train_images"
        raise StudyError(
            f"{study.locate(at)}: {changed.train_images:,} images are too many: "
            f"validation leaves only {left:,}"
        )
    images = changed.train_images or left
    if not changed.count_examples_per_epoch(images):
        at = key if {"batch_size", "train_images", "drop_last"} & set(changes) else "recipe.drop_last"
        raise StudyError(
            f"{study.locate(at)}: drop_last leaves no batch of {changed.batch_size:,} out of {images:,} "
            "training images: choose a smaller batch_size"
        )
    return changed


def _check_network(study: StudySpec, arm: Arm, changes: Mapping[str, Value], key: str) -> None:
    if error := explain_impossible(study, arm, changes):
        at = key
        if key == BASELINE:
            section = "recipe" if error.keyword in Recipe.model_fields else "baseline"
            section = "baseline" if error.keyword in arm.keywords else section
            at = "model" if error.keyword == "model" else f"{section}.{error.keyword}"
        keyword = "" if at == error.keyword else f"{error.keyword}: "
        raise StudyError(f"{study.locate(at)}: arm {arm.name}: {keyword}{error}")
