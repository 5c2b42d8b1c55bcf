"""LeNet-5 (LeCun et al., 1998) as the documents draw it, and every variant of it worth a question."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from torch import nn

from ablate.errors import ModelError
from ablate.models.layers import (
    ACTIVATIONS,
    HEADS,
    POOLINGS,
    PerLayer,
    chosen,
    convolved,
    perceptron,
    probability,
    truth,
    whole,
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
    output_activation: str | None = None,
    input_shape: tuple[int, int, int] = (1, 28, 28),
    classes: int = 10,
) -> nn.Sequential:
    """A network from images `(batch, *input_shape)` to logits `(batch, classes)`; 61,706 parameters if plain.

    A convolution is followed by batch norm (if wanted), the activation and, in the first two, 2×2 pooling.
    Scalars mean every convolution, lists one a layer. Convolutions from the third on are 3×3 with padding 1,
    without pooling, as wide as the last one, unless a list says otherwise.

    Args:
        conv_layers: number of convolutions, 1 to 8.
        dense_layers: number of linear layers, the output layer counted, 1 to 6; widths beyond those of
            `hidden` repeat its last.
        head: `dense`, or `global_average`: a 1×1 convolution to the classes and the mean of each map.
        dropout: probability of zeroing a unit after each hidden dense layer.
        output_activation: applied to the logits (the 3-D visualiser's network has tanh there).

    Raises:
        ModelError: naming keyword, layer, map and kernel where the geometry is impossible.
    """
    act = chosen("activation", activation, ACTIVATIONS)
    pool = chosen("pooling", pooling, {**POOLINGS, "none": None})
    chosen("head", head, HEADS)
    share = probability("dropout", dropout)
    normed = truth("batch_norm", batch_norm)
    convolutions = whole("conv_layers", conv_layers, at_least=1, at_most=8)
    widths = _per_layer("channels", channels, convolutions, default=CHANNELS, later=None, at_least=1)
    kernels = _per_layer("kernel_size", kernel_size, convolutions, later=3, at_least=1)
    strides = _per_layer("stride", stride, convolutions, later=1, at_least=1)
    paddings = _per_layer("padding", padding, convolutions, default=(2, 0), later=1, at_least=0)
    dilations = _per_layer("dilation", dilation, convolutions, later=1, at_least=1)

    layers: OrderedDict[str, nn.Module] = OrderedDict()
    in_channels, size = input_shape[0], (input_shape[1], input_shape[2])
    for i in range(convolutions):
        n = i + 1
        geometry: dict[str, Any] = {"stride": strides[i], "padding": paddings[i], "dilation": dilations[i]}
        size = convolved(f"conv{n}", size, kernel=kernels[i], **geometry)
        layers[f"conv{n}"] = nn.Conv2d(in_channels, widths[i], kernels[i], **geometry)
        if normed:
            layers[f"norm{n}"] = nn.BatchNorm2d(widths[i])
        layers[f"act{n}"] = act()
        if pool is not None and i < 2:
            size = convolved(f"pool{n}", size, kernel=POOL_SIZE, stride=POOL_SIZE, padding=0, dilation=1)
            layers[f"pool{n}"] = pool(POOL_SIZE)
        in_channels = widths[i]

    if head == "global_average":
        layers["classes"] = nn.Conv2d(in_channels, classes, 1)
        layers["average"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
    else:
        layers["flatten"] = nn.Flatten()
        features = in_channels * size[0] * size[1]
        dense = whole("dense_layers", dense_layers, at_least=1, at_most=6)
        units = _per_layer("hidden", hidden, dense - 1, default=HIDDEN, later=None, at_least=1)
        layers.update(perceptron(features, units, classes, activation=act, dropout=share))
    if output_activation is not None:
        layers["output_act"] = chosen("output_activation", output_activation, ACTIVATIONS)()
    return nn.Sequential(layers)


def _per_layer(
    keyword: str,
    value: PerLayer,
    layers: int,
    *,
    default: Sequence[int] = (),
    later: int | None,
    at_least: int,
) -> list[int]:
    """One number a layer. From the third layer on, what is not listed is `later` (None: as the last).

    A list longer than the network is refused unless it is the default, which is cut to fit.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        given = [whole(keyword, entry, at_least=at_least) for entry in value]
        if not given or (len(given) > layers and given != list(default)):
            count = "hidden layers" if keyword == "hidden" else "convolutions"
            remedy = "dense_layers" if keyword == "hidden" else "conv_layers"
            raise ModelError(
                keyword, f"{list(value)} lists {len(given)} values for {layers} {count}: set {remedy} too"
            )
        rest = given[-1] if later is None else later
        # A single listed value before the third layer is everybody's, as a scalar would be.
        return [given[i] if i < len(given) else (given[-1] if i < 2 else rest) for i in range(layers)]
    scalar = whole(keyword, value, at_least=at_least)
    return [scalar if i < 2 or later is None else later for i in range(layers)]
