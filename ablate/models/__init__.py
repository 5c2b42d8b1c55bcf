"""The registry of networks: build one, check one, describe one."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ablate.errors import ModelError
from ablate.models.layers import LayerShape, initialise, layer_shapes
from ablate.models.lenet import lenet
from ablate.models.mlp import mlp
from ablate.spec import did_you_mean

__all__ = ["MODELS", "LayerShape", "build", "check", "keywords", "layer_shapes"]

MODELS: dict[str, Callable[..., nn.Sequential]] = {"lenet": lenet, "mlp": mlp}
_GIVEN_BY_DATA = ("input_shape", "classes")


def keywords(model: str) -> dict[str, Any]:
    """A model's keywords and their defaults, in the order of its signature."""
    if model not in MODELS:
        raise ModelError("model", f"'{model}' is not known: {did_you_mean(model, list(MODELS))}")
    parameters = inspect.signature(MODELS[model]).parameters
    return {name: p.default for name, p in parameters.items() if name not in _GIVEN_BY_DATA}


def check(model: str, settings: Mapping[str, Any], *, input_shape: Sequence[int], classes: int) -> None:
    """Push one example through the network on the meta device: nothing is allocated, nothing trained.

    Raises:
        ModelError: an unknown keyword, a value out of bounds, or a geometry that cannot be.
    """
    with torch.device("meta"):
        network = _construct(model, settings, input_shape, classes)
        output = network(torch.empty(1, *input_shape))
    if output.shape != (1, classes):
        raise ModelError("model", f"{model} gives {tuple(output.shape)[1:]} for {classes} classes")


def build(
    model: str, settings: Mapping[str, Any], *, input_shape: Sequence[int], classes: int, init: str, seed: int
) -> nn.Sequential:
    """A network on the CPU whose every parameter is a function of (seed, its name) alone."""
    with torch.device("meta"):
        network = _construct(model, settings, input_shape, classes)
    network.to_empty(device="cpu")
    initialise(network, init, seed)
    return network


def _construct(
    model: str, settings: Mapping[str, Any], input_shape: Sequence[int], classes: int
) -> nn.Sequential:
    known = keywords(model)
    for name in settings:
        if name not in known:
            raise ModelError(name, f"unknown keyword of {model}: {did_you_mean(name, list(known))}")
    return MODELS[model](**settings, input_shape=tuple(input_shape), classes=classes)
