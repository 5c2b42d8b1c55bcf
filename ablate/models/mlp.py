"""What came before convolutions: softmax regression and the multilayer perceptron."""

from collections import OrderedDict
from collections.abc import Sequence
from math import prod

from torch import nn

from ablate.errors import ModelError
from ablate.models.layers import ACTIVATIONS, chosen, probability, whole


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
    if isinstance(hidden, str) or not isinstance(hidden, Sequence) or len(hidden) > 8:
        raise ModelError("hidden", f"{hidden!r} is no list of up to eight widths: write [256] or []")
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    features = prod(input_shape)
    for i, width in enumerate(hidden, start=1):
        layers[f"dense{i}"] = nn.Linear(features, whole("hidden", width, at_least=1))
        layers[f"dense_act{i}"] = act()
        if share:
            layers[f"dropout{i}"] = nn.Dropout(share)
        features = width
    layers[f"dense{len(hidden) + 1}"] = nn.Linear(features, classes)
    return nn.Sequential(layers)
