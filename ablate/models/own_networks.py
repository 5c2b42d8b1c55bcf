"""Build a user's network, and check what it returns."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import UninitializedTensorMixin  # type: ignore[attr-defined]

from ablate.errors import ModelError
from ablate.formatting import format_count
from ablate.models.layers import initialise
from ablate.models.own import call_foreign
from ablate.seeds import seeded_streams

CHECKED_IMAGES = 2
"""The number of images with which a network is checked. In training mode, batch norm refuses one image."""


def construct(
    model: str,
    function: Callable[..., nn.Module],
    settings: Mapping[str, Any],
    *,
    input_shape: Sequence[int],
    init: str,
    seed: int,
) -> nn.Module:
    """Build a user's network on the CPU from a seed.

    If `init` is `default`, the network keeps the initial values from the user's code. Lazy layers get their
    shapes from one forward pass of zeros. `input_shape` is `(channels, height, width)`.

    Raises:
        ModelError: the callable failed or did not return a network that can be trained.
    """
    with seeded_streams(seed, "init"):
        # The settings are copied, because the user's code can change a list that it receives.
        network = call_foreign(model, lambda: function(**copy.deepcopy(dict(settings))))
        if not isinstance(network, nn.Module):
            raise ModelError("model", f"{model} gives a {type(network).__name__}, not a torch.nn.Module")
        if isinstance(network, torch.jit.ScriptModule):
            raise ModelError(
                "model", f"{model} gives a compiled torch.jit.ScriptModule: return it without torch.jit"
            )
        _materialise(model, network, input_shape)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ModelError("model", f"{model} gives a network without parameters that can be trained")
    network.register_forward_hook(take_logits)
    if init != "default":
        initialise(network, init, seed)
    return network


def take_logits(_network: nn.Module, _inputs: object, output: Any) -> Any:
    """If a network's output is a named tuple, replace it with the field `logits`. This is a forward hook.

    In training mode, GoogLeNet and Inception of torchvision return a named tuple. The other fields are the
    outputs of auxiliary classifiers. ablate does not use these outputs in the loss.
    """
    if isinstance(output, tuple) and "logits" in getattr(output, "_fields", ()):
        return output.logits  # type: ignore[attr-defined]
    return None


def check_output(model: str, network: nn.Module, input_shape: Sequence[int], classes: int) -> None:
    """Pass two images through the network in both modes, to check that the output has the right shape.

    Raises:
        ModelError: the network failed, or did not return logits `(batch, classes)`.
    """
    images = torch.zeros(CHECKED_IMAGES, *input_shape)
    with seeded_streams(0, "check"), torch.no_grad():
        for training in (True, False):
            output = call_foreign(model, partial(_pass_through, network, images, training=training))
            require_logits(model, output, CHECKED_IMAGES, classes, training=training)


def require_logits(model: str, output: Any, images: int, classes: int, *, training: bool) -> None:
    """Require that an output consists of logits: floating-point numbers `(images, classes)`.

    Raises:
        ModelError: the output is something else. The error names the mode and a remedy.
    """
    mode = "in training mode" if training else "in evaluation mode"
    wanted = f"return logits ({images}, {classes}) in both modes"
    if not isinstance(output, Tensor):
        named = ", or a named tuple with the field logits" if isinstance(output, tuple) else ""
        raise ModelError("model", f"{model} gives a {type(output).__name__} {mode}: {wanted}{named}")
    shape = tuple(output.shape)
    if shape == (images,) or (shape == (images, 1) and classes > 1) or not output.is_floating_point():
        kind = str(output.dtype).removeprefix("torch.")
        raise ModelError(
            "model",
            f"{model} gives {kind} {shape} {mode}, not a floating-point number per image and class: {wanted}",
        )
    if shape != (images, classes):
        raise ModelError(
            "model",
            f"{model} gives {shape} for {format_count(images, 'image')} of {classes} classes {mode}, not "
            f"({images}, {classes}): give it the parameter `classes`, which ablate sets, and return "
            "(batch, classes)",
        )


def _materialise(model: str, network: nn.Module, input_shape: Sequence[int]) -> None:
    """Give lazy layers their shapes and initial values, without changing batch norm's running statistics."""
    for training in (False, True):  # a network can use a layer in only one of the modes
        if not _is_lazy(network):
            return
        images = torch.zeros(CHECKED_IMAGES, *input_shape)
        with torch.no_grad():
            call_foreign(model, partial(_pass_through, network, images, training=training))
        if training:
            for layer in network.modules():
                if isinstance(layer, _NormBase):
                    layer.reset_running_stats()
    network.train()
    if lazy := [name for name, tensor in _list_tensors(network) if _is_uninitialised(tensor)]:
        raise ModelError("model", f"{model}: {lazy[0]} gets no shape from a forward pass: remove this layer")


def _pass_through(network: nn.Module, images: Tensor, *, training: bool) -> Any:
    network.train(training)  # a user's own `train` can return None
    return network(images)


def _is_lazy(network: nn.Module) -> bool:
    return any(_is_uninitialised(tensor) for _, tensor in _list_tensors(network))


def _list_tensors(network: nn.Module) -> list[tuple[str, Tensor]]:
    return [*network.named_parameters(), *network.named_buffers()]


def _is_uninitialised(tensor: Tensor) -> bool:
    return isinstance(tensor, UninitializedTensorMixin)
