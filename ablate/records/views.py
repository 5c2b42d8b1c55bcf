"""Views into trained networks, as NumPy arrays in one file. Reading it needs no torch."""

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ablate.errors import FolderError

Array = npt.NDArray[Any]
NAME = "inside.npz"
INDEX = "index"
"""The name of the array that describes the others. It is JSON as bytes, so that no pickle is read."""


@dataclass(frozen=True, kw_only=True)
class Confused:
    """One pair of classes: images of class `label` that the network classifies as `guess`."""

    label: int
    guess: int
    images: int
    """How many test images these are."""
    examples: Array
    """The first few, `(n, channels, height, width)` as uint8."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The feature maps of one layer for the inputs."""

    asked: str
    """The layer as the user named it: a convolution's number, counted from 1, or a module's name."""
    module: str
    """Where the maps come from, in words."""
    channels: int
    """How many maps it has; `maps` may hold fewer."""
    maps: Array
    """`(inputs, channels, height, width)` as float16."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The weights of the first convolution, and its responses to the inputs."""

    module: str
    channels: int
    weights: Array
    """`(filters, channels, height, width)` as float16."""
    responses: Array
    """The convolution's output before any activation, `(inputs, filters, height, width)` as float16."""


@dataclass(frozen=True, kw_only=True)
class View:
    """The confusions and feature maps of one arm's network, trained with its first confirmed seed."""

    arm: str
    key: str
    """The key of the run that trained this network."""
    images: Array = field(default_factory=lambda: np.zeros((0, 1, 1, 1), np.uint8))
    """The inputs as this arm gets them, `(inputs, channels, height, width)` as uint8."""
    confused: tuple[Confused, ...] = ()
    layers: tuple[Layer, ...] = ()
    filters: Filters | None = None
    remark: str = ""
    """A sentence that explains why something is missing."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """The views of all inspected arms, in the study's order."""

    classes: tuple[str, ...]
    inputs: tuple[int, ...] = ()
    """The classes of the images that every network was shown, as indices into `classes`."""
    arms: tuple[View, ...] = ()


def to_bytes(views: Views) -> bytes:
    """Serialize the views as a compressed NumPy archive. Equal views give equal bytes."""
    arrays: dict[str, Array] = {}

    def put(name: str, array: Array) -> str:
        arrays[name] = array
        return name

    arms = [
        {
            "arm": view.arm,
            "key": view.key,
            "remark": view.remark,
            "images": put(f"{i}.images", view.images),
            "confused": [
                {
                    "label": pair.label,
                    "guess": pair.guess,
                    "images": pair.images,
                    "examples": put(f"{i}.confused.{j}", pair.examples),
                }
                for j, pair in enumerate(view.confused)
            ],
            "layers": [
                {
                    "asked": layer.asked,
                    "module": layer.module,
                    "channels": layer.channels,
                    "maps": put(f"{i}.maps.{j}", layer.maps),
                }
                for j, layer in enumerate(view.layers)
            ],
            "filters": view.filters
            and {
                "module": view.filters.module,
                "channels": view.filters.channels,
                "weights": put(f"{i}.weights", view.filters.weights),
                "responses": put(f"{i}.responses", view.filters.responses),
            },
        }
        for i, view in enumerate(views.arms)
    ]
    index = {"classes": views.classes, "inputs": views.inputs, "arms": arms}
    arrays[INDEX] = np.frombuffer(json.dumps(index).encode(), np.uint8)
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def read(path: Path) -> Views | None:
    """Read the views from a file that `to_bytes` made. None if the file does not exist.

    Raises:
        FolderError: the file is damaged, or has another format.
    """
    if not path.exists():
        return None
    try:
        # Opened here, because NumPy does not close the file if it is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return _views(json.loads(stored[INDEX].tobytes()), stored.__getitem__)
    except (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FolderError(
            f"{path}: is torn ({error}): delete it; `run` writes it again, and the report goes without"
        ) from None


def _views(index: dict[str, Any], array: Callable[[str], Array]) -> Views:
    return Views(
        classes=tuple(map(str, index["classes"])),
        inputs=tuple(map(int, index["inputs"])),
        arms=tuple(_arms(index["arms"], array)),
    )


def _arms(kept: list[dict[str, Any]], array: Callable[[str], Array]) -> Iterator[View]:
    for arm in kept:
        filters = arm["filters"]
        yield View(
            arm=arm["arm"],
            key=arm["key"],
            remark=arm["remark"],
            images=_pictures(array(arm["images"])),
            confused=tuple(
                Confused(**{**pair, "examples": _pictures(array(pair["examples"]))})
                for pair in arm["confused"]
            ),
            layers=tuple(
                Layer(**{**layer, "maps": _pictures(array(layer["maps"]))}) for layer in arm["layers"]
            ),
            filters=filters
            and Filters(
                **{**filters, **{name: _pictures(array(filters[name])) for name in ("weights", "responses")}}
            ),
        )


def _pictures(array: Array) -> Array:
    if array.ndim != 4:
        raise ValueError(f"{array.ndim} axes in place of four")
    return array
