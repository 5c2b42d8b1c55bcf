"""Code that the networks share: activations, pooling, checks of keywords, sizes of maps, initial values."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ablate.errors import ModelError, did_you_mean
from ablate.seeds import derive_seed

T = TypeVar("T")

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "softplus": nn.Softplus,
    "hardswish": nn.Hardswish,
    "identity": nn.Identity,
}
POOLINGS: dict[str, Callable[..., nn.Module]] = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}
INITIALISERS: dict[str, Callable[..., Any]] = {
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": nn.init.kaiming_uniform_,
    "kaiming_normal": nn.init.kaiming_normal_,
    "orthogonal": nn.init.orthogonal_,
}
LARGEST_KERNEL = 99
HEADS = {"dense": None, "global_average": None}
PerLayer = int | Sequence[int]
"""The value of a keyword: one number for all layers, or a list with one number for each layer."""


def choose(keyword: str, value: object, choices: dict[str, T]) -> T:
    """Return the entry of `choices` named `value`, or raise a ModelError that suggests the nearest name."""
    if not isinstance(value, str) or value not in choices:
        raise ModelError(keyword, f"{value!r} is not known: {did_you_mean(str(value), list(choices))}")
    return choices[value]


def require_whole(keyword: str, value: object, *, at_least: int, at_most: int = 100_000) -> int:
    """Return `value` if it is a whole number within the bounds. Otherwise raise a ModelError."""
    if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= at_most:
        raise ModelError(keyword, f"{value!r} is not a whole number from {at_least} to {at_most:,}")
    return value


def require_probability(keyword: str, value: object) -> float:
    """Return `value` if it is a probability below one. Otherwise raise a ModelError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ModelError(keyword, f"{value!r} is not a probability from 0 to below 1")
    return value


def require_truth(keyword: str, value: object) -> bool:
    """Return `value` if it is true or false. Otherwise raise a ModelError."""
    if not isinstance(value, bool):
        raise ModelError(keyword, f"{value!r} is neither true nor false")
    return value


def require_multiplier(keyword: str, value: object) -> float:
    """Return `value` if it is a number above 0 and up to 16. Otherwise raise a ModelError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 16:
        raise ModelError(keyword, f"{value!r} is not a multiplier above 0 and up to 16")
    return value


def scale(width: float, channels: int) -> int:
    """Multiply the number of channels (or units) by `width`, and round. The result is at least one."""
    return max(1, round(width * channels))


def require_odd_kernel(keyword: str, value: object) -> int:
    """Return `value` if it is an odd kernel size. With an even kernel size, no padding keeps a map's size.

    Raises:
        ModelError: `value` is not an odd kernel size.
    """
    size = require_whole(keyword, value, at_least=1, at_most=LARGEST_KERNEL)
    if size % 2 == 0:
        raise ModelError(
            keyword, f"{size} is even, so no padding keeps the map's size: write {size - 1} or {size + 1}"
        )
    return size


def require_widths(value: object) -> list[int]:
    """Return `value` if it is a list of up to eight hidden layers' widths. Otherwise raise a ModelError."""
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) > 8:
        raise ModelError("hidden", f"{value!r} is not a list of up to eight widths: write [256] or []")
    return [require_whole("hidden", width, at_least=1) for width in value]


def read_block_counts(keyword: str, value: object, *, default: Sequence[int], at_most: int) -> list[int]:
    """Read a keyword that sets the number of layers in each block. Return a list with one number per block.

    `value` is either such a list or the number of blocks. If it is a number, `default` says how many layers
    each block has. Further blocks have as many layers as the last block of `default`.

    Raises:
        ModelError: `value` is neither a number nor a list of up to `at_most` blocks.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not 1 <= len(value) <= at_most:
            raise ModelError(
                keyword, f"{list(value)} is not a list of 1 to {at_most} counts: try {list(default)}"
            )
        return [require_whole(keyword, count, at_least=1, at_most=8) for count in value]
    blocks = require_whole(keyword, value, at_least=1, at_most=at_most)
    return [default[min(i, len(default) - 1)] for i in range(blocks)]


def spread_over_convolutions(
    keyword: str,
    value: object,
    convolutions: int,
    *,
    default: Sequence[int],
    check: Callable[[str, object], int],
    remedy: str,
) -> list[int]:
    """Check the value of a keyword, and return one number for each convolution.

    If `value` is a shorter list, its last number also holds for all further convolutions.

    Raises:
        ModelError: the list is empty, or it is too long for the network and not the default list.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        return [check(keyword, value)] * convolutions
    given = [check(keyword, entry) for entry in value]
    if not given or (len(given) > convolutions and given != list(default)):
        listed = f"{list(value)} lists {len(given)} values for {convolutions} convolutions"
        raise ModelError(keyword, f"{listed}: {remedy}")
    return [given[min(i, len(given) - 1)] for i in range(convolutions)]


def compute_size(
    layer: str,
    size: tuple[int, int],
    *,
    kernel: int,
    stride: int,
    padding: int,
    dilation: int,
    keyword: str | None = None,
    remedy: str = "smaller kernel, more padding or fewer layers",
) -> tuple[int, int]:
    """Compute height and width after a convolution or pooling with a square kernel.

    A side of n pixels becomes floor((n + 2·padding - dilation·(kernel - 1) - 1) / stride) + 1 pixels long, as
    in torch.nn.Conv2d.

    Raises:
        ModelError: the kernel is larger than the padded map. The error names `keyword`. Its default is
            `kernel_size` if the layer's name begins with conv, and otherwise `pooling`.
    """
    reach = dilation * (kernel - 1) + 1
    if min(size) + 2 * padding < reach:
        padded = "×".join(str(n + 2 * padding) for n in size)
        spread = f" dilated by {dilation} to {reach}×{reach}" if dilation > 1 else ""
        raise ModelError(
            keyword or ("kernel_size" if layer.startswith("conv") else "pooling"),
            f"{layer}: a {kernel}×{kernel} kernel{spread} does not fit its {padded} map "
            f"({size[0]}×{size[1]} padded by {padding}): {remedy}",
        )
    return tuple((n + 2 * padding - reach) // stride + 1 for n in size)  # type: ignore[return-value]


def build_perceptron(
    features: int, hidden: Sequence[int], classes: int, *, activation: Callable[[], nn.Module], dropout: float
) -> Iterator[tuple[str, nn.Module]]:
    """Yield each layer of a perceptron with its name.

    Each hidden dense layer is followed by its activation and by dropout, unless `dropout` is 0. The output
    layer is the last.
    """
    for i, width in enumerate(hidden, start=1):
        yield f"dense{i}", nn.Linear(features, width)
        yield f"dense_act{i}", activation()
        if dropout:
            yield f"dropout{i}", nn.Dropout(dropout)
        features = width
    yield f"dense{len(hidden) + 1}", nn.Linear(features, classes)


def initialise(model: nn.Module, scheme: str, seed: int) -> None:
    """Fill every parameter in place. Each parameter has its own generator, seeded by `seed` and its name.

    So parameters with equal names and shapes have equal initial values in every arm. `scheme` determines the
    weights of convolutions and dense layers. Biases are drawn from PyTorch's default distribution,
    U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as in Dive into Deep Learning (D2L). The scheme `default` draws the
    weights from this distribution, too.
    """
    for prefix, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(module.weight[0].numel())

            def generator(name: str, prefix: str = prefix) -> torch.Generator:
                return torch.Generator().manual_seed(derive_seed(seed, f"init {prefix}.{name}"))

            with torch.no_grad():
                weight = torch.empty(module.weight.shape)
                if scheme == "default":
                    weight.uniform_(-bound, bound, generator=generator("weight"))
                else:
                    INITIALISERS[scheme](weight, generator=generator("weight"))
                module.weight.copy_(weight)
                if module.bias is not None:
                    bias = torch.empty(module.bias.shape).uniform_(-bound, bound, generator=generator("bias"))
                    module.bias.copy_(bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()  # sets ones and zeros, without random numbers


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """One row of the table that describes a network layer by layer."""

    name: str
    kind: str
    shape: tuple[int, ...]
    """The shape of the output for one example, `(channels, height, width)` or `(features,)`."""
    parameters: int


def list_layer_shapes(model: nn.Module, input_shape: Sequence[int]) -> list[LayerShape]:
    """List the network's direct children, with their output shapes, in the order in which they are called.

    The function passes one example of zeros through the network in evaluation mode. A child that is called
    twice has two rows, and only the first row counts its parameters. A child whose output contains no tensor
    has no row.
    """
    rows: list[LayerShape] = []
    counted: set[int] = set()

    def note_calls(name: str) -> Callable[[nn.Module, object, object], None]:
        def note(module: nn.Module, _given: object, output: object) -> None:
            tensors = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
            new = {id(parameter): parameter.numel() for parameter in module.parameters()}
            if tensors:
                rows.append(
                    LayerShape(
                        name=name,
                        kind=type(module).__name__,
                        shape=tuple(tensors[0].shape[1:]),
                        parameters=sum(count for key, count in new.items() if key not in counted),
                    )
                )
                counted.update(new)

        return note

    hooks = [module.register_forward_hook(note_calls(name)) for name, module in _list_children(model)]
    device = next((parameter.device for parameter in model.parameters()), None)
    try:
        with torch.no_grad():
            model.eval()
            model(torch.zeros(1, *input_shape, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return rows


def _list_children(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    # A network calls the entries of a ModuleList or ModuleDict, never the container itself.
    for name, module in model.named_children():
        if isinstance(module, nn.ModuleList | nn.ModuleDict):
            yield from _list_children(module, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", module
