"""What a study must know of a data set before it is loaded: its name, counts, shape and classes."""

import difflib
from dataclasses import dataclass
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

from ablate.data.cell_text import printable, table_cell
from ablate.data.image_folders import digest, image_folder

FOLDER = "folder"
"""The name of a data set that is a person's own images, one folder a class."""


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


def find_dataset(name: str) -> DatasetSpec:
    """A known data set."""
    return DatasetSpec(name=name)


def _found(path: str) -> Found:
    images = image_folder(Path(path))
    files = [file for file, _ in (*images.train, *images.test)]
    return Found(
        classes=images.classes,
        train_images=len(images.train),
        test_images=len(images.test),
        sha256=digest(Path(path), files),
    )
