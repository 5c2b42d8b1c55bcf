"""Write sentences about a user's own images: how they were read, and what is suspicious."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.data.class_names import show
from ablate.data.datasets import DatasetSpec
from ablate.data.folder_walk import show_some
from ablate.data.image_folders import ImageFolder
from ablate.data.picture_facts import PictureFacts
from ablate.data.pixel_scale import PixelScale
from ablate.errors import DataError
from ablate.formatting import format_count, format_list

NEARLY_ALL = 0.95
FAINT = 0.02
"""An image is faint if its pixels cover less than this share of the range from black to white."""
CLASSES_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Sentences about a user's own images: how they were read, and what is suspicious."""

    read_as: tuple[str, ...]
    cautions: tuple[str, ...]


def survey_images(
    dataset: DatasetSpec, listed: ImageFolder, facts: Sequence[PictureFacts], scale: PixelScale
) -> Survey:
    """Write the sentences about a user's own images. `facts` has one entry for each file in `listed.files`.

    Raises:
        DataError: all images are blank, or all are the same picture.
    """
    _refuse_nothing(dataset, facts)
    return Survey(
        read_as=(
            *_describe_classes(dataset, listed),
            *listed.read_as,
            *_describe_pictures(dataset, facts, scale),
        ),
        cautions=(
            *listed.cautions,
            *_warn_of_duplicates(listed, facts),
            *_warn_of_faint_pictures(facts, scale),
        ),
    )


def _refuse_nothing(dataset: DatasetSpec, facts: Sequence[PictureFacts]) -> None:
    """Refuse a data set with only equal images, because a network can learn nothing from such images."""
    other = "black" if dataset.background == "white" else "white"
    transparent = any(one.alpha for one in facts)
    remedy = (
        f"write background: {other}, if the drawings are {dataset.background}"
        if transparent
        else "look at a few of them"
    )
    if all(one.levels == 1 for one in facts) and len({(one.low, one.high) for one in facts}) == 1:
        raise DataError(f"{dataset.path}: every image is blank, all of one colour: {remedy}")
    if len({one.sha256 for one in facts}) == 1:
        raise DataError(f"{dataset.path}: all images are the same picture: {remedy}")


def _describe_classes(dataset: DatasetSpec, listed: ImageFolder) -> Iterator[str]:
    """Write how many images each class and each part has."""
    counts = Counter(label for _, label in (*listed.train, *listed.validation, *listed.test))
    by_class = [f"{name} {counts[number]:,}" for number, name in enumerate(listed.classes)]
    shown = ", ".join(by_class[:CLASSES_SHOWN])
    if len(by_class) > CLASSES_SHOWN:
        shown += f" and {len(by_class) - CLASSES_SHOWN:,} more classes"
    yield f"{dataset}: {len(listed.classes):,} classes with {len(listed.files):,} images: {shown}."
    parts = [f"{len(listed.train):,} are for training"]
    if listed.validation:
        unused = "" if dataset.uses_validation_folder else " (not used)"
        parts.append(f"{len(listed.validation):,} for validation{unused}")
    parts.append(f"{len(listed.test):,} for testing")
    yield f"{format_list(parts)}."


def _describe_pictures(
    dataset: DatasetSpec, facts: Sequence[PictureFacts], scale: PixelScale
) -> Iterator[str]:
    """Write which sizes and types of pixels the images have, and how the images are converted."""
    sizes = Counter((one.width, one.height) for one in facts)
    (width, height), most = sizes.most_common(1)[0]
    if len(sizes) == 1:
        told = f"all {width}×{height} pixels"
    else:
        widths, heights = ([size[side] for size in sizes] for side in (0, 1))
        told = (
            f"{min(widths)}×{min(heights)} to {max(widths)}×{max(heights)} pixels, most often "
            f"{width}×{height} ({most:,} images)"
        )
    colour = "one grey channel" if dataset.grey else "three colour channels"
    yield (
        f"Sizes: {told}. The shorter side is scaled to {dataset.size} pixels, and the longer side is cropped "
        f"to the same length. Each image is converted to {colour}."
    )
    modes = Counter(one.mode for one in facts)
    yield f"Kinds of pixels (Pillow's modes): {', '.join(f'{m} {n:,}' for m, n in modes.most_common())}."
    for kind, ends in (("whole numbers", scale.integer), ("fractions", scale.floating)):
        if ends:
            yield (
                f"Images with more than 8 bits, with {kind}: {ends[0]:,g} is black and {ends[1]:,g} is white."
            )
    if transparent := sum(one.alpha for one in facts):
        yield (
            f"Transparent pixels ({format_count(transparent, 'image')}) are put on a {dataset.background} "
            "background."
        )
    if moving := sum(one.frames > 1 for one in facts):
        several = "has several frames or pages" if moving == 1 else "have several frames or pages"
        yield f"{format_count(moving, 'image')} {several}; the first one is used."


def _warn_of_duplicates(listed: ImageFolder, facts: Sequence[PictureFacts]) -> Iterator[str]:
    """Warn of pictures that are in two classes, or in two of the parts training, validation and test."""
    places: dict[str, list[tuple[str, int, Path]]] = defaultdict(list)
    parts = {"training": listed.train, "validation": listed.validation, "test": listed.test}
    images = [(part, label, file) for part, of_part in parts.items() for file, label in of_part]
    for one, image in zip(facts, images, strict=True):
        if one.levels > 1:  # two blank images can be equal without being copies
            places[one.sha256].append(image)
    several = [found for found in places.values() if len(found) > 1]
    for part, why in (
        ("test", "test accuracy is too high for new images"),
        ("validation", "tuning sees them"),
    ):
        leaked = [
            next(image for image in found if image[0] == part)
            for found in several
            if {"training", part} <= {image[0] for image in found}
        ]
        if leaked:
            copies = "picture is" if len(leaked) == 1 else "pictures are"
            yield (
                f"{len(leaked):,} {part} {copies} also among the training images, so the {why}: "
                f"{_name_files([file for _, _, file in leaked])}."
            )
    if between := [f for f in several if {"validation", "test"} <= {image[0] for image in f}]:
        copies = "picture is" if len(between) == 1 else "pictures are"
        yield f"{len(between):,} {copies} both among the validation and the test images."
    if mixed := [found for found in several if len({label for _, label, _ in found}) > 1]:
        stand = "picture is" if len(mixed) == 1 else "pictures are"
        first = sorted({listed.classes[label] for _, label, _ in mixed[0]})
        yield (
            f"{len(mixed):,} {stand} in more than one class, for example in {' and '.join(first[:2])}: "
            f"{_name_files([file for _, _, file in mixed[0]])}."
        )


def _name_files(files: Sequence[Path]) -> str:
    """List the first files, each with its folder's name and its own name."""
    return show_some([show(Path(file.parent.name, file.name)) for file in files])


def _warn_of_faint_pictures(facts: Sequence[PictureFacts], scale: PixelScale) -> Iterator[str]:
    """Warn if nearly all images are blank, have only two pixel values, have little contrast, or are equal."""
    blank = sum(one.levels == 1 for one in facts)
    if blank >= NEARLY_ALL * len(facts):
        yield f"{blank:,} of {len(facts):,} images are blank, with only one colour: look at a few of them."
        return
    two = sum(one.levels <= 2 and one.kind != "1 bit" for one in facts)
    if two >= NEARLY_ALL * len(facts):
        yield (
            f"{two:,} of {len(facts):,} images have only two pixel values, although their files can hold "
            "more values: they might be masks, or wrongly converted."
        )
    faint = 0
    for one in facts:
        black, white = scale.get_range(one)
        faint += (one.high - one.low) < FAINT * (white - black)
    if faint >= NEARLY_ALL * len(facts):
        yield (
            f"{faint:,} of {len(facts):,} images cover less than {FAINT:.0%} of the range from black to "
            "white: they will look almost uniform to a network."
        )
    most = Counter(one.sha256 for one in facts).most_common(1)[0][1]
    if most >= NEARLY_ALL * len(facts):
        yield f"{most:,} of {len(facts):,} images are the same picture."
