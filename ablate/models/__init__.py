"""The registry of networks: build one, check one, describe one."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ablate.errors import ModelError
from ablate.models.alexnet import alexnet
from ablate.models.googlenet import googlenet
from ablate.models.layers import LayerShape, initialise, layer_shapes
from ablate.models.lenet import lenet
from ablate.models.mlp import mlp
from ablate.models.nin import nin
from ablate.models.own import (
    GIVEN_BY_DATA,
    callable_of,
    check_kind,
    construct,
    file_digest,
    signature,
    try_out,
)
from ablate.models.vgg import vgg
from ablate.study.spec import did_you_mean

__all__ = [
    "MODELS",
    "LayerShape",
    "build",
    "check",
    "fingerprint",
    "keywords",
    "layer_shapes",
    "made_for",
    "sketch",
]

MODELS: dict[str, Callable[..., nn.Sequential]] = {
    "lenet": lenet,
    "mlp": mlp,
    "alexnet": alexnet,
    "vgg": vgg,
    "nin": nin,
    "googlenet": googlenet,
}


def keywords(model: str) -> dict[str, Any]:
    """A model's keywords and their defaults, in the order of its signature."""
    if model in MODELS:
        parameters = {name: p.default for name, p in inspect.signature(MODELS[model]).parameters.items()}
    else:
        parameters = signature(model, callable_of(model, list(MODELS)))
    return {name: default for name, default in parameters.items() if name not in GIVEN_BY_DATA}


def made_for(model: str) -> tuple[tuple[int, int, int], int]:
    """The images `(channels, height, width)` and the number of classes that a model is described with.

    Those of its signature; 28×28 pixels of one channel and ten classes where it names none.
    """
    named = inspect.signature(MODELS.get(model) or callable_of(model, list(MODELS))).parameters
    defaults = {name: named[name].default for name in GIVEN_BY_DATA if name in named}
    given = {name: value for name, value in defaults.items() if value is not inspect.Parameter.empty}
    return given.get("input_shape", (1, 28, 28)), given.get("classes", 10)


def fingerprint(model: str) -> str | None:
    """SHA-256 of the code of a person's own network; None for ours, which the version tells."""
    return None if model in MODELS else file_digest(callable_of(model, list(MODELS)))


def check(model: str, settings: Mapping[str, Any], *, input_shape: Sequence[int], classes: int) -> None:
    """Push one example through the network on the meta device: nothing is allocated, nothing trained.

    A person's own network is built and tried for real, as its code may not know that device.

    Raises:
        ModelError: an unknown keyword, a value out of bounds, or a geometry that cannot be.
    """
    if model not in MODELS:
        network = sketch(model, settings, input_shape=input_shape, classes=classes)
        try_out(model, network, input_shape, classes)
        return
    with torch.device("meta"):
        # Evaluated: in training, batch norm refuses a single example whose maps are single pixels.
        output = sketch(model, settings, input_shape=input_shape, classes=classes).eval()(
            torch.empty(1, *input_shape)
        )
    if output.shape != (1, classes):
        raise ModelError("model", f"{model} gives {tuple(output.shape)[1:]} for {classes} classes")


def sketch(model: str, settings: Mapping[str, Any], *, input_shape: Sequence[int], classes: int) -> nn.Module:
    """A network to look at: on the meta device, shapes without numbers; a person's own for real."""
    if model not in MODELS:
        return build(model, settings, input_shape=input_shape, classes=classes, init="default", seed=0)
    with torch.device("meta"):
        return _construct(model, settings, input_shape, classes)


def build(
    model: str, settings: Mapping[str, Any], *, input_shape: Sequence[int], classes: int, init: str, seed: int
) -> nn.Module:
    """A network on the CPU whose every parameter is a function of (seed, its name) alone.

    Of a person's own network what `init` does not set is a function of the seed, as its code draws it.
    """
    if model not in MODELS:
        _check_names(model, settings)
        function = callable_of(model, list(MODELS))
        given = {"input_shape": tuple(input_shape), "classes": classes}
        wanted = {name: given[name] for name in signature(model, function) if name in given}
        return construct(model, function, {**settings, **wanted}, init=init, seed=seed)
    network = sketch(model, settings, input_shape=input_shape, classes=classes)
    network.to_empty(device="cpu")
    initialise(network, init, seed)
    return network


def _construct(
    model: str, settings: Mapping[str, Any], input_shape: Sequence[int], classes: int
) -> nn.Sequential:
    _check_names(model, settings)
    return MODELS[model](**settings, input_shape=tuple(input_shape), classes=classes)


def _check_names(model: str, settings: Mapping[str, Any]) -> None:
    known = keywords(model)
    for name in settings:
        if name not in known:
            raise ModelError(name, f"unknown keyword of {model}: {did_you_mean(name, list(known))}")
        if model not in MODELS:
            check_kind(model, name, settings[name], known[name])
