"""Networks without convolutions: softmax regression and the multilayer perceptron."""

from collections import OrderedDict
from collections.abc import Sequence
from math import prod

from torch import nn

from ablate.models.layers import ACTIVATIONS, build_perceptron, choose, require_probability, require_widths


def mlp(
    *,
    hidden: Sequence[int] = (256,),
    activation: str = "sigmoid",
    dropout: float = 0.0,
    input_shape: tuple[int, int, int] = (1, 28, 28),
    classes: int = 10,
) -> nn.Sequential:
    """Build a network of dense layers.

    It takes images `(batch, *input_shape)` and returns logits `(batch, classes)`. The default network has
    203,530 parameters. With `hidden: []`, the network is softmax regression.

    Args:
        hidden: widths of the hidden layers, up to eight.
        dropout: probability of zeroing a unit after each hidden layer.

    Raises:
        ModelError: a value is impossible. The error names the keyword.
    """
    act = choose("activation", activation, ACTIVATIONS)
    share = require_probability("dropout", dropout)
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    layers.update(
        build_perceptron(prod(input_shape), require_widths(hidden), classes, activation=act, dropout=share)
    )
    return nn.Sequential(layers)
