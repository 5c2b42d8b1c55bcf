"""Facts about data sets that a study needs before it loads images: name, number of images, shape, classes."""

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from ablate.data.cell_text import require_printable, require_table_cell
from ablate.data.class_names import show
from ablate.data.contents import read_contents
from ablate.data.picture_facts import DECODING
from ablate.data.place import Place

FOLDER = "folder"
"""The data set's name in a study file if the images are the user's own.

Such images are in one folder per class, or a table lists them.
"""
HUB = "hub"
"""The data set's name in a study file if the data set is from Hugging Face's hub.

The data set must be in the cache of Hugging Face's libraries.
"""
OWN = (FOLDER, HUB)
HUB_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", re.ASCII)
"""A data set's name on the hub: `owner/name`, or `name` alone for the oldest data sets."""

OWN_IMAGES_HELD_OUT = 6
"""In a user's own data set, one in this many training images is held out for validation by default."""


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """The numbers of images and classes of a data set, and the images' shape `(channels, height, width)`."""

    train_images: int
    """The number of images for training and validation together. Test images are not counted."""
    test_images: int
    image_shape: tuple[int, int, int] = (1, 28, 28)
    classes: int = 10
    typical_spread: float | None = None
    """How much the difference between the accuracies of two LeNets typically varies with the seed.

    The number is a standard deviation over seeds. `typical_spread` is None if ablate's authors have not
    measured this variation.
    """

    def compute_shape(self, input_size: int | None) -> tuple[int, int, int]:
        """Compute the images' shape after they are resized to `input_size` pixels a side.

        If `input_size` is None, the images are not resized.
        """
        channels, height, width = self.image_shape
        return (channels, height, width) if input_size is None else (channels, input_size, input_size)

    def count_training_images(self, train_images: int | None, validation: int) -> int:
        """Return how many images one run trains on.

        This is `train_images`, or by default the number of all images except the validation images.
        """
        return train_images or self.train_images - validation


# Each `typical_spread` is a median over the arms (the compared networks) of the reports in
# reports/published/. For digits, the arms are those of the study lenet_pooling, run on digits.
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


PIXELS_VERSION = {"emnist_balanced": 2, "emnist_digits": 2}
"""Maps a data set to the version of its pixels. Other data sets have version 1.

The version rises when ablate makes other pixels from the same files.

In version 2, the images of EMNIST are upright. In version 1, they were transposed.
"""

ClassName = Annotated[str, AfterValidator(require_printable), AfterValidator(require_table_cell)]
ColumnName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(require_printable)]
Count = Annotated[int, Field(ge=1, strict=True)]
NEWER_KEYS = ("config", "image", "label")


class FolderContents(BaseModel):
    """What an image folder contained when ablate first read the study.

    If the contents change, ablate treats the folder as a new data set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: Annotated[tuple[ClassName, ...], Field(min_length=2)]
    train_images: Count
    """The number of training images, without the images in a validation folder."""
    test_images: Count
    validation_images: Annotated[int, Field(ge=0, strict=True)] = 0
    """The number of images in the validation folder. 0 if there is no such folder."""
    sha256: str
    """One SHA-256 over the part (training, validation, test), class, path and bytes of each image."""
    decoding: int = 1
    """The version of ablate's image decoder. Older study files lack this number. Their version is 1."""


class DatasetSpec(BaseModel):
    """The data set of a study.

    In the study file, it is the name of a known data set, or `{name: folder, path: …}` for a user's own
    images. For a data set of Hugging Face's hub, it is `{name: hub, path: owner/name}`. The cache of Hugging
    Face's libraries must contain this data set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    path: Annotated[str, Field(min_length=1, max_length=300), AfterValidator(require_printable)] | None = None
    size: Annotated[int, Field(ge=1, le=1024, strict=True)] = 32
    """The side length in pixels to which a user's own images are scaled."""
    grey: bool = False
    """Whether a user's own images are converted to one grey channel.

    Otherwise these images have three channels.
    """
    background: Literal["white", "black"] = "white"
    """The colour behind the transparent pixels of a user's own images."""
    validation_folder: bool = True
    """Whether to use the data set's folder of validation images, if there is one.

    If false, each seed draws its own validation images.
    """
    config: ColumnName | None = None
    """The name of the configuration to read. None means the only or default configuration.

    The keys `config`, `image` and `label` are only for data sets with images inside tables.
    """
    image: ColumnName | None = None
    """The name of the column with the images. None means the only column that contains images."""
    label: ColumnName | None = None
    """The name of the column with the labels. None means the only column that can contain labels."""
    found: FolderContents | None = None

    @model_validator(mode="before")
    @classmethod
    def _accept_name(cls, raw: Any) -> Any:
        raw = {"name": raw} if isinstance(raw, str) else raw
        if not isinstance(raw, dict) or not isinstance(raw.get("name"), str):
            raise ValueError(f"{raw!r} is not a data set: write a name, or {{name: folder, path: …}}")  # noqa: TRY004
        name, path, known = raw["name"], raw.get("path"), [*DATASETS, *OWN]
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            told = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
            if "/" in name and HUB_NAME.fullmatch(name):
                told = f"did you mean {{name: hub, path: {name}}}?"
            raise ValueError(f"'{name}' is not known: {told}")
        if name not in OWN and len(raw) > 1:
            raise ValueError(f"{name} takes no other keys than its name: write dataset: {name}")
        if name == FOLDER and not path:
            raise ValueError("a folder needs its path: write {name: folder, path: …}")
        if name == HUB and not (isinstance(path, str) and HUB_NAME.fullmatch(path)):
            raise ValueError("a data set of the hub needs its name: write {name: hub, path: owner/name}")
        return raw

    @model_validator(mode="after")
    def _add_contents(self) -> "DatasetSpec":
        if self.path is None or self.found is not None:
            return self
        try:
            found = _find_contents(self.place)
        except OSError as error:
            named = show(error.filename or self.path)
            raise ValueError(f"{named}: cannot be read ({error.strerror})") from None
        return self.model_copy(update={"found": found})

    @model_serializer(mode="wrap")
    def _write_name(self, handler: SerializerFunctionWrapHandler) -> Any:
        if self.path is None:
            return self.name
        written = handler(self)
        # A field of NEWER_KEYS is left out if it has no value. A study file from before these fields existed
        # is then written as before. So the keys under which its runs are stored do not change.
        return {key: value for key, value in written.items() if value is not None or key not in NEWER_KEYS}

    def __str__(self) -> str:
        """Return the data set's name for a sentence.

        For a user's own images, this is the name of their folder or table.
        """
        if self.path is None:
            return self.name
        if self.name == HUB:
            return self.path if "/" in self.path else f"hub/{self.path}"
        return Path(self.path).name

    def choose_validation(self, given: int | None) -> dict[str, Any]:
        """Choose how many of a user's own images are for validation.

        Return the fields of the study that must change, with their new values. `given` is the number of
        validation images in the study file, or None if the file does not state a number. If the data set has
        a folder of validation images, a `given` of 0 means that this folder is not used.

        Raises:
            ValueError: `given` is not 0, and differs from the number of images in the folder of validation
                images.
        """
        fixed, facts = self.fixed_validation, self.facts
        if self.path is None:
            return {}
        if given is None:
            return {"validation": fixed or max(facts.train_images // OWN_IMAGES_HELD_OUT, facts.classes)}
        if fixed and not given:
            return {"dataset": self.model_copy(update={"validation_folder": False})}
        if fixed and given != fixed:
            raise ValueError(
                f"validation {given:,} is not possible, because {self.path} contains {fixed:,} images for "
                "validation: remove the key validation to use them, or write validation: 0 to ignore them"
            )
        return {}

    @property
    def is_relative(self) -> bool:
        """Whether the path of the user's own images is relative to the current folder."""
        return self.name == FOLDER and self.path is not None and not Path(self.path).is_absolute()

    @property
    def place(self) -> Place:
        """Where the user's own images are."""
        assert self.path is not None
        return Place(
            path=self.path, hub=self.name == HUB, config=self.config, image=self.image, label=self.label
        )

    @property
    def uses_validation_folder(self) -> bool:
        """Whether the data set has a folder of validation images, and the study uses this folder."""
        return self.fixed_validation > 0

    @property
    def fixed_validation(self) -> int:
        """The number of validation images that are the same for every seed. 0 if each seed draws others."""
        return self.found.validation_images if self.found and self.validation_folder else 0

    @property
    def pixels_version(self) -> int:
        """The version of the pixels, see `PIXELS_VERSION`.

        The key under which a run is stored contains this version. So a run with changed pixels has a new key.
        """
        return PIXELS_VERSION.get(self.name, 1)

    @property
    def facts(self) -> DatasetFacts:
        """The numbers of images and classes, and the images' shape."""
        if self.found is None:
            return DATASETS[self.name]
        return DatasetFacts(
            train_images=self.found.train_images + self.fixed_validation,
            test_images=self.found.test_images,
            image_shape=(1 if self.grey else 3, self.size, self.size),
            classes=len(self.found.classes),
        )


def find_dataset(name: str) -> DatasetSpec:
    """Return the known data set with this name."""
    return DatasetSpec(name=name)


def _find_contents(place: Place) -> FolderContents:
    contents = read_contents(place)
    listed = contents.listed
    return FolderContents(
        classes=listed.classes,
        train_images=len(listed.train),
        test_images=len(listed.test),
        validation_images=len(listed.validation),
        sha256=contents.sha256,
        decoding=DECODING,
    )
