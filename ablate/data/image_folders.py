"""List a user's own images: the class of each file, and its part (training, validation or test)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.data.class_names import list_similar, name_classes, normalise, show
from ablate.data.folder_walk import Tree, show_some, walk
from ablate.data.splits import TEST, TRAIN, VALIDATION, read_long_split, read_split
from ablate.data.stored_rows import StoredImages
from ablate.formatting import format_count

TEST_EVERY = 5
"""Without a folder of test images, every fifth image of a class, in order of names, is a test image."""
LEAST_TRAINING_IMAGES = 2
"""If there are test images, each class needs one image for training and one image for validation."""

Labelled = tuple[tuple[Path, int], ...]


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """A user's own images: the class names, and the path and class index of every image."""

    classes: tuple[str, ...]
    train: Labelled
    test: Labelled
    validation: Labelled = ()
    """The images in the validation folder. This is empty if there is no such folder."""
    read_as: tuple[str, ...] = ()
    """Sentences that say how the folder was read, and what was left out."""
    cautions: tuple[str, ...] = ()
    """Warnings about what the user probably did not intend, as sentences."""
    stored: StoredImages | None = None
    """The tables that contain the images, with paths such as `split/row 7`. None if each image is a file."""

    @property
    def files(self) -> list[Path]:
        """The paths of all images: first for training, then for validation, then for testing."""
        return [file for file, _ in (*self.train, *self.validation, *self.test)]


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """Images by part (`train`, `validation`, `test`) and by class, and the folder or table of each part."""

    parts: Mapping[str, Mapping[str, Sequence[Path]]]
    places: Mapping[str, str]
    read_as: Sequence[str] = ()
    cautions: Sequence[str] = ()


def list_image_folder(path: Path) -> ImageFolder:
    """List the images below `path`.

    There are two layouts. The first has folders `train/CLASS/…`, and `val/CLASS/…` or `test/CLASS/…` or both.
    Other usual names of these parts are allowed, in upper or lower case. The second layout has only
    `CLASS/…`. Without test images, every fifth training image of a class is for testing.

    Raises:
        ValueError: the folder does not exist, or fewer than two classes have enough images.
    """
    if not path.is_dir():
        raise ValueError(f"{path}: no such folder (a relative path starts at the current directory)")
    tree = walk(path)
    splits = _find_splits(path, tree)
    found = _sort_by_split(path, tree, splits) if splits else _sort_by_class(path, tree)
    return arrange(path, found)


def _explain_too_few_classes(root: Path, least: int) -> str:
    """Write the error message if fewer than two classes have `least` images or more."""
    if root.is_file():
        return f"{root}: all images for training have the same label: add images with another label"
    return (
        f"{root}: does not contain a folder of images for each class: add two classes or more, each with "
        f"at least {least} images (.png, .jpg, .gif, .tif and others that Pillow reads)"
    )


def arrange(root: Path, found: Sorted, stored: StoredImages | None = None) -> ImageFolder:
    """Number the classes, and list the images of each part with the numbers of their classes.

    If there are no test images, some of the training images are held out for testing.

    Raises:
        ValueError: there are fewer than two classes, or a class has too few images.
    """
    train = dict(sorted(found.parts[TRAIN].items()))
    held_out = {
        part: _match_classes(train, found.parts[part], found.places[part], found.places[TRAIN])
        for part in (VALIDATION, TEST)
        if found.parts.get(part)
    }
    names = name_classes(train)
    place, tested = found.places[TRAIN], TEST in held_out
    least = LEAST_TRAINING_IMAGES if tested else TEST_EVERY
    few = [(name, len(files)) for name, files in train.items() if len(files) < least]
    if len(train) > 1 and few:
        name, count = few[0]
        raise ValueError(
            f"{place}: the class {show(name)} has {format_count(count, 'image')}: add more, each class needs "
            f"at least {least}"
        )
    if len(train) < 2:
        raise ValueError(_explain_too_few_classes(root, least))
    cautions = [*found.cautions]
    for part in held_out:
        missing = sorted(set(train) - set(held_out[part]))
        if missing and part == TEST:
            raise ValueError(f"{found.places[TEST]}: the class {show(missing[0])} has no test images")
        if missing:
            classes = show_some([show(name) for name in missing])
            cautions.append(f"{found.places[VALIDATION]} has no images of these classes: {classes}.")
    cautions += [
        f"These classes have almost the same name: {', '.join(map(repr, group))}."
        for group in list_similar(names.values())
    ]
    numbers = {name: number for number, name in enumerate(train)}
    parts: dict[str, list[tuple[Path, int]]] = {TRAIN: [], VALIDATION: [], TEST: []}
    by_part: dict[str, Mapping[str, Sequence[Path]]] = {TRAIN: train, **held_out}
    for part, by_class in by_part.items():
        for name, number in numbers.items():
            for i, file in enumerate(by_class.get(name, ()), start=1):
                aside = part == TRAIN and not tested and i % TEST_EVERY == 0
                parts[TEST if aside else part].append((file, number))
    return ImageFolder(
        classes=tuple(names.values()),
        train=tuple(parts[TRAIN]),
        validation=tuple(parts[VALIDATION]),
        test=tuple(parts[TEST]),
        read_as=tuple(found.read_as),
        cautions=tuple(cautions),
        stored=stored,
    )


def _match_classes(
    train: Mapping[str, object], other: Mapping[str, Sequence[Path]], place: str, train_place: str
) -> dict[str, list[Path]]:
    """Map the names of the training classes to the images of a held-out part.

    A letter with an accent has two forms in Unicode, and macOS and Linux can store different forms. Names
    that differ only in these forms count as equal.
    """
    by_normal_form = {normalise(name): name for name in train}
    by_case = {normalise(name).casefold(): name for name in train}
    matched: dict[str, list[Path]] = defaultdict(list)
    for name, files in other.items():
        match = name if name in train else by_normal_form.get(normalise(name))
        if match is None:
            if near := by_case.get(normalise(name).casefold()):
                raise ValueError(
                    f"{place}: the class {show(name)} is called {show(near)} in {train_place}: use one name"
                )
            raise ValueError(f"{place}: the class {show(name)} has no training images")
        matched[match].extend(files)
    return matched


def _find_splits(path: Path, tree: Tree) -> dict[str, str]:
    """Find the folders for training, validation and testing. Return a dict from folder names to parts.

    The dict is empty if the folders below `path` are classes.
    """
    top = sorted({image.folders[0] for image in tree.images if image.folders})
    nested = {image.folders[0] for image in tree.images if len(image.folders) > 1}
    exact = {name: split for name in top if (split := read_split(name))}
    longer = {name: split for name in top if (split := read_long_split(name))}
    splits = longer if len(longer) == len(top) and set(longer) <= nested else exact
    with_classes = {name: split for name, split in splits.items() if name in nested}
    if TRAIN not in with_classes.values():
        if len(splits) == len(top) > 1:
            told = " and ".join(show(name) for name in top)
            raise ValueError(
                f"{path}: {told} contain no class folder with training images: put the images into "
                "train/CLASS/…, or list them in a table (path: labels.csv)"
            )
        return {}
    if len(splits) == 1 and len(top) > 1 and len(nested) == len(top):
        return {}  # all folders are classes, and one class is called train
    for split in {*splits.values()}:
        same = [show(name) for name, other in splits.items() if other == split]
        if len(same) > 1 and split == TEST and (evaluated := find_evaluation(splits)):
            return {**splits, evaluated: VALIDATION}
        if len(same) > 1:
            raise ValueError(f"{path}: {' and '.join(same)} are both for {split}: keep one of them")
    return splits


def find_evaluation(splits: Mapping[str, str]) -> str | None:
    """Return the folder called `eval` or `evaluation`, if there is exactly one.

    Return None if another folder is for validation. If there is also a folder `test`, the images of `eval`
    are for validation.
    """
    found = [name for name in splits if name.lower() in ("eval", "evaluation")]
    return found[0] if len(found) == 1 and VALIDATION not in splits.values() else None


def _sort_by_split(path: Path, tree: Tree, splits: Mapping[str, str]) -> Sorted:
    """Group the images of a layout that has folders for training, validation and testing."""
    parts: dict[str, dict[str, list[Path]]] = {}
    beside: dict[str, int] = defaultdict(int)
    for image in tree.images:
        split = splits.get(image.folders[0]) if image.folders else None
        if split and len(image.folders) > 1:
            parts.setdefault(split, {}).setdefault(image.folders[1], []).append(image.file)
        else:
            beside["/".join(map(show, image.folders[:1])) or "the folder itself"] += 1
    cautions = [
        f"Left out: {format_count(count, 'image')} in {place}, which are not in a class folder for "
        "training, validation or testing."
        for place, count in beside.items()
    ]
    places = {split: str(path / show(name)) for name, split in splits.items()}
    told = {split: show(name) for name, split in splits.items() if split in parts}
    filled = {image.folders[:2] for image in tree.images}
    empty = [
        show("/".join(folders))
        for folders in sorted(tree.folders)
        if len(folders) == 2 and folders[0] in splits and folders not in filled
    ]
    return Sorted(
        parts=parts,
        places=places,
        read_as=[tell_parts(told), *tree.left_out.describe()],
        cautions=[*warn_of_empty(empty), *tree.left_out.warn(), *cautions],
    )


def _sort_by_class(path: Path, tree: Tree) -> Sorted:
    """Group the images of a layout that has one folder per class."""
    by_class: dict[str, list[Path]] = {}
    for image in tree.images:
        if image.folders:
            by_class.setdefault(image.folders[0], []).append(image.file)
    _refuse_other_layouts(path, tree, by_class)
    loose = sum(not image.folders for image in tree.images)
    empty = [show(name) for (name, *below) in sorted(tree.folders) if not below and name not in by_class]
    cautions = [
        *warn_of_empty(empty),
        *tree.left_out.warn(),
        *([f"Left out: {format_count(loose, 'image')} beside the folders of the classes."] if loose else []),
    ]
    return Sorted(
        parts={TRAIN: by_class},
        places={TRAIN: str(path)},
        read_as=[
            f"Each folder is a class{_tell_every_fifth(', and of its images')}",
            *tree.left_out.describe(),
        ],
        cautions=cautions,
    )


def _refuse_other_layouts(path: Path, tree: Tree, by_class: Mapping[str, object]) -> None:
    """Refuse layouts in which one folder contains all classes, and layouts such as `CLASS/train`."""
    if len(by_class) == 1:
        (only,) = by_class
        below = {image.folders[1] for image in tree.images if len(image.folders) > 1}
        if len(below) > 1:
            raise ValueError(
                f"{path}: contains only the folder {show(only)}: did you mean path: {path / show(only)}?"
            )
    below = {image.folders[1] if len(image.folders) > 1 else "" for image in tree.images if image.folders}
    if len(by_class) > 1 and {TRAIN} < {read_split(name) for name in below} and "" not in below:
        raise ValueError(
            f"{path}: {' and '.join(sorted(map(show, below)))} are below each class: put them above the "
            "classes, train/CLASS/…"
        )


def tell_parts(told: Mapping[str, str], order: str = "names") -> str:
    """Write a sentence that says which folder is for which part.

    If no folder is for testing, the sentence also says that every fifth training image is for testing.
    `order` tells how the images are ordered: by `names` or by `rows`.
    """
    return (
        f"{told[TRAIN]} is for training"
        + (f", {told[VALIDATION]} for validation" if VALIDATION in told else "")
        + (
            f", {told[TEST]} for testing."
            if TEST in told
            else _tell_every_fifth(", and of the training images", order)
        )
    )


def warn_of_empty(empty: list[str], found: str = "folders hold no image that can be read") -> list[str]:
    """Warn of folders that look like classes but contain no image that can be read."""
    return [f"These {found}, and are left out: {show_some(empty)}."] if empty else []


def _tell_every_fifth(images: str, order: str = "names") -> str:
    return f"{images} every fifth in order of {order} is for testing."
