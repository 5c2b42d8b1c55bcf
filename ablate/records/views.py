"""What was seen inside trained networks, as plain arrays in one file, read where there is no torch."""

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
"""Of the arrays' names, the one that says what the others are: JSON as bytes, for no pickle is ever read."""


@dataclass(frozen=True, kw_only=True)
class Confused:
    """One pair of classes: images of the first that the network took for the second."""

    label: int
    guess: int
    images: int
    """How many of them there are among the test images."""
    examples: Array
    """The first few, `(n, channels, height, width)` as uint8."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What one layer makes of the inputs."""

    asked: str
    """As it was asked for: the number of a convolution from 1 on, or a module's name."""
    module: str
    """Where the maps come from, in words."""
    channels: int
    """How many maps it has; `maps` may hold fewer."""
    maps: Array
    """`(inputs, channels, height, width)` as float16."""


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The weights of the first convolution, and what they answer to the inputs."""

    module: str
    channels: int
    weights: Array
    """`(filters, channels, height, width)` as float16."""
    responses: Array
    """The convolution's output before any activation, `(inputs, filters, height, width)` as float16."""


@dataclass(frozen=True, kw_only=True)
class View:
    """One arm, its first confirmed seed: what it confuses, what its layers see."""

    arm: str
    key: str
    """Of the run whose parameters these are."""
    images: Array = field(default_factory=lambda: np.zeros((0, 1, 1, 1), np.uint8))
    """The inputs as this arm gets them, `(inputs, channels, height, width)` as uint8."""
    confused: tuple[Confused, ...] = ()
    layers: tuple[Layer, ...] = ()
    filters: Filters | None = None
    remark: str = ""
    """Why there is less to see of it than of others, in a sentence."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """All arms that were looked into, in the study's order."""

    classes: tuple[str, ...]
    inputs: tuple[int, ...] = ()
    """The classes of the images that every network was shown, as indices into `classes`."""
    arms: tuple[View, ...] = ()


def to_bytes(views: Views) -> bytes:
    """The views as one compressed NumPy archive; equal views give equal bytes."""
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
    """What `to_bytes` made, from a file; None where there is none.

    Raises:
        FolderError: the file is torn, or something else.
    """
    if not path.exists():
        return None
    try:
        # Opened here: of a torn file NumPy leaves its own open.
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
