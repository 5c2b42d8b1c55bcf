"""List the values that a key of the training recipe has in the arms of a study."""

from collections.abc import Iterator
from typing import Any

from ablate.study.owners import belongs_to_recipe, drop_owner
from ablate.study.spec import StudySpec, ValueWhen


def list_recipe_values(study: StudySpec, key: str) -> Iterator[Any]:
    """Yield the values of a key of the recipe: first in the recipe itself, then in factors and named arms."""
    yield getattr(study.recipe, key)
    for name, values in study.factors.items():
        if belongs_to_recipe(name) and drop_owner(name) == key:
            yield from (value.value if isinstance(value, ValueWhen) else value for value in values)
    for changes in study.arms.values():
        for name, value in changes.items():
            if belongs_to_recipe(name) and drop_owner(name) == key:
                yield value
