"""Choose the column of images and the column of labels in a table that contains the images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ablate.data.class_names import show
from ablate.data.column_names import COLUMNS, strip_name

NO_LABEL = -1
"""The number that the `datasets` library stores for a missing label, as in the test set of a competition."""
LABELS = (
    "string",
    "large_string",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns of images and labels.

    `names` lists the names of the classes if the labels are numbers. Otherwise `names` is empty.
    """

    image: str
    label: str
    names: tuple[str, ...] = ()


def choose_columns(root: str, features: Any, image: str | None, label: str | None) -> Columns:
    """Choose the columns of images and labels. `image` and `label` are the study's columns, or None.

    Raises:
        ValueError: a column does not exist, several columns are possible, or the column that the study names
            has another content.
    """
    if not features:
        raise ValueError(f"{root}: does not say which columns it has: save it as Parquet")
    kinds = {str(name): _name_kind(feature) for name, feature in features.items()}
    images = [name for name, kind in kinds.items() if kind == "Image"]
    if not images:
        raw = [name for name, kind in kinds.items() if kind == "binary"]
        images = [name for name in raw if strip_name(name) in COLUMNS["path"]] or raw
    chosen_image = _choose(root, "image", image, images, kinds)
    labels = [name for name, kind in kinds.items() if kind == "ClassLabel"]
    if not labels:
        simple = [name for name, kind in kinds.items() if kind in LABELS]
        labels = [name for name in simple if strip_name(name) in COLUMNS["label"]] or simple
    if label is not None:
        labels = [name for name, kind in kinds.items() if kind in ("ClassLabel", *LABELS)]
    chosen_label = _choose(root, "label", label, labels, kinds)
    names = tuple(getattr(features[chosen_label], "names", None) or ())
    return Columns(image=chosen_image, label=chosen_label, names=names)


def read_label(columns: Columns, value: object, place: str) -> str | None:
    """Convert a label's value to the name of its class. Return None if the label is missing.

    Raises:
        ValueError: the number is not the number of a class.
    """
    if value is None or value == "" or (columns.names and value == NO_LABEL):
        return None
    if not columns.names:
        return str(value).strip() or None
    if not isinstance(value, int) or not 0 <= value < len(columns.names):
        raise ValueError(f"{place}: the label {value} is not the number of a class")
    return columns.names[value]


def _choose(root: str, key: str, wanted: str | None, found: list[str], kinds: Mapping[str, str]) -> str:
    """Return `wanted` if it is a suitable column. If it is None, return the only column in `found`."""
    what = "images" if key == "image" else "labels (names or numbers of classes)"
    if wanted is not None and wanted in found:
        return wanted
    told = ", ".join(f"{show(name)}: {kind}" for name, kind in kinds.items())
    if wanted is not None and wanted in kinds:
        raise ValueError(f"{root}: column {show(wanted)} does not hold {what}: it holds {kinds[wanted]}")
    if wanted is not None:
        raise ValueError(f"{root}: has no column {show(wanted)} (its columns: {told})")
    if not found:
        raise ValueError(f"{root}: has no column of {what} (its columns: {told})")
    if len(found) > 1:
        names = ", ".join(map(show, found))
        raise ValueError(
            f"{root}: has several columns of {what}, {names}: choose one with {key}: {show(found[0])}"
        )
    return found[0]


def _name_kind(feature: Any) -> str:
    """Return the name of a column's type in the `datasets` library: Image, ClassLabel, int64, …"""
    if isinstance(feature, dict):
        return "Image" if set(feature) == {"bytes", "path"} else "mapping"
    if isinstance(feature, list):
        return f"List({_name_kind(feature[0])})" if feature else "List"
    kind = type(feature).__name__
    if kind == "Value":
        return str(feature.dtype).replace("large_binary", "binary")
    inner = getattr(feature, "feature", None)
    return kind if inner is None else f"{kind}({_name_kind(inner)})"
