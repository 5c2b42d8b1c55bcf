"""What came before convolutions: softmax regression and the multilayer perceptron."""

from collections import OrderedDict
from collections.abc import Sequence
from math import prod

from torch import nn

from ablate.models.layers import ACTIVATIONS, chosen, hidden_widths, perceptron, probability


def mlp(
    *,
    hidden: Sequence[int] = (256,),
    activation: str = "sigmoid",
    dropout: float = 0.0,
    input_shape: tuple[int, int, int] = (1, 28, 28),
    classes: int = 10,
) -> nn.Sequential:
    """A network from images `(batch, *input_shape)` to logits `(batch, classes)` that knows no neighbourhood.

    Every pixel is joined to every unit; `hidden: []` is softmax regression. 203,530 parameters if plain.

    Args:
        hidden: widths of the hidden layers, up to eight.
        dropout: probability of zeroing a unit after each hidden layer.

    Raises:
        ModelError: naming the keyword whose value cannot be.
    """
    act = chosen("activation", activation, ACTIVATIONS)
    share = probability("dropout", dropout)
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    layers.update(
        perceptron(prod(input_shape), hidden_widths(hidden), classes, activation=act, dropout=share)
    )
    return nn.Sequential(layers)
