"""From the study's factors to its arms, by design; what is compared with what; what cannot be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

from pydantic import ValidationError

from ablate import models
from ablate.errors import ModelError, StudyError
from ablate.grid import Grid
from ablate.runs import Arm, Run, Setting, in_recipe
from ablate.spec import DATASETS, Recipe, StudySpec, Value, ValueWhen, as_written, did_you_mean

BASELINE = "baseline"
FULL = "full"
MOST_ARMS = 1_000


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The arms of a study, the baseline first, and what its question sets against what."""

    arms: tuple[Arm, ...]
    contrasts: tuple[tuple[str, str], ...]
    """Pairs of arm and the one it is compared with: all that is tested, fixed before anything trains."""
    left_out: Mapping[str, str]
    """Combinations that no network can be, and why."""


def lay_out(study: StudySpec) -> Layout:
    """The study's arms as its design asks for them, in file order; a search begins with the baseline alone.

    Raises:
        StudyError: a factor, value or condition that no network or recipe can have.
    """
    _check_names(study)
    if study.arms:
        layout = _named(study)
    elif study.design == "search":
        layout = Layout(arms=(arm_of(study, BASELINE, {}, BASELINE),), contrasts=(), left_out={})
    else:
        layout = {"one_at_a_time": _one_at_a_time, "factorial": _factorial, "leave_one_out": _leave_one_out}[
            study.design
        ](study)
    if len(layout.arms) == 1 and study.design != "search":
        raise StudyError(f"{study.where('factors')}: nothing differs from the baseline: add another value")
    names = [arm.name for arm in layout.arms]
    for name in names:
        if names.count(name) > 1:
            raise StudyError(f"{study.where('factors')}: two arms would be called '{name}': tell them apart")
    for arm in layout.arms:
        for point in grid_of(study, arm).points():
            _check_point(study, arm, point)
    return layout


def with_finalists(study: StudySpec, finalists: Sequence[Arm]) -> Layout:
    """A search's layout once it has ended: the baseline, and every finalist compared with it."""
    (baseline,) = lay_out(study).arms
    found = (baseline, *finalists)
    return Layout(arms=found, contrasts=_each_with_first(found), left_out={})


def grid_of(study: StudySpec, arm: Arm) -> Grid:
    """The ranges that hold for this arm and the points in them."""
    settings = settings_of(arm)
    ranges = {}
    for name, choices in study.tuning.ranges.items():
        applying = [choice for choice in choices if choice.applies(settings)]
        if applying:
            ranges[name] = applying[-1]
    own = {name: _number(study, name, settings.get(name)) for name in ranges}
    outside = any(ranges[n].when and not ranges[n].low <= own[n] <= ranges[n].high for n in ranges)

    def possible(point: Setting) -> bool:
        try:
            _check_point(study, arm, point)
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


def values_of(study: StudySpec, name: str, settings: Mapping[str, Any]) -> list[Value]:
    """The values of a factor that an arm with such settings may have."""
    plain = (
        (v.value, v.applies(settings)) if isinstance(v, ValueWhen) else (v, True) for v in study.factors[name]
    )
    return [value for value, applies in plain if applies]


def settings_of(arm: Arm) -> dict[str, Any]:
    """Every keyword of the arm's network and recipe with its value, defaults included."""
    return {**models.keywords(arm.model), **arm.keywords, **arm.recipe.model_dump()}


def arm_of(study: StudySpec, name: str, changes: Mapping[str, Value], key: str) -> Arm:
    """The baseline with `changes`; `key` is where they stand in the study file.

    Raises:
        StudyError: no network or recipe can be like that.
    """
    arm = _assembled(study, name, changes, key)
    _check_network(study, arm, {}, key)
    return arm


def why_impossible(
    study: StudySpec, arm: Arm, changes: Mapping[str, Value] | None = None
) -> ModelError | None:
    """Why no network can be like the arm (with `changes`), or None if one can."""
    facts = DATASETS[study.dataset]
    keywords = {**arm.keywords, **(changes or {})}
    try:
        models.check(arm.model, keywords, input_shape=facts.image_shape, classes=facts.classes)
    except ModelError as error:
        return error
    return None


def named_by(changes: Mapping[str, Value]) -> str:
    """`pooling=max,activation=relu`, or `baseline` where nothing differs."""
    return ",".join(f"{name}={as_written(value)}" for name, value in changes.items()) or BASELINE


def differing(study: StudySpec, settings: Mapping[str, Value]) -> dict[str, Value]:
    """Of some factors' values, those that are not the baseline's."""
    own = _own(study)
    return {name: value for name, value in settings.items() if as_written(value) != as_written(own[name])}


def confirm_runs(study: StudySpec, arms: Sequence[Arm], chosen: Mapping[str, Setting]) -> list[Run]:
    """Every arm with its tuned setting on fresh seeds, all arms of a seed together."""
    return [
        Run(phase="confirm", arm=arm, setting=chosen[arm.name], seed=seed)
        for seed in range(study.seeds)
        for arm in arms
    ]


def _assembled(study: StudySpec, name: str, changes: Mapping[str, Value], key: str) -> Arm:
    model = str(changes.get("model", study.model))
    changed = {k: v for k, v in changes.items() if k != "model"}
    keywords = {
        **(study.baseline if model == study.model else {}),
        **{k: v for k, v in changed.items() if not in_recipe(k)},
    }
    recipe = _recipe(study, study.recipe, {k: v for k, v in changed.items() if in_recipe(k)}, key)
    known = {"model": model, **models.keywords(model), **keywords, **recipe.model_dump()}
    # What a network of another family does not have stays empty in the tables.
    factors = {factor: _plain(known[factor]) if factor in known else None for factor in study.factor_names}
    return Arm(name=name, model=model, keywords=keywords, recipe=recipe, factors=factors)


def _named(study: StudySpec) -> Layout:
    found = tuple(arm_of(study, name, changes, f"arms.{name}") for name, changes in study.arms.items())
    return Layout(arms=found, contrasts=_each_with_first(found), left_out={})


def _one_at_a_time(study: StudySpec) -> Layout:
    baseline = arm_of(study, BASELINE, {}, BASELINE)
    found = [baseline]
    for name, alternatives in study.factors.items():
        for position, value in enumerate(alternatives):
            key = f"factors.{name}.{position}"
            if isinstance(value, ValueWhen):
                if not value.applies(settings_of(baseline)):
                    told = named_by(value.when)
                    raise StudyError(
                        f"{study.where(key)}: {told} holds in no arm: one factor differs at a time"
                    )
                value = value.value
            if changes := differing(study, {name: value}):
                found.append(arm_of(study, named_by(changes), changes, key))
    return Layout(arms=tuple(found), contrasts=_each_with_first(found), left_out={})


def _factorial(study: StudySpec) -> Layout:
    """Every combination of values; what cannot be is left out with its reason, except the baseline."""
    own = _own(study)
    levels = {
        # The baseline is one of the combinations, whether or not its values are listed.
        name: [own[name], *(v for v in map(_unconditional, listed) if as_written(v) != as_written(own[name]))]
        for name, listed in study.factors.items()
    }
    count = 1
    for values in levels.values():
        count *= len(values)
    if count > MOST_ARMS:
        raise StudyError(
            f"{study.where('factors')}: {count:,} arms are more than {MOST_ARMS:,}: fewer values"
        )
    found, left_out = [arm_of(study, BASELINE, {}, BASELINE)], {}
    possible = set()
    for combination in product(*levels.values()):
        chosen = dict(zip(levels, combination, strict=True))
        changes = differing(study, chosen)
        if not changes or not _allowed(study, chosen, found[0]):
            continue
        arm = _assembled(study, named_by(changes), changes, "factors")
        if reason := why_impossible(study, arm):
            left_out[arm.name] = f"{reason.keyword}: {reason}"
        else:
            found.append(arm)
            possible |= {named_by({name: value}) for name, value in changes.items()}
    for name, listed in study.factors.items():
        for position, value in enumerate(map(_unconditional, listed)):
            single = named_by({name: value})
            if differing(study, {name: value}) and single not in possible:
                reason_told = left_out.get(single, "its condition never holds")
                raise StudyError(
                    f"{study.where(f'factors.{name}.{position}')}: no arm can have {single}: {reason_told}"
                )
    return Layout(arms=tuple(found), contrasts=_each_with_first(found), left_out=left_out)


def _leave_one_out(study: StudySpec) -> Layout:
    """The baseline, the way from it to the full arm factor by factor, and the full arm less each factor.

    The last step of the way and the full arm less its last factor are one arm and one contrast.
    """
    for name, listed in study.factors.items():
        if len(listed) > 1 or not differing(study, {name: _unconditional(listed[0])}):
            raise StudyError(
                f"{study.where(f'factors.{name}')}: leave_one_out takes one value a factor, not baseline's"
            )
    if len(study.factors) < 2:
        raise StudyError(f"{study.where('factors')}: leave_one_out needs two factors or more")
    full = {name: _unconditional(listed[0]) for name, listed in study.factors.items()}
    names = list(full)
    way = {
        named_by({name: full[name]}) if step == 0 else f"up to {name}": {
            n: full[n] for n in names[: step + 1]
        }
        for step, name in enumerate(names[:-2])
    }
    without = {f"without {name}": {n: full[n] for n in names if n != name} for name in reversed(names)}
    last = f"without {names[-1]}"
    settings = {BASELINE: {}, **way, last: without.pop(last), FULL: full, **dict(reversed(without.items()))}
    found = tuple(arm_of(study, name, changes, "factors") for name, changes in settings.items())
    steps = [BASELINE, *way, last]
    contrasts = (
        (FULL, BASELINE),
        *((f"without {name}", FULL) for name in names),
        *((later, earlier) for earlier, later in pairwise(steps)),
    )
    return Layout(arms=found, contrasts=contrasts, left_out={})


def _each_with_first(arms: Sequence[Arm]) -> tuple[tuple[str, str], ...]:
    return tuple((arm.name, arms[0].name) for arm in arms[1:])


def _unconditional(value: ValueWhen | Value) -> Value:
    return value.value if isinstance(value, ValueWhen) else value


def _allowed(study: StudySpec, chosen: Mapping[str, Value], baseline: Arm) -> bool:
    """Whether every conditional value among the chosen meets its condition."""
    settings = {**settings_of(baseline), **chosen}
    own = _own(study)
    return all(
        as_written(value) == as_written(own[name])
        or as_written(value) in map(as_written, values_of(study, name, settings))
        for name, value in chosen.items()
    )


def _own(study: StudySpec) -> dict[str, Value]:
    """The baseline's value of every factor."""
    known = {**models.keywords(study.model), **study.baseline, **study.recipe.model_dump()}
    return {name: _plain(known[name]) for name in study.factors}


def _plain(value: Any) -> Value:
    return list(value) if isinstance(value, tuple) else value


def _check_names(study: StudySpec) -> None:
    """Every keyword that the study mentions is one of its networks' or of the recipe's."""
    of_arms = {str(arm.get("model", study.model)) for arm in study.arms.values()}
    for section in ("baseline", "factors"):
        for name in getattr(study, section):
            _check_name(study, f"{section}.{name}", name, [study.model])
            if section == "baseline" and in_recipe(name):
                key = study.where(f"{section}.{name}")
                raise StudyError(f"{key}: '{name}' belongs to the recipe: write it there")
    for arm, changes in study.arms.items():
        for name in changes:
            if name != "model":
                model = str(changes.get("model", study.model))
                _check_name(study, f"arms.{arm}.{name}", name, [model])
    for name, ranges in study.tuning.ranges.items():
        _check_name(study, f"tuning.{name}", name, [study.model, *of_arms])
        for span in ranges:
            for other in span.when:
                _check_name(study, f"tuning.{name}", other, [study.model, *of_arms])
    for name, values in study.factors.items():
        for position, value in enumerate(values):
            for other in value.when if isinstance(value, ValueWhen) else ():
                _check_name(study, f"factors.{name}.{position}.when.{other}", other, [study.model])


def _check_name(study: StudySpec, key: str, name: str, of_models: Sequence[str]) -> None:
    try:
        keywords = [keyword for model in of_models for keyword in models.keywords(model)]
    except ModelError as error:
        raise StudyError(f"{study.where('model')}: {error}") from None
    known = list(dict.fromkeys([*keywords, *Recipe.model_fields]))
    if name not in known:
        raise StudyError(f"{study.where(key)}: unknown keyword '{name}': {did_you_mean(name, known)}")


def _number(study: StudySpec, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise StudyError(f"{study.where(f'tuning.{name}')}: {value!r} is no number: only numbers are tuned")
    return value


def _check_point(study: StudySpec, arm: Arm, point: Setting) -> None:
    recipe = {k: v for k, v in point.items() if in_recipe(k)}
    key = f"tuning.{next(iter(point), '')}"
    _recipe(study, arm.recipe, recipe, key)
    if len(recipe) < len(point):
        _check_network(study, arm, {k: v for k, v in point.items() if not in_recipe(k)}, key)


def _recipe(study: StudySpec, recipe: Recipe, changes: Mapping[str, Value], key: str) -> Recipe:
    try:
        changed = Recipe.model_validate({**recipe.model_dump(), **changes}) if changes else recipe
    except ValidationError as error:
        first = error.errors()[0]
        raise StudyError(f"{study.where(key)}: {first['input']!r}: {first['msg'].lower()}") from None
    left = DATASETS[study.dataset].train_images - study.validation
    if changed.train_images is not None and changed.train_images > left:
        at = key if "train_images" in changes else "recipe.train_images"
        raise StudyError(
            f"{study.where(at)}: {changed.train_images:,}: validation leaves only {left:,} images"
        )
    return changed


def _check_network(study: StudySpec, arm: Arm, changes: Mapping[str, Value], key: str) -> None:
    if error := why_impossible(study, arm, changes):
        at = f"baseline.{error.keyword}" if key == BASELINE else key
        raise StudyError(f"{study.where(at)}: arm {arm.name}: {error.keyword}: {error}")
