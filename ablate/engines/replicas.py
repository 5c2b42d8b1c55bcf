"""Compute many replicas of a network together. Each replica has its own parameters and its own batch."""

from collections.abc import Iterator

from torch import Tensor, nn

from ablate.engines.replica_layers import Dropout, make_dropout_keys, replicate_layer
from ablate.engines.training import NotCovered


class Replicas:
    """`count` copies of a network, each with its own parameters."""

    def __init__(self, model: nn.Module, count: int) -> None:
        """Replicate the layers of `model`. The values of the model's parameters are not used.

        Raises:
            NotCovered: a layer cannot be replicated exactly, or the network has no trainable parameters.
        """
        self.count = count
        self._model = model
        parameters = list(model.parameters())
        if not parameters:
            raise NotCovered("the network has no parameters")
        if len({parameter.dtype for parameter in parameters}) > 1 or not all(
            parameter.requires_grad for parameter in parameters
        ):
            raise NotCovered("all parameters must be trainable and of one dtype")
        self._shapes = [parameter.shape for parameter in parameters]
        self.size = sum(parameter.numel() for parameter in parameters)
        """The number of parameters of one replica."""
        self._layers = [
            replicate_layer(module, number, {id(p): i for i, p in enumerate(parameters)}, count)
            for number, module in enumerate(_leaves(model))
        ]
        self._drops = any(isinstance(layer, Dropout) for layer in self._layers)

    def __call__(
        self, parameters: Tensor, images: Tensor, stream: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Compute the logits `(R, b, classes)` of images `(R, b, channels, height, width)`.

        Args:
            parameters: `(R, size)`. Row r has the parameters of replica r in the model's order.
            images: the images of each replica.
            stream: the dropout seeds and the step numbers of the replicas, both int64 `(R, 1)`. If they are
                given, the replicas are in training mode. If `stream` is None, they are in evaluation mode.
        """
        self._model.train(stream is not None)
        keys = make_dropout_keys(*stream) if stream is not None and self._drops else None
        sizes = [shape.numel() for shape in self._shapes]
        views = [
            part.view(self.count, *shape)
            for part, shape in zip(parameters.split(sizes, dim=1), self._shapes, strict=True)
        ]
        x = images.flatten(0, 1)
        for layer in self._layers:
            x = layer(views, x, keys)
        return x.unflatten(0, (self.count, -1))


def _leaves(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers in order, including the layers inside nested sequences."""
    if type(module) is nn.Sequential:
        for child in module:
            yield from _leaves(child)
    else:
        yield module
