"""Arms and runs: what is trained."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ablate import models
from ablate.records.run_records import Phase
from ablate.study.spec import Recipe, StudySpec, Value

Setting = Mapping[str, float]
"""One value for each nuisance."""
LONGEST_SLUG = 60
"""How many characters of an arm's name go into its file names."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One setting of the factors: a network and the recipe that trains it."""

    name: str
    model: str
    keywords: Mapping[str, Value]
    recipe: Recipe
    factors: Mapping[str, Value]

    @property
    def slug(self) -> str:
        """The name as a file name."""
        return make_slug(self.name)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One arm, one setting of the nuisances, one seed, one phase."""

    phase: Phase
    arm: Arm
    setting: Setting
    seed: int
    floor: tuple[float, ...] = ()
    """By epoch, the validation accuracy below which the run is stopped. Only a search sets any."""

    @property
    def keywords(self) -> dict[str, Value]:
        """The model's keywords with the setting in place."""
        return {**self.arm.keywords, **{k: v for k, v in self.setting.items() if not belongs_to_recipe(k)}}

    @property
    def recipe(self) -> Recipe:
        """The recipe with the setting in place."""
        return self.arm.recipe.model_copy(
            update={k: v for k, v in self.setting.items() if belongs_to_recipe(k)}
        )

    def key(self, study: StudySpec, device: str) -> str:
        """The run's key in the records: equal for two runs exactly if they must give the same numbers."""
        identity = {
            "phase": self.phase,
            "arm": self.arm.name,
            "model": self.arm.model,
            "keywords": {**models.keywords(self.arm.model), **self.keywords},
            "recipe": self.recipe.model_dump(),
            "setting": dict(self.setting),
            "seed": self.seed,
            "floor": self.floor,
            "dataset": study.dataset.model_dump(),
            "validation": study.validation,
            "device": device,
        }
        if code := models.fingerprint(self.arm.model):
            identity["code"] = code
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def make_slug(arm: str) -> str:
    """An arm's name for a file: letters, digits and dashes, with a hash where two names could collide."""
    plain = re.sub(r"[^a-z0-9]+", "-", arm.lower()).strip("-")[:LONGEST_SLUG]
    if len(arm) <= LONGEST_SLUG and re.fullmatch(r"[a-z0-9_=,]+", arm):
        return plain
    return f"{plain}-{hashlib.sha256(arm.encode()).hexdigest()[:6]}"


def name_setting(setting: Setting) -> str:
    """`learning_rate=0.9`, or `recipe` where nothing is tuned."""
    return ",".join(f"{name}={value:g}" for name, value in setting.items()) or "recipe"


def belongs_to_recipe(name: str) -> bool:
    """Whether a keyword belongs to the recipe; all others belong to the model."""
    return name in Recipe.model_fields
