"""The requests that the explorer's page can send, and the answers that the server sends as JSON."""

import base64
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ablate.errors import AblateError
from ablate.explore.reading import LayerFacts, Reader, ReceptiveFields, Span
from ablate.explore.session import ExploredArm, Picture, Session

MOST_MAPS = 64
"""The maximum number of a layer's maps that are sent to the page. Further maps are left out."""
MOST_INPUTS = 4_096
"""The maximum number of a unit's inputs that are sent to the page. Further inputs are left out."""
LIKE_MNIST = ("mnist", "kmnist", "qmnist", "emnist", "digits")
"""Data sets in which each character is scaled to a box and centred. The page does this with drawings, too."""

Pixels = Annotated[
    list[list[list[Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]]]],
    Field(min_length=1, max_length=4),
]

Epoch = Annotated[int, Field(ge=0)] | None
"""The number of epochs after which networks are shown. None, and any number above the last: all epochs."""


class RequestError(AblateError):
    """A request asks for an arm, image, layer, class or place that does not exist."""


class StrictRequest(BaseModel):
    """A request whose keys and types must be exactly as declared."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ImageRequest(StrictRequest):
    """A request about an image."""

    image: int | Pixels
    """The index of a test image, or the pixels of a drawing, `(channels, height, width)`."""


class ReadRequest(ImageRequest):
    """A request to run the networks of one or two arms on an image."""

    arms: Annotated[list[str], Field(min_length=1, max_length=2)]
    epoch: Epoch = None


class UnitRequest(ImageRequest):
    """A request to explain one number of a layer's output."""

    arm: str
    layer: Annotated[int, Field(ge=0)]
    place: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=4)]
    epoch: Epoch = None


class PicturesRequest(BaseModel):
    """A request to list test images of one of three kinds.

    The kinds are images of a class (`class`), images that the first arm classifies wrongly (`confused`), and
    images that two arms classify differently (`disagree`).
    """

    model_config = ConfigDict(extra="forbid")

    pick: Annotated[str, Field(pattern="^(class|confused|disagree)$")]
    label: Annotated[int, Field(ge=0)] = 0
    arms: Annotated[list[str], Field(min_length=1, max_length=2)]


def describe_session(session: Session, chosen: Sequence[str]) -> dict[str, Any]:
    """Describe the study, its arms and their layers. When the page opens, it shows the arms in `chosen`."""
    return {
        "study": session.study.full_name,
        "question": session.study.question,
        "classes": session.classes,
        "shape": session.image_shape,
        "centred": session.study.dataset.name in LIKE_MNIST,
        "pictures": session.has_pictures,
        "opening": f"{session.choose_opening(chosen)} 0" if session.has_pictures else None,
        "mostMaps": MOST_MAPS,
        "chosen": list(chosen),
        "arms": [
            {
                "name": name,
                "title": arm.title,
                "training": arm.epochs and {"last": arm.epochs.last, "validation": arm.epochs.validation},
                "shape": arm.reader.image_shape,
                "layers": [_describe_layer(layer) for layer in arm.reader.layers],
            }
            for name, arm in session.arms.items()
        ],
    }


def list_pictures(session: Session, request: PicturesRequest) -> list[dict[str, Any]]:
    """List the requested test images, with their pixels as bytes in base64.

    Raises:
        RequestError: the test images are not on this machine, or the arm or class does not exist.
    """
    if not session.has_pictures:
        raise RequestError(
            f"the test images of {session.study.dataset} are not on this machine: draw an image instead"
        )
    for arm in request.arms:
        find_arm(session, arm)
    if request.label >= len(session.classes):
        raise RequestError(f"label {request.label}: there are {len(session.classes)} classes, counted from 0")
    match request.pick:
        case "class":
            pictures = session.list_class(request.label, request.arms)
        case "confused":
            pictures = session.list_mistakes(request.arms[0], request.arms)
        case _:
            if len(request.arms) < 2:
                raise RequestError("disagree: name two arms to compare")
            pictures = session.list_disagreements(request.arms[0], request.arms[1], request.arms)
    return [encode_picture(session, picture) for picture in pictures]


def read_image(session: Session, request: ReadRequest) -> dict[str, Any]:
    """Compute, for each requested arm, the class probabilities and the outputs of all layers.

    The outputs are float32 numbers in base64.

    Raises:
        RequestError: there is no such arm or image.
    """
    return {
        name: _encode_reading(arm.find_reader(request.epoch), load_image(session, arm, request.image))
        for name, arm in find_arms(session, request.arms)
    }


def _encode_reading(reader: Reader, image: Tensor) -> dict[str, Any]:
    reading = reader.read(image)
    return {
        "input": encode_floats(image),
        "probabilities": reading.probabilities.tolist(),
        "layers": [
            encode_floats(values[:MOST_MAPS] if values.ndim == 3 else values) for values in reading.layers
        ],
    }


def explain_unit(session: Session, request: UnitRequest) -> dict[str, Any]:
    """Compute a unit's value, its receptive field, and the inputs and weights that determine the value.

    Raises:
        RequestError: there is no such arm, image, layer or place.
    """
    arm = find_arm(session, request.arm)
    layers = arm.reader.layers
    if request.layer >= len(layers):
        raise RequestError(f"layer {request.layer}: {request.arm} has {len(layers)} layers, counted from 0")
    shape = layers[request.layer].shape
    if len(request.place) != len(shape) or any(
        at >= size for at, size in zip(request.place, shape, strict=False)
    ):
        raise RequestError(
            f"place {request.place}: the output of {layers[request.layer].name} has shape {list(shape)}"
        )
    reader = arm.find_reader(request.epoch)
    unit = reader.unit(load_image(session, arm, request.image), request.layer, request.place)
    inputs = unit.inputs
    products = (inputs.values * inputs.weights).flatten()
    return {
        "value": unit.value,
        "field": find_field(arm.reader.receptive_fields[request.layer], request.place),
        "channels": inputs.channels,
        "rows": inputs.rows,
        "columns": inputs.columns,
        "shape": list(inputs.values.shape),
        "count": products.numel(),
        "inputs": encode_floats(inputs.values.flatten()[:MOST_INPUTS]),
        "weights": encode_floats(inputs.weights.flatten()[:MOST_INPUTS]),
        "sum": float(products.double().sum()),
        "rest": inputs.rest,
        "weighted": inputs.weighted,
    }


def list_receptive_fields(session: Session, arm: str) -> list[dict[str, Any]]:
    """List, for each layer of an arm, the image rows and columns on which its units depend."""
    fields = session.arms[arm].reader.receptive_fields
    return [{"rows": layer.rows, "columns": layer.columns} for layer in fields]


def find_field(layer: ReceptiveFields, place: Sequence[int]) -> dict[str, Span]:
    """Find the image rows and columns on which the unit at index `place` of a layer depends."""
    row, column = place[1:] if len(place) == 3 else (0, 0)
    return {"rows": layer.rows[row], "columns": layer.columns[column]}


def _describe_layer(layer: LayerFacts) -> dict[str, Any]:
    return {"name": layer.name, "kind": layer.kind, "shape": layer.shape}


def encode_picture(session: Session, picture: Picture) -> dict[str, Any]:
    """Encode a test image, with its pixels as bytes in base64."""
    pixels = (session.pixels(picture.index).clamp(0, 1) * 255).round().byte()
    return {
        "index": picture.index,
        "label": picture.label,
        "guesses": dict(picture.guesses),
        "pixels": base64.b64encode(pixels.numpy().tobytes()).decode(),
    }


def find_arms(session: Session, names: Sequence[str]) -> list[tuple[str, ExploredArm]]:
    """Find the arms with these names. Each name is listed once.

    Raises:
        RequestError: there is no such arm.
    """
    return [(name, find_arm(session, name)) for name in dict.fromkeys(names)]


def find_arm(session: Session, name: str) -> ExploredArm:
    """Find the arm with this name.

    Raises:
        RequestError: there is no such arm.
    """
    if name not in session.arms:
        raise RequestError(f"{name!r:.80}: no such arm on this page")
    return session.arms[name]


def load_image(session: Session, arm: ExploredArm, image: int | list[list[list[float]]]) -> Tensor:
    """Load a test image or a drawing as the arm's network gets it, `(channels, height, width)`.

    Raises:
        RequestError: there is no such test image, or the drawing has another shape than the study's images.
    """
    if isinstance(image, int):
        count = session.test_images
        if not 0 <= image < count:
            raise RequestError(f"image: there are {count} test images, counted from 0")
        return arm.test_image(image)
    try:
        drawn = torch.tensor(image)
    except ValueError:
        drawn = torch.empty(0)
    if drawn.shape != session.image_shape:
        wanted = "×".join(map(str, session.image_shape))
        raise RequestError(f"image: must be {wanted} numbers (channels, height, width)")
    return arm.image(drawn)


def encode_floats(values: Tensor) -> str:
    """Encode the values as little-endian float32 in base64."""
    return base64.b64encode(values.contiguous().numpy().astype("<f4").tobytes()).decode()
