"""Train one or two steps of every arm before a study starts, to find arms that cannot be trained."""

import json
from collections.abc import Callable, Collection, Iterator

from ablate.data.loading import Dataset
from ablate.design.arms import make_grid
from ablate.design.designs import Layout
from ablate.design.runs import Run
from ablate.engines.try_out import try_out
from ablate.errors import ModelError, StudyError
from ablate.formatting import format_list
from ablate.records.run_records import Phase
from ablate.study.spec import StudySpec

UNTRIED = (
    "learning_rate",
    "momentum",
    "weight_decay",
    "init",
    "epochs",
    "schedule",
    "warmup_epochs",
    "step_epochs",
    "step_factor",
    "nesterov",
    "label_smoothing",
    "gradient_clip",
)
"""Keys of the recipe that make no difference to whether a network can be trained."""


def try_arms(study: StudySpec, layout: Layout, load: Callable[[int | None], Dataset]) -> tuple[str, ...]:
    """Train one or two steps of every arm (variant of the network or its training).

    If a value to tune changes the network or the batches, try the arm with each of these values.

    Args:
        study: the study.
        layout: the study's arms. The candidates of a search are not included, so they are not tried.
        load: loads images at the recipe's size onto the device that will train.

    Returns:
        Warnings about arms whose random numbers are the same at every seed. Each warning names its arms.

    Raises:
        StudyError: an arm cannot be trained. The message names the place in the study file, the arm, the
            cause and a remedy.
    """
    facts = study.dataset.facts
    cautions: dict[str, dict[str, None]] = {}
    for run in _list_different_runs(study, layout):
        recipe = run.recipe
        images = facts.count_training_images(recipe.train_images, study.validation)
        try:
            told = try_out(
                run,
                load(recipe.input_size),
                examples=recipe.count_examples_per_epoch(images),
                evaluated=(study.validation, facts.test_images),
            )
        except ModelError as error:
            place = study.locate(_find_key(study, layout, run, error.keyword))
            raise StudyError(f"{place}: arm {run.arm.name}: {error}") from None
        for caution in told:
            cautions.setdefault(caution, {})[run.arm.name] = None
    return tuple(
        f"{_name_arms(list(names), len(layout.arms))}: {caution}" for caution, names in cautions.items()
    )


def _find_key(study: StudySpec, layout: Layout, run: Run, keyword: str) -> str:
    """Find the key in the study file that gives this run its value of the keyword."""
    name = run.arm.name
    given: dict[str, Collection[str]] = {"tuning": run.setting}
    if name != layout.arms[0].name:
        given |= {f"arms.{name}": study.arms.get(name, {}), "factors": study.factors}
    spellings = (keyword, keyword.removeprefix("recipe."))
    found = (f"{section}.{one}" for section, values in given.items() for one in spellings if one in values)
    return next(found, keyword)


def _name_arms(names: list[str], arms: int) -> str:
    """Name some of a study's arms: `all arms`, `arm baseline`, `arms baseline and width=6`."""
    if len(names) == arms:
        return "all arms"
    return f"arm{'s' if len(names) > 1 else ''} {format_list(names)}"


def _list_different_runs(study: StudySpec, layout: Layout) -> Iterator[Run]:
    """Yield one run for each different network and recipe among the arms and their tuned values.

    Two recipes count as equal if they differ only in keys of `UNTRIED`.
    """
    seen = set()
    for arm in layout.arms:
        points = make_grid(study, arm).list_points() if study.tuning.active else []
        for point in [{}, *points]:
            run = Run(phase=Phase.CONFIRM, arm=arm, setting=point, seed=0)
            recipe = run.recipe.model_dump(exclude=set(UNTRIED))
            identity = json.dumps([arm.model, run.keywords, recipe], sort_keys=True)
            if identity not in seen:
                seen.add(identity)
                yield run
