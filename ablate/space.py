"""From factors and nuisances to arms, the points they are tuned at, and the runs to make."""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError
from scipy.stats import qmc

from ablate import models
from ablate.errors import ModelError, StudyError
from ablate.seeds import derived_seed
from ablate.spec import DATASETS, Range, Recipe, StudySpec, Value, did_you_mean

Phase = Literal["tune", "confirm"]
Setting = Mapping[str, float]
"""One value a nuisance."""

SIGNIFICANT_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One setting of the factors: a network and the recipe it is trained by."""

    name: str
    model: str
    keywords: Mapping[str, Value]
    recipe: Recipe
    factors: Mapping[str, Value]

    @property
    def slug(self) -> str:
        """The name as a file name: letters, digits and dashes, told apart by a hash where they would meet."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:60]
        if re.fullmatch(r"[a-z0-9_=,]+", self.name):
            return plain
        return f"{plain}-{hashlib.sha256(self.name.encode()).hexdigest()[:6]}"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One arm, one setting of the nuisances, one seed, one phase."""

    phase: Phase
    arm: Arm
    setting: Setting
    seed: int

    @property
    def keywords(self) -> dict[str, Value]:
        """The model's keywords with the setting in place."""
        return {**self.arm.keywords, **{k: v for k, v in self.setting.items() if not _in_recipe(k)}}

    @property
    def recipe(self) -> Recipe:
        """The recipe with the setting in place."""
        return self.arm.recipe.model_copy(update={k: v for k, v in self.setting.items() if _in_recipe(k)})

    def key(self, study: StudySpec, device: str) -> str:
        """What this run is on record as: equal exactly where the same numbers must come out."""
        identity = {
            "phase": self.phase,
            "arm": self.arm.name,
            "model": self.arm.model,
            "keywords": {**models.keywords(self.arm.model), **self.keywords},
            "recipe": self.recipe.model_dump(),
            "setting": dict(self.setting),
            "seed": self.seed,
            "dataset": study.dataset,
            "validation": study.validation,
            "device": device,
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def arms(study: StudySpec) -> list[Arm]:
    """The baseline first, then every other setting of the factors the design asks for, in file order.

    Raises:
        StudyError: a factor, value or combination that no network or recipe can have.
    """
    for section in ("baseline", "factors"):
        for name in getattr(study, section):
            _check_name(study, f"{section}.{name}", name)
    for name in study.tuning.ranges:
        _check_name(study, f"tuning.{name}", name)
    values = {name: _own_value(study, name) for name in study.factors}
    found = [_arm(study, "baseline", {}, values, "baseline")]
    for name, alternatives in study.factors.items():
        for position, value in enumerate(alternatives):
            if repr(value) != repr(values[name]):
                key = f"factors.{name}.{position}"
                found.append(_arm(study, f"{name}={_written(value)}", {name: value}, values, key))
    if len(found) == 1:
        raise StudyError(f"{study.where('factors')}: nothing differs from the baseline: add another value")
    for arm in found:
        for point in tuning_points(study):
            _check_point(study, arm, point)
    return found


def tuning_points(study: StudySpec) -> list[dict[str, float]]:
    """The settings every arm tries, fixed by the study alone; one empty setting where nothing is tuned.

    Evenly (log-)spaced for one nuisance, scrambled Sobol points for more, the recipe's own value among them.
    """
    if not study.tuning.active:
        return [{}]
    ranges = study.tuning.ranges
    own = own_values(study)
    if len(ranges) == 1:
        ((name, span),) = ranges.items()
        spaced = (np.geomspace if span.log else np.linspace)(span.low, span.high, study.tuning.trials)
        grid = [_rounded(study, name, value) for value in spaced]
        points = (
            grid
            if any(math.isclose(value, own[name], rel_tol=1e-5) for value in grid)
            else [*grid, own[name]]
        )
        return [{name: value} for value in sorted(set(points))]
    sampler = qmc.Sobol(d=len(ranges), scramble=True, rng=derived_seed(0, f"tuning {study.name}"))
    # A power of two keeps the sequence balanced; the surplus is cut off.
    cube = sampler.random_base2(max(0, math.ceil(math.log2(max(1, study.tuning.trials - 1)))))
    points_of_cube = [
        {
            name: _rounded(study, name, _scaled(span, u))
            for (name, span), u in zip(ranges.items(), row, strict=True)
        }
        for row in cube[: study.tuning.trials - 1]
    ]
    return [own, *(point for point in points_of_cube if point != own)]


def own_values(study: StudySpec) -> dict[str, float]:
    """The tuned keywords' own values in the recipe or the baseline."""
    return {name: _number(study, name) for name in study.tuning.ranges}


def beyond(study: StudySpec, side: Literal["low", "high"], steps: int) -> dict[str, float] | None:
    """The point `steps` grid steps outside the tuned range of the one nuisance; None where none can be."""
    if len(study.tuning.ranges) != 1 or study.tuning.trials < 2:
        return None
    ((name, span),) = study.tuning.ranges.items()
    gaps = study.tuning.trials - 1
    sign = -1 if side == "low" else 1
    edge = span.low if side == "low" else span.high
    if span.log:
        value = edge * (span.high / span.low) ** (sign * steps / gaps)
    else:
        value = edge + sign * steps * (span.high - span.low) / gaps
    point = {name: _rounded(study, name, value)}
    baseline = _arm(study, "baseline", {}, {}, "baseline")
    try:
        _check_point(study, baseline, point)
    except StudyError:
        return None  # a rate below zero, a dropout of one: the range ends here by nature
    return point


def setting_name(setting: Setting) -> str:
    """`learning_rate=0.9`, or `recipe` where nothing is tuned."""
    return ",".join(f"{name}={value:g}" for name, value in setting.items()) or "recipe"


def confirm_runs(study: StudySpec, arms_of_study: Sequence[Arm], chosen: Mapping[str, Setting]) -> list[Run]:
    """Every arm with its tuned setting on fresh seeds, all arms of a seed together."""
    return [
        Run(phase="confirm", arm=arm, setting=chosen[arm.name], seed=seed)
        for seed in range(study.seeds)
        for arm in arms_of_study
    ]


def _in_recipe(name: str) -> bool:
    return name in Recipe.model_fields


def _check_name(study: StudySpec, key: str, name: str) -> None:
    try:
        of_model = models.keywords(study.model)
    except ModelError as error:
        raise StudyError(f"{study.where('model')}: {error}") from None
    known = [*of_model, *Recipe.model_fields]
    if name not in known:
        raise StudyError(f"{study.where(key)}: unknown keyword '{name}': {did_you_mean(name, known)}")
    if key.startswith("baseline.") and _in_recipe(name):
        raise StudyError(f"{study.where(key)}: '{name}' belongs to the recipe: write it there")


def _own_value(study: StudySpec, name: str) -> Any:
    if _in_recipe(name):
        return getattr(study.recipe, name)
    default = models.keywords(study.model)[name]
    return study.baseline.get(name, list(default) if isinstance(default, tuple) else default)


def _number(study: StudySpec, name: str) -> float:
    value = _own_value(study, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise StudyError(f"{study.where(f'tuning.{name}')}: {value!r} is no number: only numbers are tuned")
    return value


def _rounded(study: StudySpec, name: str, value: float) -> float:
    """To six significant digits, so that a point's name tells all of it; whole where the keyword is."""
    if isinstance(_number(study, name), int) and not isinstance(_number(study, name), float):
        return round(value)
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _scaled(span: Range, u: float) -> float:
    if span.log:
        return float(span.low * (span.high / span.low) ** u)
    return float(span.low + u * (span.high - span.low))


def _arm(
    study: StudySpec, name: str, changes: Mapping[str, Value], values: Mapping[str, Value], key: str
) -> Arm:
    keywords = {**study.baseline, **{k: v for k, v in changes.items() if not _in_recipe(k)}}
    in_recipe = {k: v for k, v in changes.items() if _in_recipe(k)}
    recipe = _recipe(study, study.recipe, in_recipe, key)
    arm = Arm(name=name, model=study.model, keywords=keywords, recipe=recipe, factors={**values, **changes})
    _check_network(study, arm, {}, key)
    return arm


def _check_point(study: StudySpec, arm: Arm, point: Setting) -> None:
    recipe = {k: v for k, v in point.items() if _in_recipe(k)}
    key = f"tuning.{next(iter(point), '')}"
    _recipe(study, arm.recipe, recipe, key)
    if len(recipe) < len(point):
        _check_network(study, arm, {k: v for k, v in point.items() if not _in_recipe(k)}, key)


def _recipe(study: StudySpec, recipe: Recipe, changes: Mapping[str, Value], key: str) -> Recipe:
    if not changes:
        return recipe
    try:
        return Recipe.model_validate({**recipe.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        raise StudyError(f"{study.where(key)}: {first['input']!r}: {first['msg'].lower()}") from None


def _check_network(study: StudySpec, arm: Arm, changes: Mapping[str, Value], key: str) -> None:
    facts = DATASETS[study.dataset]
    try:
        models.check(
            arm.model, {**arm.keywords, **changes}, input_shape=facts.image_shape, classes=facts.classes
        )
    except ModelError as error:
        at = f"baseline.{error.keyword}" if key == "baseline" else key
        raise StudyError(f"{study.where(at)}: arm {arm.name}: {error.keyword}: {error}") from None


def _written(value: Value) -> str:
    """A value as a person writes it in the study file."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return "[" + " ".join(map(_written, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
