"""LeNet-5 (LeCun et al., 1998) as in Dive into Deep Learning (D2L), and its variants."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from ablate.errors import ModelError
from ablate.models.layers import (
    ACTIVATIONS,
    HEADS,
    POOLINGS,
    PerLayer,
    build_perceptron,
    choose,
    compute_size,
    require_probability,
    require_truth,
    require_whole,
)

CHANNELS = (6, 16)
HIDDEN = (120, 84)
POOL_SIZE = 2


def lenet(
    *,
    pooling: str = "avg",
    activation: str = "sigmoid",
    conv_layers: int = 2,
    channels: PerLayer = CHANNELS,
    kernel_size: PerLayer = 5,
    stride: PerLayer = 1,
    padding: PerLayer = (2, 0),
    dilation: PerLayer = 1,
    dense_layers: int = 3,
    hidden: PerLayer = HIDDEN,
    head: str = "dense",
    dropout: float = 0.0,
    batch_norm: bool = False,
    input_norm: bool = False,
    output_activation: str | None = None,
    input_shape: tuple[int, int, int] = (1, 28, 28),
    classes: int = 10,
) -> nn.Sequential:
    """Build a network that takes images `(batch, *input_shape)` and returns logits `(batch, classes)`.

    The default network has 61,706 parameters. Batch norm (if chosen) and the activation follow each
    convolution. 2×2 pooling follows the first two convolutions. A keyword of the convolutions is one number
    for the first two convolutions, or a list with one value for each convolution. By default, a further
    convolution is 3×3 with stride 1, padding 1 and dilation 1, and keeps the number of channels.

    Args:
        conv_layers: number of convolutions, 1 to 8.
        dense_layers: number of dense layers, including the output layer, 1 to 6.
        hidden: widths of the hidden dense layers. The last width in the list also holds for further layers.
        head: `dense`, or `global_average`: a 1×1 convolution to one map for each class, and then the mean of
            each map.
        dropout: probability of zeroing a unit after each hidden dense layer.
        input_norm: whether batch norm without parameters normalises the channels of the images.
        output_activation: activation function for the logits, such as `tanh`. None: no activation function.

    Raises:
        ModelError: a value is impossible, or a kernel is too large. The error names the keyword.
    """
    act = choose("activation", activation, ACTIVATIONS)
    pool = choose("pooling", pooling, {**POOLINGS, "none": None})
    choose("head", head, HEADS)
    share = require_probability("dropout", dropout)
    convolutions = _list_convolutions(conv_layers, channels, kernel_size, stride, padding, dilation)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if require_truth("input_norm", input_norm):
        layers["input_norm"] = nn.BatchNorm2d(input_shape[0], affine=False)
    maps, size = _add_convolutions(layers, input_shape, convolutions, act, pool, batch_norm=batch_norm)
    if head == "global_average":
        layers["classes"] = nn.Conv2d(maps, classes, 1)
        layers["average"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
    else:
        layers["flatten"] = nn.Flatten()
        features, units = maps * size[0] * size[1], _list_widths(dense_layers, hidden)
        layers.update(build_perceptron(features, units, classes, activation=act, dropout=share))
    if output_activation is not None:
        layers["output_act"] = choose("output_activation", output_activation, ACTIVATIONS)()
    return nn.Sequential(layers)


def _list_widths(dense_layers: int, hidden: PerLayer) -> list[int]:
    """List the widths of the hidden dense layers."""
    count = require_whole("dense_layers", dense_layers, at_least=1, at_most=6) - 1
    return _spread_over_layers("hidden", hidden, count, default=HIDDEN, later=None, at_least=1)


def _list_convolutions(
    conv_layers: int,
    channels: PerLayer,
    kernel_size: PerLayer,
    stride: PerLayer,
    padding: PerLayer,
    dilation: PerLayer,
) -> list[dict[str, Any]]:
    """For each convolution, make the arguments of nn.Conv2d, except the number of input channels."""
    count = require_whole("conv_layers", conv_layers, at_least=1, at_most=8)
    lists = {
        "out_channels": _spread_over_layers(
            "channels", channels, count, default=CHANNELS, later=None, at_least=1
        ),
        "kernel_size": _spread_over_layers("kernel_size", kernel_size, count, later=3, at_least=1),
        "stride": _spread_over_layers("stride", stride, count, later=1, at_least=1),
        "padding": _spread_over_layers("padding", padding, count, default=(2, 0), later=1, at_least=0),
        "dilation": _spread_over_layers("dilation", dilation, count, later=1, at_least=1),
    }
    return [{option: values[i] for option, values in lists.items()} for i in range(count)]


def _add_convolutions(
    layers: OrderedDict[str, nn.Module],
    input_shape: tuple[int, int, int],
    convolutions: Sequence[dict[str, Any]],
    activation: Callable[[], nn.Module],
    pool: Callable[..., nn.Module] | None,
    *,
    batch_norm: bool,
) -> tuple[int, tuple[int, int]]:
    """Add the convolutions with activation and pooling. Return the number and the size of the last maps."""
    normed = require_truth("batch_norm", batch_norm)
    in_channels, size = input_shape[0], (input_shape[1], input_shape[2])
    for n, options in enumerate(convolutions, start=1):
        geometry = {key: options[key] for key in ("stride", "padding", "dilation")}
        size = compute_size(f"conv{n}", size, kernel=options["kernel_size"], **geometry)
        layers[f"conv{n}"] = nn.Conv2d(in_channels, **options)
        in_channels = options["out_channels"]
        if normed:
            layers[f"norm{n}"] = nn.BatchNorm2d(in_channels)
        layers[f"act{n}"] = activation()
        if pool is not None and n <= 2:
            size = compute_size(f"pool{n}", size, kernel=POOL_SIZE, stride=POOL_SIZE, padding=0, dilation=1)
            layers[f"pool{n}"] = pool(POOL_SIZE)
    return in_channels, size


def _spread_over_layers(
    keyword: str,
    value: PerLayer,
    layers: int,
    *,
    default: Sequence[int] = (),
    later: int | None,
    at_least: int,
) -> list[int]:
    """Return one number for each layer. `value` is one number or a list of numbers.

    If `value` has no number for the third or a later layer, this layer gets the number `later`. If `later` is
    None, the layer gets the last number of `value`.

    Raises:
        ModelError: the list is empty, or it is too long for the network and not the default list.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        given = [require_whole(keyword, entry, at_least=at_least) for entry in value]
        if not given or (len(given) > layers and given != list(default)):
            count = "hidden layers" if keyword == "hidden" else "convolutions"
            remedy = "dense_layers" if keyword == "hidden" else "conv_layers"
            raise ModelError(
                keyword, f"{list(value)} lists {len(given)} values for {layers} {count}: set {remedy} too"
            )
        rest = given[-1] if later is None else later
        # A list of one number sets the first two layers, as a plain number does.
        return [given[i] if i < len(given) else (given[-1] if i < 2 else rest) for i in range(layers)]
    scalar = require_whole(keyword, value, at_least=at_least)
    return [scalar if i < 2 or later is None else later for i in range(layers)]
