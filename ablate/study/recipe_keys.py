"""Find keys of the recipe that contradict each other, such as a key that the optimiser does not use."""

from collections.abc import Sequence

from ablate.study.recipe import Recipe

USED_BY: dict[str, tuple[str, tuple[str, ...]]] = {
    "momentum": ("optimizer", ("sgd", "rmsprop")),
    "nesterov": ("optimizer", ("sgd",)),
    "warmup_epochs": ("schedule", ("constant", "step", "cosine", "linear")),
    "step_epochs": ("schedule", ("step",)),
    "step_factor": ("schedule", ("step",)),
}
"""Maps a key to another key and some values. The first key is used only if the other has one of the values.

For example, training uses `momentum` only if `optimizer` is `sgd` or `rmsprop`. A key that is not listed is
always used.
"""


def uses(recipe: Recipe, key: str) -> bool:
    """Return whether training by this recipe uses the key."""
    if key not in USED_BY:
        return True
    decider, values = USED_BY[key]
    return getattr(recipe, decider) in values


def explain_ignored(recipe: Recipe, key: str) -> str:
    """Explain why training by this recipe ignores the key, and name a remedy."""
    decider, values = USED_BY[key]
    return (
        f"the {decider} {getattr(recipe, decider)} ignores {key}: leave it out, or use "
        f"{_list_alternatives(values)}"
    )


def find_conflict(recipe: Recipe) -> tuple[str, str] | None:
    """Find a key that contradicts another key of the recipe. Return the key, and a message with a remedy.

    Return None if there is no such key.
    """
    for key in USED_BY:
        if not uses(recipe, key) and getattr(recipe, key) != Recipe.model_fields[key].default:
            return key, explain_ignored(recipe, key)
    if recipe.nesterov and recipe.momentum == 0:
        return "nesterov", "nesterov needs momentum: set momentum above 0, or leave nesterov out"
    if recipe.warmup_epochs >= recipe.epochs:
        return "warmup_epochs", (
            f"a warm-up of {recipe.warmup_epochs:g} epochs is not shorter than the training of "
            f"{recipe.epochs} epochs: set warmup_epochs below epochs"
        )
    return None


def _list_alternatives(values: Sequence[str]) -> str:
    """Join words with commas and a last "or", for example `sgd, adam or adamw`."""
    *others, last = values
    return f"{', '.join(others)} or {last}" if others else last
