"""Names with an owner. The owner says whether a name belongs to the network or to the training recipe.

For example, `model.momentum` is a keyword of the network, and `recipe.momentum` is a key of the recipe. A
name without an owner belongs to the recipe if the recipe has a key of this name. Otherwise the name belongs
to the network.
"""

from collections.abc import Mapping
from typing import Any

from ablate.study.recipe import Recipe

MODEL, RECIPE = "model", "recipe"
OWNERS = (MODEL, RECIPE)


def split_owner(name: str) -> tuple[str | None, str]:
    """Split a name into owner and plain name: `model.width` becomes `model` and `width`.

    If the name has no owner, return None and the name.
    """
    owner, dot, plain = name.partition(".")
    return (owner, plain) if dot and owner in OWNERS else (None, name)


def drop_owner(name: str) -> str:
    """Return the name without its owner: `width` for `model.width`."""
    return split_owner(name)[1]


def belongs_to_recipe(name: str) -> bool:
    """Return whether a name belongs to the recipe. All other names belong to the network."""
    owner, plain = split_owner(name)
    return owner == RECIPE or (owner is None and plain in Recipe.model_fields)


class WrittenTwiceError(ValueError):
    """A section of a study file has a key in both forms: `model.width: 3` and `model: {width: 3}`.

    The argument of the error is the key, `model.width`.
    """


def join_owners(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a study file's content, and write `model.width: 3` where the file has `model: {width: 3}`.

    Owners can be nested in `baseline`, `factors`, `tuning`, every arm and every `when`.

    Raises:
        WrittenTwiceError: a section has one key in both forms.
    """
    joined = dict(raw)
    for section in ("baseline", "factors", "tuning"):
        if isinstance(raw.get(section), Mapping):
            joined[section] = {
                name: _join_conditions(value) for name, value in _join_names(raw[section]).items()
            }
    if isinstance(raw.get("arms"), Mapping):
        joined["arms"] = {
            arm: _join_names(changes) if isinstance(changes, Mapping) else changes
            for arm, changes in raw["arms"].items()
        }
    if isinstance(raw.get("fallback"), Mapping):
        joined["fallback"] = join_owners(raw["fallback"])
    if isinstance(raw.get("contexts"), Mapping):
        joined["contexts"] = {
            name: join_owners(changes) if isinstance(changes, Mapping) else changes
            for name, changes in raw["contexts"].items()
        }
    return joined


def join_parts(parts: list[str]) -> list[str]:
    """Join an owner with the name that follows it, in a dotted key that was split at its dots.

    For example, `["factors", "model", "width"]` becomes `["factors", "model.width"]`.
    """
    for section, depth in (("fallback", 1), ("contexts", 2)):
        if parts[0] == section and len(parts) > depth:
            return [*parts[:depth], *join_parts(parts[depth:])]
    at = 2 if parts[0] == "arms" else 1
    if parts[0] in ("baseline", "factors", "tuning", "arms"):
        for place in (at, *(i + 1 for i, part in enumerate(parts) if part == "when" and i > at)):
            if place + 1 < len(parts) and parts[place] in OWNERS:
                return [*parts[:place], f"{parts[place]}.{parts[place + 1]}", *parts[place + 2 :]]
    return parts


def _join_names(section: Mapping[str, Any]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for name, value in section.items():
        if name in OWNERS and isinstance(value, Mapping) and not _is_range(value):
            given = {f"{name}.{below}": inner for below, inner in value.items()}
        else:
            given = {name: value}
        if twice := sorted(joined.keys() & given.keys()):
            raise WrittenTwiceError(twice[0])
        joined |= given
    return joined


def _is_range(value: Mapping[str, Any]) -> bool:
    """Return whether the mapping is a range with `low` or `high`. A name above a range is not an owner."""
    return {"low", "high"} & value.keys() != set() and not any(
        isinstance(value.get(end), Mapping | list) for end in ("low", "high")
    )


def _join_conditions(value: Any) -> Any:
    """Join the owners in the conditions of a range, or of a list of ranges or values."""
    if isinstance(value, list):
        return [_join_conditions(one) for one in value]
    if isinstance(value, Mapping) and isinstance(value.get("when"), Mapping):
        return {**value, "when": _join_names(value["when"])}
    return value
