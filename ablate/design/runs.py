"""`Arm` and `Run`: what is trained, and the key under which a run's result is stored."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ablate import models
from ablate.devices.choice import name_kind
from ablate.records.run_records import Phase
from ablate.study.owners import belongs_to_recipe, drop_owner
from ablate.study.recipe import Recipe
from ablate.study.spec import StudySpec, Value

Setting = Mapping[str, float]
"""A value for each tuned parameter, for example for the learning rate."""
LONGEST_SLUG = 60
"""The maximum number of characters of an arm's name in a file name."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A variant that the study compares: a network and a training recipe, with one value for each factor."""

    name: str
    model: str
    keywords: Mapping[str, Value]
    recipe: Recipe
    factors: Mapping[str, Value]

    @property
    def slug(self) -> str:
        """The arm's name in a form that file names can use."""
        return make_slug(self.name)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training of an arm with one setting of the tuned parameters and one seed, in one phase."""

    phase: Phase
    arm: Arm
    setting: Setting
    seed: int
    floor: tuple[float, ...] = ()
    """For each epoch, the validation accuracy below which the run is stopped. Only used in a search."""
    first_seed: int = 0
    """The first seed of the study's confirmation runs."""
    keep_epochs: bool = False
    """Whether the run keeps the network's parameters before training and after every epoch."""

    @property
    def is_first(self) -> bool:
        """Whether this is its arm's first confirmation run, whose trained parameters are kept."""
        return self.phase == Phase.CONFIRM and self.seed == self.first_seed

    @property
    def keywords(self) -> dict[str, Value]:
        """The keywords of the arm's network. Tuned values of this run replace values of the arm."""
        own = {drop_owner(k): v for k, v in self.setting.items() if not belongs_to_recipe(k)}
        return {**self.arm.keywords, **own}

    @property
    def recipe(self) -> Recipe:
        """The arm's recipe. Tuned values of this run replace values of the arm."""
        return self.arm.recipe.model_copy(
            update={drop_owner(k): v for k, v in self.setting.items() if belongs_to_recipe(k)}
        )

    def key(self, study: StudySpec, device: str) -> str:
        """Compute the key under which the run is stored. Runs with equal keys must give equal results."""
        identity = {
            "phase": self.phase,
            "arm": self.arm.name,
            "model": self.arm.model,
            "keywords": {**models.read_keywords(self.arm.model), **self.keywords},
            "recipe": self.recipe.dump(),
            "setting": dict(self.setting),
            "seed": self.seed,
            "floor": self.floor,
            "dataset": study.dataset.model_dump(),
            "validation": study.validation,
            "device": name_kind(device),
        }
        if (version := study.dataset.pixels_version) > 1:
            identity["pixels"] = version
        if code := models.fingerprint(self.arm.model):
            identity["code"] = code
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def make_slug(arm: str) -> str:
    """Make a name of letters, digits and dashes for files. Add a hash if two arms could get the same name."""
    plain = re.sub(r"[^a-z0-9]+", "-", arm.lower()).strip("-")[:LONGEST_SLUG]
    if len(arm) <= LONGEST_SLUG and re.fullmatch(r"[a-z0-9_=,]+", arm):
        return plain
    return f"{plain}-{hashlib.sha256(arm.encode()).hexdigest()[:6]}"


def name_setting(setting: Setting) -> str:
    """Name a setting, for example `learning_rate=0.9`, or `recipe` if nothing is tuned."""
    return ",".join(f"{name}={value:g}" for name, value in setting.items()) or "recipe"
