"""Inputs and outputs of every module in a forward pass, recorded by forward hooks."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

NEUTRAL = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm, _DropoutNd)
"""What may stand between a convolution and its activation."""
NO_ACTIVATION = (_ConvNd, nn.Linear, nn.Flatten, nn.Unflatten, nn.Upsample)
"""What is none even where it leaves a shape as it is; pooling, which has no class of its own, is another."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A module at work: the tensors it was given and made, and copies of what they held then.

    The tensors tell whose output went where; what they hold may since have been overwritten in place.
    """

    name: str
    module: nn.Module
    given: Tensor
    made: Tensor
    given_values: Tensor
    made_values: Tensor

    @property
    def convolves(self) -> bool:
        """Whether the module is a convolution of maps."""
        return isinstance(self.module, nn.Conv2d)

    @property
    def may_activate(self) -> bool:
        """Whether the module can be an activation: of no other known kind, and keeps its input's shape."""
        pooling = type(self.module).__module__ == "torch.nn.modules.pooling"
        other = pooling or isinstance(self.module, (*NO_ACTIVATION, *NEUTRAL))
        return not other and self.made.shape == self.given.shape


def traced(network: nn.Module, images: Tensor) -> list[Call]:
    """Every module that computes, in the order in which they do, for images `(n, channels, height, width)`.

    Modules made of others are left out, and so are those that take or give something other than one tensor.
    """
    calls: list[Call] = []
    given_values: dict[nn.Module, Tensor] = {}

    def before(module: nn.Module, args: tuple[Any, ...]) -> None:
        if args and isinstance(args[0], Tensor):
            given_values[module] = args[0].clone()

    def after(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def keep(module: nn.Module, args: tuple[Any, ...], made: Any) -> None:
            if module in given_values and isinstance(made, Tensor):
                calls.append(
                    Call(
                        name=name,
                        module=module,
                        given=args[0],
                        made=made,
                        given_values=given_values.pop(module),
                        made_values=made.clone(),
                    )
                )

        return keep

    with contextlib.ExitStack() as hooks, torch.inference_mode():
        for name, module in network.named_modules():
            # A convolution whose weight is parametrised has a module inside.
            if isinstance(module, nn.Conv2d) or not any(True for _ in module.children()):
                hooks.callback(module.register_forward_pre_hook(before).remove)
                hooks.callback(module.register_forward_hook(after(name)).remove)
        network(images)
    return calls


def activated(calls: Sequence[Call], at: int) -> tuple[str, Tensor]:
    """What comes of the convolution `calls[at]` after its activation, and in words where that was found.

    The activation is the next module that takes the convolution's output, at most norm and dropout in
    between. Where functions stand in place of modules, it is what the next module is given, if that has the
    shape of the convolution's output and is new. A convolution without any of this stands for itself.
    """
    convolution = calls[at]
    current, values, name = convolution.made, convolution.made_values, convolution.name
    there = [tensor for call in calls[: at + 1] for tensor in (call.given, call.made)]
    for call in calls[at + 1 :]:
        ours = call.given is current
        new = call.given.shape == values.shape and not any(call.given is tensor for tensor in there)
        if ours and isinstance(call.module, NEUTRAL):
            current, values = call.made, call.made_values
        elif (ours or new) and call.may_activate:
            return f"{name}, then {call.name}", call.made_values
        elif ours or new:
            # In place or not, what the module was given is what any function before it made.
            changed = not torch.equal(call.given_values, values)
            return f"{name}, then its activation function" if changed else name, call.given_values
        there += [call.given, call.made]
    return name, values


def called(calls: Sequence[Call]) -> list[str]:
    """What the layers with maps may be called: the numbers of convolutions, the names of modules."""
    numbers = [str(number) for number, _ in enumerate(filter(lambda call: call.convolves, calls), start=1)]
    return [*numbers, *dict.fromkeys(call.name for call in calls if call.made.ndim == 4)]


def maps(calls: Sequence[Call], layer: str) -> tuple[str, Tensor] | None:
    """The maps `(n, channels, height, width)` of a layer and where they were found; None where there is none.

    A number is that convolution after its activation, a name that very module's output.
    """
    if layer.isdecimal():
        places = [i for i, call in enumerate(calls) if call.convolves]
        if not 1 <= int(layer) <= len(places):
            return None
        where, found = activated(calls, places[int(layer) - 1])
    else:
        call = next((call for call in calls if call.name == layer), None)
        if call is None:
            return None
        where, found = layer, call.made_values
    return (where, found) if found.ndim == 4 else None
