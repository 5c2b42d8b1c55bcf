"""Read the parameters of a user's network: which keywords a study can set, and their types."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from ablate.errors import ModelError

GIVEN_BY_DATA = ("input_shape", "classes")
"""The data set gives these parameters their values. A study cannot set them."""


def read_signature(model: str, function: Callable[..., nn.Module]) -> dict[str, Any]:
    """Read the callable's parameters and their defaults. They are the keywords that a study can set.

    A parameter is left out if a study file cannot contain its default, for example if the default is a class.
    The network is then always built with this default.

    Raises:
        ModelError: a parameter has no default or is positional-only, or the signature cannot be read.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (ValueError, TypeError) as error:
        raise ModelError("model", f"the parameters of {model} cannot be read ({error})") from None
    found = {}
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is parameter.empty and name in ("self", "cls"):
            raise ModelError("model", f"{model} is a method of a class: name a method of an object instead")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ModelError(name, f"{model} has {name} as positional-only parameter: make it a keyword")
        if parameter.default is parameter.empty and name not in GIVEN_BY_DATA:
            raise ModelError(name, f"{model} has no default for {name}: add a default")
        if name in GIVEN_BY_DATA or is_settable(parameter.default):
            found[name] = parameter.default
    return found


def hides_keywords(function: Callable[..., nn.Module]) -> bool:
    """Whether the callable takes `**kwargs`. Then its signature does not name all its keywords."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return False
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def is_settable(value: Any) -> bool:
    """Whether a study file can contain the value: a word, a number, true, false, null, or a flat list."""
    values = value if isinstance(value, tuple | list) else (value,)
    return all(one is None or isinstance(one, bool | int | float | str) for one in values)


def check_type(model: str, name: str, value: Any, default: Any) -> None:
    """Require that a value has the type of the keyword's default.

    Without this check, the YAML word `no` would count as true, because ablate reads `no` as text.

    Raises:
        ModelError: the value has another type. The error names the keyword and its default.
    """
    kinds: dict[type, tuple[str, tuple[type, ...]]] = {
        bool: ("true or false", (bool,)),
        int: ("a whole number", (int,)),
        float: ("a number", (int, float)),
        str: ("a word", (str,)),
    }
    if type(default) not in kinds or value is None:
        return
    told, allowed_kinds = kinds[type(default)]
    if type(value) not in allowed_kinds:
        raise ModelError(name, f"{model}: {value!r} is not {told}, but the default {default!r} is")
