"""The registry of models: build, check and describe a network by the name of its model."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ablate.errors import ModelError, did_you_mean
from ablate.models import own_signature
from ablate.models.alexnet import alexnet
from ablate.models.googlenet import googlenet
from ablate.models.layers import LayerShape, initialise, list_layer_shapes
from ablate.models.lenet import lenet
from ablate.models.mlp import mlp
from ablate.models.nin import nin
from ablate.models.own import find_callable
from ablate.models.own_code import Code, identify
from ablate.models.own_networks import check_output, construct
from ablate.models.own_signature import GIVEN_BY_DATA, check_type, read_signature
from ablate.models.sketches import compute_output_shape, give_memory
from ablate.models.vgg import vgg

__all__ = [
    "GIVEN_BY_DATA",
    "MODELS",
    "LayerShape",
    "build",
    "check",
    "find_default_input",
    "fingerprint",
    "hides_keywords",
    "identify_code",
    "list_layer_shapes",
    "read_keywords",
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


def read_keywords(model: str) -> dict[str, Any]:
    """Read the keywords of a model and their defaults, in the order of the model's signature."""
    if model in MODELS:
        parameters = {name: p.default for name, p in inspect.signature(MODELS[model]).parameters.items()}
    else:
        parameters = read_signature(model, find_callable(model, list(MODELS)))
    return {name: default for name, default in parameters.items() if name not in GIVEN_BY_DATA}


def hides_keywords(model: str) -> bool:
    """Whether a user's network takes `**kwargs`. Then its signature does not name all its keywords."""
    return model not in MODELS and own_signature.hides_keywords(find_callable(model, list(MODELS)))


def find_default_input(model: str) -> tuple[tuple[int, int, int], int]:
    """Choose the images and the number of classes for which a model is described.

    Return the image shape `(channels, height, width)` and the number of classes. Both are the defaults in the
    model's signature. If the signature has no such defaults, they are `(1, 28, 28)` and 10.
    """
    named = inspect.signature(MODELS.get(model) or find_callable(model, list(MODELS))).parameters
    defaults = {name: named[name].default for name in GIVEN_BY_DATA if name in named}
    given = {name: value for name, value in defaults.items() if value is not inspect.Parameter.empty}
    return given.get("input_shape", (1, 28, 28)), given.get("classes", 10)


def identify_code(model: str) -> Code | None:
    """Identify all code on which a user's network depends. Return None for ablate's own networks."""
    return None if model in MODELS else identify(model, find_callable(model, list(MODELS)))


def fingerprint(model: str) -> str | None:
    """Compute the SHA-256 of the code of a user's network. Return None for ablate's own networks."""
    code = identify_code(model)
    return code.sha256 if code else None


def check(model: str, settings: Mapping[str, Any], *, input_shape: Sequence[int], classes: int) -> None:
    """Check that the layers of a network fit together. To do so, pass an empty batch through the network.

    A user's network gets a batch of two images on the CPU, because its code can fail on the meta device.

    Raises:
        ModelError: a keyword is unknown, a value is out of range, or a layer does not fit its input.
    """
    if model not in MODELS:
        network = sketch(model, settings, input_shape=input_shape, classes=classes)
        check_output(model, network, input_shape, classes)
        return
    network = sketch(model, settings, input_shape=input_shape, classes=classes)
    output = compute_output_shape(network, input_shape)
    if output != (classes,):
        raise ModelError("model", f"{model} gives {tuple(output)} for {classes} classes")


def sketch(model: str, settings: Mapping[str, Any], *, input_shape: Sequence[int], classes: int) -> nn.Module:
    """Build a network on the meta device. Its parameters have shapes but no values.

    A user's network is built on the CPU instead, and its parameters have values.
    """
    if model not in MODELS:
        return build(model, settings, input_shape=input_shape, classes=classes, init="default", seed=0)
    with torch.device("meta"):
        return _construct(model, settings, input_shape, classes)


def build(
    model: str, settings: Mapping[str, Any], *, input_shape: Sequence[int], classes: int, init: str, seed: int
) -> nn.Module:
    """Build a network on the CPU. Each initial parameter depends only on the seed and its own name.

    If the network is a user's own, the user's code draws the parameters that `init` does not set. These
    parameters also depend on the seed.
    """
    if model not in MODELS:
        _check_names(model, settings)
        function = find_callable(model, list(MODELS))
        given = {"input_shape": tuple(input_shape), "classes": classes}
        wanted = {name: given[name] for name in read_signature(model, function) if name in given}
        return construct(
            model,
            function,
            {**_match_defaults(model, settings), **wanted},
            input_shape=input_shape,
            init=init,
            seed=seed,
        )
    network = sketch(model, settings, input_shape=input_shape, classes=classes)
    give_memory(network)
    initialise(network, init, seed)
    return network


def _construct(
    model: str, settings: Mapping[str, Any], input_shape: Sequence[int], classes: int
) -> nn.Sequential:
    _check_names(model, settings)
    return MODELS[model](**settings, input_shape=tuple(input_shape), classes=classes)


def _match_defaults(model: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn each list into a tuple if its keyword's default is a tuple. Study files cannot contain tuples."""
    defaults = read_keywords(model)
    return {
        name: tuple(value) if isinstance(value, list) and isinstance(defaults[name], tuple) else value
        for name, value in settings.items()
    }


def _check_names(model: str, settings: Mapping[str, Any]) -> None:
    known = read_keywords(model)
    for name in settings:
        if name not in known:
            raise ModelError(name, f"unknown keyword of {model}: {did_you_mean(name, list(known))}")
        if model not in MODELS:
            check_type(model, name, settings[name], known[name])
