"""What a study must know of a data set before it is loaded: its name, counts, shape and classes."""

import difflib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

FOLDER = "folder"
"""The name of a data set that is a person's own images, one folder a class."""
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
SPREADSHEET_FORMULA = ("=", "+", "-", "@", "\t", "\r")
TEST_EVERY = 5
"""Without a folder of test images every fifth of a class's, by name, is one."""


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """How many images, of what shape `(channels, height, width)`, in how many classes."""

    train_images: int
    """Images to train and validate on; the test images come on top."""
    test_images: int
    image_shape: tuple[int, int, int] = (1, 28, 28)
    classes: int = 10
    typical_spread: float | None = None
    """Standard deviation, seed by seed, of the difference of two LeNets, where it was measured."""

    def shape_at(self, input_size: int | None) -> tuple[int, int, int]:
        """The images' shape once they are resized to a square of so many pixels a side; None: as they are."""
        channels, height, width = self.image_shape
        return (channels, height, width) if input_size is None else (channels, input_size, input_size)

    def trained_on(self, train_images: int | None, validation: int) -> int:
        """How many images a run trains on: those its recipe says, or all that validation leaves (None)."""
        return train_images or self.train_images - validation


# Spreads: medians over the arms of reports/published/; of the digits, of lenet_pooling's fallback.
DATASETS = {
    "fashion_mnist": DatasetFacts(train_images=60_000, test_images=10_000, typical_spread=0.009),
    "mnist": DatasetFacts(train_images=60_000, test_images=10_000, typical_spread=0.002),
    "digits": DatasetFacts(train_images=1_437, test_images=360, typical_spread=0.008),
    "kmnist": DatasetFacts(train_images=60_000, test_images=10_000),
    "qmnist": DatasetFacts(train_images=60_000, test_images=60_000),
    "emnist_balanced": DatasetFacts(train_images=112_800, test_images=18_800, classes=47),
    "emnist_digits": DatasetFacts(train_images=240_000, test_images=40_000),
    "cifar10": DatasetFacts(train_images=50_000, test_images=10_000, image_shape=(3, 32, 32)),
    "cifar100": DatasetFacts(train_images=50_000, test_images=10_000, image_shape=(3, 32, 32), classes=100),
}


def printable(text: str) -> str:
    """The text, if it holds no control characters."""
    if not text.isprintable():
        raise ValueError("must not contain control characters")
    return text


def table_cell(text: str) -> str:
    """The text, if no spreadsheet takes it for a formula."""
    if text.startswith(SPREADSHEET_FORMULA):
        raise ValueError("must not begin like a spreadsheet formula (=, +, -, @)")
    return text


ClassName = Annotated[str, AfterValidator(printable), AfterValidator(table_cell)]
Count = Annotated[int, Field(ge=1, strict=True)]


class Found(BaseModel):
    """What a folder of images held when the study was first read: other contents are other data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: Annotated[tuple[ClassName, ...], Field(min_length=2)]
    train_images: Count
    test_images: Count
    sha256: str
    """Of every image's place and bytes."""


class DatasetSpec(BaseModel):
    """A known data set by name, or `{name: folder, path: …}`: a person's own images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: Annotated[str, Field(min_length=1, max_length=300), AfterValidator(printable)] | None = None
    size: Annotated[int, Field(ge=1, le=1024, strict=True)] = 32
    """Pixels a side that a folder's images are decoded to."""
    grey: bool = False
    """Whether a folder's images are reduced to one channel; else they have three."""
    found: Found | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, raw: Any) -> Any:
        raw = {"name": raw} if isinstance(raw, str) else raw
        if not isinstance(raw, dict) or not isinstance(raw.get("name"), str):
            raise ValueError(f"{raw!r} is no data set: write a name, or {{name: folder, path: …}}")  # noqa: TRY004
        known = [*DATASETS, FOLDER]
        if raw["name"] not in known:
            near = difflib.get_close_matches(raw["name"], known, n=1)
            told = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
            raise ValueError(f"'{raw['name']}' is not known: {told}")
        if raw["name"] != FOLDER and len(raw) > 1:
            raise ValueError(f"{raw['name']} takes nothing beside its name: write dataset: {raw['name']}")
        if raw["name"] == FOLDER and not raw.get("path"):
            raise ValueError("a folder needs its path: write {name: folder, path: …}")
        return raw

    @model_validator(mode="after")
    def _counted(self) -> "DatasetSpec":
        if self.path is None or self.found is not None:
            return self
        try:
            found = _found(self.path)
        except OSError as error:
            raise ValueError(f"{error.filename}: cannot be read ({error.strerror})") from None
        return self.model_copy(update={"found": found})

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> Any:
        return self.name if self.path is None else handler(self)

    def __str__(self) -> str:
        """The name as a sentence says it: a folder's is its own."""
        return self.name if self.path is None else Path(self.path).name

    @property
    def facts(self) -> DatasetFacts:
        """Counts, shape and classes."""
        if self.found is None:
            return DATASETS[self.name]
        return DatasetFacts(
            train_images=self.found.train_images,
            test_images=self.found.test_images,
            image_shape=(1 if self.grey else 3, self.size, self.size),
            classes=len(self.found.classes),
        )


def named(name: str) -> DatasetSpec:
    """A known data set."""
    return DatasetSpec(name=name)


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """A person's own images by class, in torchvision's layout; places and their classes' numbers."""

    classes: tuple[str, ...]
    train: tuple[tuple[Path, int], ...]
    test: tuple[tuple[Path, int], ...]


def image_folder(path: Path) -> ImageFolder:
    """The images below `path`: `train/CLASS/…` and `test/CLASS/…`, or `CLASS/…` with every fifth to test on.

    Raises:
        ValueError: there is no such folder, or it holds no two classes with images.
    """
    parts = [path / "train", path / "test"]
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder (it is looked for from where the command is run)")
    if all(part.is_dir() for part in parts):
        train, test = map(_by_class, parts)
        if set(test) - set(train):
            raise ValueError(f"{parts[1]}: the class {min(set(test) - set(train))} has no training images")
        listed = [
            [(file, n) for n, name in enumerate(train) for file in by.get(name, ())] for by in (train, test)
        ]
        if missing := sorted(set(train) - set(test)):
            raise ValueError(f"{parts[1]}: the class {missing[0]} has no images to test on")
        few = {name: files for name, files in train.items() if len(files) < 2}
    else:
        train = _by_class(path)
        few = {name: files for name, files in train.items() if len(files) < TEST_EVERY}
        every = [(i, file, n) for n, name in enumerate(train) for i, file in enumerate(train[name], start=1)]
        listed = [
            [(file, n) for i, file, n in every if (i % TEST_EVERY == 0) is tested] for tested in (False, True)
        ]
    if len(train) > 1 and few:
        name, files = next(iter(few.items()))
        raise ValueError(
            f"{path}: the class {name} has {len(files)} of the {TEST_EVERY} images it needs at least"
        )
    if len(train) < 2 or not all(listed):
        raise ValueError(
            f"{path}: is no folder of images by class: it needs two folders or more, each with images "
            f"({', '.join(IMAGE_ENDINGS)}), {TEST_EVERY} or more a class"
        )
    return ImageFolder(classes=tuple(train), train=tuple(listed[0]), test=tuple(listed[1]))


def _by_class(path: Path) -> dict[str, list[Path]]:
    found = {}
    for folder in sorted(entry for entry in path.iterdir() if entry.is_dir()):
        # A pipe of such a name would be waited for, a link to nowhere cannot be read.
        files = sorted(
            file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_ENDINGS and file.is_file()
        )
        if files:
            found[_class_name(folder)] = files
    return found


def _class_name(folder: Path) -> str:
    try:
        return table_cell(printable(folder.name))
    except ValueError as error:
        raise ValueError(f"{str(folder)!r}: a class's name {error}") from None


def _found(path: str) -> Found:
    images = image_folder(Path(path))
    files = [file for file, _ in (*images.train, *images.test)]
    return Found(
        classes=images.classes,
        train_images=len(images.train),
        test_images=len(images.test),
        sha256=digest(Path(path), files),
    )


def digest(root: Path, files: Sequence[Path]) -> str:
    """SHA-256 of the files' places below `root` and their bytes."""
    return _digest(root, tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=8)  # a study file is validated more than once
def _digest(root: Path, files: tuple[tuple[Path, int, int], ...]) -> str:
    together = hashlib.sha256()
    for file, size, _ in files:
        together.update(f"{os.fspath(file.relative_to(root))}\0{size}\0".encode())
        together.update(file.read_bytes())
    return together.hexdigest()
