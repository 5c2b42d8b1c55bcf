"""Keys of the recipe that only some optimisers use."""

from ablate.study.recipe import Recipe

USED_BY = {"momentum": ("sgd",)}
"""For every key that some optimisers ignore, the optimisers that use the key."""


def uses(optimizer: str, key: str) -> bool:
    """Whether the optimiser uses a key of the recipe."""
    return optimizer in USED_BY.get(key, (optimizer,))


def find_ignored(recipe: Recipe) -> str | None:
    """Find a key that the recipe sets and its optimiser ignores. Return None if there is no such key."""
    for key in USED_BY:
        default = Recipe.model_fields[key].default
        if not uses(recipe.optimizer, key) and getattr(recipe, key) != default:
            return key
    return None


def explain_ignored(optimizer: str, key: str) -> str:
    """Explain that the optimiser ignores the key, and name a remedy."""
    return f"the optimizer {optimizer} ignores {key}: leave it out, or use {' or '.join(USED_BY[key])}"
