"""The requests about training and kernels that the explorer's page can send, and their answers as JSON."""

import math
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, Field
from torch import nn

from ablate.explore.answers import (
    MOST_MAPS,
    Epoch,
    RequestError,
    StrictRequest,
    encode_floats,
    find_arm,
    find_arms,
)
from ablate.explore.reading import Reader
from ablate.explore.session import Session


class AccuracyRequest(StrictRequest):
    """A request for the test accuracy of an arm's network after a number of epochs."""

    arm: str
    epoch: Annotated[int, Field(ge=0)]


class KernelsRequest(StrictRequest):
    """A request for the kernels of the first layer of one or two arms."""

    arms: Annotated[list[str], Field(min_length=1, max_length=2)]
    epoch: Epoch = None


def answer_accuracy(session: Session, request: AccuracyRequest) -> dict[str, float]:
    """Compute the share of the test images that an arm's network classifies correctly after some epochs.

    Raises:
        RequestError: there is no such arm, its networks during training are not kept, or the test images are
            not on this machine.
    """
    arm = find_arm(session, request.arm)
    if arm.epochs is None or not session.has_pictures:
        raise RequestError(f"{request.arm}: the accuracies of its epochs cannot be computed")
    return {"accuracy": arm.compute_accuracy(min(request.epoch, arm.epochs.last))}


def list_kernels(session: Session, request: KernelsRequest) -> dict[str, Any]:
    """List the kernels of the first layer of each requested arm. None for an arm without such a layer.

    Raises:
        RequestError: there is no such arm.
    """
    return {
        name: read_kernels(arm.find_reader(request.epoch)) for name, arm in find_arms(session, request.arms)
    }


def read_kernels(reader: Reader) -> dict[str, Any] | None:
    """Read the weights of the first layer, with one kernel for each of its outputs.

    The weights have the shape `(outputs, channels, height, width)`. If the first layer is dense, the weights
    of an output are shown in the shape of the image. At most `MOST_MAPS` outputs are listed. The result is
    None if the first layer with weights is of another kind.
    """
    modules = dict(reader.network.named_modules())
    for layer in reader.layers:
        module = modules.get(layer.name)
        if isinstance(module, nn.Conv2d):
            weights = module.weight
        elif isinstance(module, nn.Linear):
            if module.in_features != math.prod(reader.image_shape):
                return None
            weights = module.weight.unflatten(1, reader.image_shape)
        else:
            continue
        shown = weights.detach()[:MOST_MAPS]
        return {
            "layer": layer.name,
            "outputs": len(weights),
            "shape": list(shown.shape),
            "weights": encode_floats(shown),
        }
    return None


POSTS: dict[str, tuple[type[BaseModel], Callable[[Session, Any], Any]]] = {
    "/accuracy": (AccuracyRequest, answer_accuracy),
    "/kernels": (KernelsRequest, list_kernels),
}
"""Maps the path of each request to the class that validates it, and to the function that answers it."""
