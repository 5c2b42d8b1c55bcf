"""Store what is inside trained networks in one file: feature maps, filters and confused classes."""

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
"""The name of the array that describes all other arrays.

The array with this name contains JSON as bytes. A pickle is not used, because reading a pickle can run code.
"""


@dataclass(frozen=True, kw_only=True)
class ConfusedPair:
    """One pair of classes: the test images of class `label` that the network classifies as `guess`."""

    label: int
    guess: int
    images: int
    """How many test images of class `label` the network classifies as `guess`."""
    examples: Array
    """The first n of these test images, `(n, channels, height, width)` as uint8."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The feature maps of one layer for the shown images."""

    asked: str
    """The layer as the user named it: a convolution's number, counted from 1, or a module's name."""
    module: str
    """The layer in words, for a caption."""
    channels: int
    """The number of feature maps in the layer. `maps` can contain fewer of them."""
    maps: Array
    """The maps, `(inputs, channels, height, width)` as float16."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The weights of the first convolution, and its responses to the shown images."""

    module: str
    channels: int
    weights: Array
    """The weights, `(filters, channels, height, width)` as float16."""
    responses: Array
    """The convolution's output before any activation, `(inputs, filters, height, width)` as float16."""


@dataclass(frozen=True, kw_only=True)
class View:
    """The confusions and feature maps of one arm's network, trained with its first confirmed seed."""

    arm: str
    key: str
    """The key of the run that trained this network."""
    images: Array = field(default_factory=lambda: np.zeros((0, 1, 1, 1), np.uint8))
    """The shown images as this arm's network gets them, `(inputs, channels, height, width)` as uint8."""
    confused: tuple[ConfusedPair, ...] = ()
    layers: tuple[Layer, ...] = ()
    filters: Filters | None = None
    remark: str = ""
    """A sentence that says why a part of the view is missing. Empty if nothing is missing."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """The views of all inspected arms, in the study's order."""

    classes: tuple[str, ...]
    inputs: tuple[int, ...] = ()
    """The classes of the images that were shown to every network, as indices into `classes`."""
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
    """Read the views from a file that `to_bytes` made. Return None if the file does not exist.

    Raises:
        FolderError: the file is damaged, or has another format.
    """
    if not path.exists():
        return None
    try:
        # The file is opened here, because NumPy itself would leave a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return _rebuild_views(json.loads(stored[INDEX].tobytes()), stored.__getitem__)
    except (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FolderError(
            f"{path}: is damaged ({error}): delete it. The report works without this file, and `run` "
            "writes a new file"
        ) from None


def _rebuild_views(index: dict[str, Any], array: Callable[[str], Array]) -> Views:
    return Views(
        classes=tuple(map(str, index["classes"])),
        inputs=tuple(map(int, index["inputs"])),
        arms=tuple(_rebuild_arms(index["arms"], array)),
    )


def _rebuild_arms(kept: list[dict[str, Any]], array: Callable[[str], Array]) -> Iterator[View]:
    for arm in kept:
        filters = arm["filters"]
        yield View(
            arm=arm["arm"],
            key=arm["key"],
            remark=arm["remark"],
            images=_check_axes(array(arm["images"])),
            confused=tuple(
                ConfusedPair(**{**pair, "examples": _check_axes(array(pair["examples"]))})
                for pair in arm["confused"]
            ),
            layers=tuple(
                Layer(**{**layer, "maps": _check_axes(array(layer["maps"]))}) for layer in arm["layers"]
            ),
            filters=filters
            and Filters(
                **{
                    **filters,
                    **{name: _check_axes(array(filters[name])) for name in ("weights", "responses")},
                }
            ),
        )


def _check_axes(array: Array) -> Array:
    if array.ndim != 4:
        raise ValueError(f"an array has {array.ndim} axes instead of four")
    return array
