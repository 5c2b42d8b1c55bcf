"""The requests that the page may send, and their answers as JSON."""

import base64
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ablate.errors import AblateError
from ablate.explore.reading import Fields, LayerFacts, Span
from ablate.explore.session import ExploredArm, Picture, Session

MOST_MAPS = 64
"""The most maps of a layer that are shown."""
MOST_FEEDS = 4_096
"""So many inputs of a unit are told, the first ones; beyond, none."""
LIKE_MNIST = ("mnist", "kmnist", "qmnist", "emnist", "digits")
"""Data whose images are centred and scaled to a box: a drawing should be as well."""

Pixels = Annotated[
    list[list[list[Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]]]],
    Field(min_length=1, max_length=4),
]


class WishError(AblateError):
    """The page, or whoever speaks in its place, asks for something that there is not."""


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    image: int | Pixels
    """The index of a test image, or what was drawn, `(channels, height, width)`."""


class ReadWish(_Wish):
    """What do these arms make of this image?"""

    arms: Annotated[list[str], Field(min_length=1, max_length=2)]


class UnitWish(_Wish):
    """Where does this number come from?"""

    arm: str
    layer: Annotated[int, Field(ge=0)]
    place: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=4)]


class PictureWish(BaseModel):
    """Which test images are there of this kind?"""

    model_config = ConfigDict(extra="forbid")

    pick: Annotated[str, Field(pattern="^(class|confused|disagree)$")]
    label: Annotated[int, Field(ge=0)] = 0
    arms: Annotated[list[str], Field(min_length=1, max_length=2)]


def overview(session: Session, chosen: Sequence[str]) -> dict[str, Any]:
    """The study, its arms and their layers: what the page shows before any image."""
    return {
        "study": session.study.name,
        "question": session.study.question,
        "classes": session.classes,
        "shape": session.image_shape,
        "centred": session.study.dataset.name in LIKE_MNIST,
        "pictures": session.has_pictures,
        "opening": f"{session.opening_pick(chosen)} 0" if session.has_pictures else None,
        "mostMaps": MOST_MAPS,
        "chosen": list(chosen),
        "arms": [
            {
                "name": name,
                "shape": arm.reader.image_shape,
                "layers": [_layer(layer) for layer in arm.reader.layers],
            }
            for name, arm in session.arms.items()
        ],
    }


def pictures(session: Session, wish: PictureWish) -> list[dict[str, Any]]:
    """Test images of the kind that is wished for, with their pixels as bytes in base64.

    Raises:
        WishError: there are no test images, or no such arm or class.
    """
    if not session.has_pictures:
        raise WishError(f"the test images of {session.study.dataset} are not on this machine: draw one")
    for arm in wish.arms:
        _arm(session, arm)
    if wish.label >= len(session.classes):
        raise WishError(f"label {wish.label}: there are {len(session.classes)} classes, counted from 0")
    match wish.pick:
        case "class":
            found = session.pictures_of(wish.label, wish.arms)
        case "confused":
            found = session.most_confused(wish.arms[0], wish.arms)
        case _:
            if len(wish.arms) < 2:
                raise WishError("disagree: name two arms")
            found = session.disagreed(wish.arms[0], wish.arms[1], wish.arms)
    return [_picture(session, picture) for picture in found]


def read(session: Session, wish: ReadWish) -> dict[str, Any]:
    """What each arm makes of the image: probabilities and, layer by layer, float32 in base64.

    Raises:
        WishError: there is no such arm or image.
    """
    return {name: _reading(arm, _shown(session, arm, wish.image)) for name, arm in _arms(session, wish.arms)}


def _reading(arm: ExploredArm, image: Tensor) -> dict[str, Any]:
    made = arm.reader.read(image)
    return {
        "input": _packed(image),
        "probabilities": made.probabilities.tolist(),
        "layers": [_packed(values[:MOST_MAPS] if values.ndim == 3 else values) for values in made.layers],
    }


def unit(session: Session, wish: UnitWish) -> dict[str, Any]:
    """The unit's value, what of the image it sees, and the inputs and weights that feed it.

    Raises:
        WishError: there is no such arm, image, layer or place.
    """
    arm = _arm(session, wish.arm)
    layers = arm.reader.layers
    if wish.layer >= len(layers):
        raise WishError(f"layer {wish.layer}: {wish.arm} has {len(layers)} layers, counted from 0")
    shape = layers[wish.layer].shape
    if len(wish.place) != len(shape) or any(at >= size for at, size in zip(wish.place, shape, strict=False)):
        raise WishError(f"place {wish.place}: {layers[wish.layer].name} gives {list(shape)}")
    found = arm.reader.unit(_shown(session, arm, wish.image), wish.layer, wish.place)
    feeds = found.feeds
    products = (feeds.inputs * feeds.weights).flatten()
    return {
        "value": found.value,
        "field": _field(arm.reader.fields[wish.layer], wish.place),
        "channels": feeds.channels,
        "rows": feeds.rows,
        "columns": feeds.columns,
        "shape": list(feeds.inputs.shape),
        "count": products.numel(),
        "inputs": _packed(feeds.inputs.flatten()[:MOST_FEEDS]),
        "weights": _packed(feeds.weights.flatten()[:MOST_FEEDS]),
        "sum": float(products.double().sum()),
        "rest": feeds.rest,
        "weighted": feeds.weighted,
    }


def fields(session: Session, arm: str) -> list[dict[str, Any]]:
    """The receptive fields of each of an arm's layers."""
    return [{"rows": layer.rows, "columns": layer.columns} for layer in session.arms[arm].reader.fields]


def _field(layer: Fields, place: Sequence[int]) -> dict[str, Span]:
    row, column = place[1:] if len(place) == 3 else (0, 0)
    return {"rows": layer.rows[row], "columns": layer.columns[column]}


def _layer(layer: LayerFacts) -> dict[str, Any]:
    return {"name": layer.name, "kind": layer.kind, "shape": layer.shape}


def _picture(session: Session, picture: Picture) -> dict[str, Any]:
    pixels = (session.pixels(picture.index).clamp(0, 1) * 255).round().byte()
    return {
        "index": picture.index,
        "label": picture.label,
        "guesses": dict(picture.guesses),
        "pixels": base64.b64encode(pixels.numpy().tobytes()).decode(),
    }


def _arms(session: Session, names: Sequence[str]) -> list[tuple[str, ExploredArm]]:
    return [(name, _arm(session, name)) for name in dict.fromkeys(names)]


def _arm(session: Session, name: str) -> ExploredArm:
    if name not in session.arms:
        raise WishError(f"{name!r:.80}: no such arm on this page")
    return session.arms[name]


def _shown(session: Session, arm: ExploredArm, image: int | list[list[list[float]]]) -> Tensor:
    if isinstance(image, int):
        count = session.test_images
        if not 0 <= image < count:
            raise WishError(f"image: there are {count} test images, counted from 0")
        return arm.test_image(image)
    try:
        drawn = torch.tensor(image)
    except ValueError:
        drawn = torch.empty(0)
    if drawn.shape != session.image_shape:
        wanted = "×".join(map(str, session.image_shape))
        raise WishError(f"image: wants {wanted} numbers (channels, height, width)")
    return arm.image(drawn)


def _packed(values: Tensor) -> str:
    """Float32, little-endian, in base64."""
    return base64.b64encode(values.contiguous().numpy().astype("<f4").tobytes()).decode()
