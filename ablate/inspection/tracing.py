"""Record the inputs and outputs of every module in a network's forward pass, with torch's forward hooks."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.dropout import _DropoutNd

BETWEEN = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm, _DropoutNd)
"""The classes of modules that can come between a convolution and its activation."""
NO_ACTIVATION = (_ConvNd, nn.Linear, nn.Flatten, nn.Unflatten, nn.Upsample)
"""More classes of modules that are not activations. Their input and output can have the same shape."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a module: its input and output tensors, and copies of their values at the time of the call.

    The tensors are kept to find out how modules are connected: if a module takes the output of another one,
    its input is the same object. The values are copied, because later operations can overwrite a tensor.
    """

    name: str
    module: nn.Module
    input: Tensor
    output: Tensor
    input_values: Tensor
    output_values: Tensor

    @property
    def is_convolution(self) -> bool:
        """Whether the module is a two-dimensional convolution."""
        return isinstance(self.module, nn.Conv2d)

    @property
    def may_be_activation(self) -> bool:
        """Whether the module could be an activation.

        This is possible if the output has the shape of the input, and if the module's class is not known to
        be something else, such as a pooling layer.
        """
        # torch's pooling classes have no common base class.
        is_pooling = type(self.module).__module__ == "torch.nn.modules.pooling"
        other = is_pooling or isinstance(self.module, (*NO_ACTIVATION, *BETWEEN))
        return not other and self.output.shape == self.input.shape


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One forward pass of a network."""

    calls: list[Call]
    """All module calls, in the order of computation."""
    output: Tensor
    """The network's output, `(n, classes)`."""


def trace_network(network: nn.Module, images: Tensor) -> Trace:
    """Run the network on images `(n, channels, height, width)`, and record the calls of its modules in order.

    Containers such as `nn.Sequential` are left out. A module is also left out if its input or output is not a
    tensor.
    """
    calls: list[Call] = []
    input_values: dict[nn.Module, Tensor] = {}

    def before(module: nn.Module, args: tuple[Any, ...]) -> None:
        if args and isinstance(args[0], Tensor):
            input_values[module] = args[0].clone()

    def after(name: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def add_call(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            if module in input_values and isinstance(output, Tensor):
                calls.append(
                    Call(
                        name=name,
                        module=module,
                        input=args[0],
                        output=output,
                        input_values=input_values.pop(module),
                        output_values=output.clone(),
                    )
                )

        return add_call

    with contextlib.ExitStack() as hooks, torch.inference_mode():
        for name, module in network.named_modules():
            # A module with child modules is a container and is left out. Convolutions are not left out: a
            # parametrised weight gives a convolution a child module, too.
            if isinstance(module, nn.Conv2d) or not any(True for _ in module.children()):
                hooks.callback(module.register_forward_pre_hook(before).remove)
                hooks.callback(module.register_forward_hook(after(name)).remove)
        output = network(images)
    return Trace(calls=calls, output=output)


def find_activation(calls: Sequence[Call], index: int) -> tuple[str, Tensor]:
    """Find the activation of the convolution `calls[index]`.

    If the activation is a module, its input is the convolution's output. Normalisation and dropout can come
    between the convolution and the activation. If the activation is a function, `calls` does not contain it.
    But then a later module takes the function's output: a new tensor with the shape of the convolution's
    output.

    Returns:
        A text that says where the activation is in the network, and the activation's output. If no
        activation is found, the name and the output of the convolution.
    """
    convolution = calls[index]
    current, values, name = convolution.output, convolution.output_values, convolution.name
    known = [tensor for call in calls[: index + 1] for tensor in (call.input, call.output)]
    for call in calls[index + 1 :]:
        is_current = call.input is current
        is_new = call.input.shape == values.shape and not any(call.input is tensor for tensor in known)
        if is_current and isinstance(call.module, BETWEEN):
            current, values = call.output, call.output_values
        elif (is_current or is_new) and call.may_be_activation:
            return f"{name}, then {call.name}", call.output_values
        elif is_current or is_new:
            # Functions can run between the convolution and the module. If the module's input has other values
            # than the convolution's output, such a function has changed the output, possibly in place.
            changed = not torch.equal(call.input_values, values)
            return f"{name}, then its activation function" if changed else name, call.input_values
        known += [call.input, call.output]
    return name, values


def list_layer_names(calls: Sequence[Call]) -> list[str]:
    """List what `find_maps` accepts as a layer: numbers of convolutions, and names of modules with maps."""
    convolutions = filter(lambda call: call.is_convolution, calls)
    numbers = [str(number) for number, _ in enumerate(convolutions, start=1)]
    return [*numbers, *dict.fromkeys(call.name for call in calls if call.output.ndim == 4)]


def find_maps(calls: Sequence[Call], layer: str) -> tuple[str, Tensor] | None:
    """Find the feature maps of a layer.

    If `layer` is a number, the maps are the activations of the convolution with this number, counted from 1.
    If `layer` is a name, the maps are the output of the module with this name.

    Returns:
        A text that says where the maps are in the network, and the maps `(n, channels, height, width)`. None
        if the network has no such layer, or if the layer's output has no maps.
    """
    if layer.isdecimal():
        indices = [i for i, call in enumerate(calls) if call.is_convolution]
        if not 1 <= int(layer) <= len(indices):
            return None
        where, values = find_activation(calls, indices[int(layer) - 1])
    else:
        call = next((call for call in calls if call.name == layer), None)
        if call is None:
            return None
        where, values = layer, call.output_values
    return (where, values) if values.ndim == 4 else None
