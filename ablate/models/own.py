"""Users' own networks. A study names code that --plugin allows, or a name that a package offers."""

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from ablate.errors import ModelError, format_error
from ablate.models.layers import initialise
from ablate.seeds import derive_seed
from ablate.study.spec import did_you_mean

GIVEN_BY_DATA = ("input_shape", "classes")
"""The parameters whose values come from the data set. A study cannot set them."""
ENTRY_POINTS = "ablate.models"
"""The group of entry points in which installed packages offer networks by name."""
_allowed: list[str] = []


def allow(packages: Sequence[str]) -> None:
    """Let studies use code of these packages or modules, which may be in the current folder.

    A study file alone never runs code, because it may come from an untrusted person.
    """
    here = str(Path.cwd())
    for package in packages:
        if package not in _allowed:
            _allowed.append(package)
            if here not in sys.path:
                sys.path.append(here)


def list_allowed() -> tuple[str, ...]:
    """List the allowed packages, so that another process can `allow` them."""
    return tuple(_allowed)


def find_callable(model: str, known: Sequence[str]) -> Callable[..., nn.Module]:
    """Find the callable named `package.module:callable`, or by a name that an installed package offers.

    Raises:
        ModelError: the callable is not allowed, does not exist, or cannot be called.
    """
    if ":" not in model:
        offered = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
        if model not in offered:
            told = did_you_mean(model, [*known, *offered])
            raise ModelError("model", f"'{model}' is not known: {told}")
        return _load(model, offered[model].load)
    module, _, name = model.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), name]):
        raise ModelError("model", f"'{model}' is not of the form package.module:callable")
    if not any(module == package or module.startswith(f"{package}.") for package in _allowed):
        package = module.partition(".")[0]
        raise ModelError(
            "model", f"'{model}' is code, which a study alone never runs: allow it with --plugin {package}"
        )
    return _load(model, lambda: getattr(_import_module(module), name))


def read_signature(model: str, function: Callable[..., nn.Module]) -> dict[str, Any]:
    """Read the callable's parameters and their defaults, which are the keywords for a study.

    Raises:
        ModelError: a parameter has no default, or a default that a study file cannot contain.
    """
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ModelError(name, f"{model} takes it by position only: make it a keyword parameter")
        if parameter.default is parameter.empty and name not in GIVEN_BY_DATA:
            raise ModelError(name, f"{model} gives it no default: give it one")
        values = parameter.default if isinstance(parameter.default, tuple | list) else (parameter.default,)
        if name not in GIVEN_BY_DATA and not all(
            value is None or isinstance(value, bool | int | float | str) for value in values
        ):
            raise ModelError(
                name, f"{model}: its default {parameter.default!r} is not a word, number or list"
            )
        found[name] = parameter.default
    return found


def check_type(model: str, name: str, value: Any, default: Any) -> None:
    """Require a value of the default's type. Without this check the YAML word `no` would count as true.

    Raises:
        ModelError: the value has another type. The error names keyword and default.
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
        raise ModelError(name, f"{model}: {value!r} is not {told}, as its default {default!r} is")


def construct(
    model: str, function: Callable[..., nn.Module], settings: dict[str, Any], *, init: str, seed: int
) -> nn.Module:
    """Build the network on the CPU, determined by the seed. `init: default` keeps its own initialisation.

    Raises:
        ModelError: the callable failed or did not return a network.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "init"))
        network = _call(model, lambda: function(**settings))
    if not isinstance(network, nn.Module):
        raise ModelError("model", f"{model} gives a {type(network).__name__}, not a torch.nn.Module")
    if not list(network.parameters()):
        raise ModelError("model", f"{model} gives a network without parameters: nothing can be trained")
    if init != "default":
        initialise(network, init, seed)
    return network


def try_out(model: str, network: nn.Module, input_shape: Sequence[int], classes: int) -> None:
    """Pass two images through the network in training mode, to find a wrong shape before any training.

    Raises:
        ModelError: the network failed, or did not return logits `(batch, classes)`.
    """
    images = torch.zeros(2, *input_shape)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        output = _call(model, lambda: network.train()(images))
    if not isinstance(output, torch.Tensor) or output.shape != (2, classes):
        given = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise ModelError(
            "model", f"{model} gives {given} for 2 images of {classes} classes, not (2, {classes})"
        )


def hash_file(function: Callable[..., nn.Module]) -> str:
    """Compute the SHA-256 of the callable's source file. Changed code counts as another network."""
    source = inspect.getsourcefile(function)
    return hashlib.sha256(Path(source).read_bytes()).hexdigest() if source else ""


def _import_module(module: str) -> ModuleType:
    """Import a module. The current folder comes before an installed package of the same name."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(here)


def _load(model: str, load: Callable[[], Any]) -> Callable[..., nn.Module]:
    found = _call(model, load)
    if not callable(found):
        raise ModelError("model", f"'{model}' cannot be called: name a function or a class")
    return found


def _call(model: str, work: Callable[[], Any]) -> Any:
    """Run a user's code and return its result. Any exception becomes a ModelError of one line."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001  # a user's code may raise anything
        raise ModelError("model", f"'{model}' failed with {format_error(error)}") from None
