"""List images that a data set stores inside its tables, as Hugging Face's `datasets` library does."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ablate.data.class_names import show
from ablate.data.hugging_face import OpenSet, work_offline
from ablate.data.image_folders import ImageFolder, Sorted, arrange, find_evaluation, tell_parts, warn_of_empty
from ablate.data.place import Place
from ablate.data.reading_progress import tell_progress
from ablate.data.splits import TEST, TRAIN, VALIDATION, read_long_split, read_split
from ablate.data.stored_columns import choose_columns, read_label
from ablate.data.stored_rows import StoredImages
from ablate.formatting import format_count


@dataclass
class _Rows:
    """What was found in the rows that were read so far.

    `parts` groups the images by part and class. `hashes` has the checksum of each image. `unlabelled` maps
    each split to its number of rows without a label.
    """

    parts: dict[str, dict[str, list[Path]]] = field(default_factory=dict)
    hashes: dict[Path, str] = field(default_factory=dict)
    unlabelled: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def list_stored_images(place: Place, opened: OpenSet) -> tuple[ImageFolder, dict[Path, str]]:
    """List the images that a data set stores inside its tables, and compute the SHA-256 of each image file.

    Raises:
        ValueError: the columns or splits are not clear, a label is missing, or there are too few images.
    """
    root = show(place.path)
    parts, left_out = _find_parts(root, list(opened.splits))
    splits = {name: opened.splits[name] for name in parts}
    with work_offline(root):
        columns = choose_columns(root, next(iter(splits.values())).features, place.image, place.label)
    stored = StoredImages(place=root, splits=splits, columns=columns)
    rows = _read_rows(stored, parts, opened.counts)
    why = "because its name does not mean training, validation or testing"
    cautions = [f"Left out: the split {name}, {why}." for name in left_out]
    for name in [name for name, count in rows.unlabelled.items() if count]:
        caution = _leave_out_unlabelled(root, name, parts, rows)
        cautions.append(caution)
        del parts[name]
    train = rows.parts.get(TRAIN, {})
    if len(train) < 2:
        raise ValueError(
            f"{root}: all images for training have the same label: add images with another label"
            if train
            else f"{root}: has no images for training"
        )
    empty = [show(name) for name in columns.names if name not in train]
    told = {part: show(name) for name, part in parts.items()}
    listed = arrange(
        Path(place.path),
        Sorted(
            parts=rows.parts,
            places={part: f"{root}: {name}" for part, name in told.items()},
            read_as=[
                *opened.told,
                f"Column {columns.image} is the image, column {columns.label} the class.",
                tell_parts(told, "rows"),
            ],
            cautions=[*warn_of_empty(empty, "classes have no image for training"), *cautions],
        ),
        stored=stored,
    )
    return listed, rows.hashes


def _read_rows(stored: StoredImages, parts: Mapping[str, str], listed: Mapping[str, int]) -> _Rows:
    """Read all rows. `listed` maps a split to its number of rows according to the data set's README.

    Raises:
        ValueError: a split has fewer rows than listed, or a label is not the number of a class.
    """
    rows = _Rows()
    known = {name: getattr(split, "num_rows", listed.get(name, 0)) for name, split in stored.splits.items()}
    counts: Counter[str] = Counter()
    for done, (file, value, content) in enumerate(stored.read()):
        tell_progress("reading", done, max(sum(known.values()), done + 1))
        split = file.parts[0]
        counts[split] += 1
        rows.unlabelled.setdefault(split, 0)
        label = read_label(stored.columns, value, f"{stored.place}: {file}")
        if label is None:
            rows.unlabelled[split] += 1
            continue
        rows.hashes[file] = hashlib.sha256(content).hexdigest()
        rows.parts.setdefault(parts[split], {}).setdefault(label, []).append(file)
    for split, count in counts.items():
        if count != listed.get(split, count):
            raise ValueError(
                f"{stored.place}: {split}: has {format_count(count, 'row')}, but its README lists "
                f"{listed[split]:,}: download it again"
            )
    return rows


def _leave_out_unlabelled(root: str, split: str, parts: Mapping[str, str], rows: _Rows) -> str:
    """Write that a split is left out, because none of its images has a label.

    For example, the test images of a competition have no labels.

    Raises:
        ValueError: some images of the split have a label, or the split is for training.
    """
    count, part = rows.unlabelled[split], parts[split]
    if part == TRAIN or part in rows.parts:
        raise ValueError(f"{root}: {split}: {format_count(count, 'image')} without a label: remove them")
    return f"Left out: the split {split}, because its {format_count(count, 'image')} have no label."


def _find_parts(root: str, names: list[str]) -> tuple[dict[str, str], list[str]]:
    """Map each split to its part (train, validation, test). Also list the splits whose names mean no part.

    Raises:
        ValueError: no split is for training, or two splits are for the same part.
    """
    if len(names) == 1:
        return {names[0]: TRAIN}, []
    parts = {name: part for name in names if (part := read_split(name))}
    if TRAIN not in parts.values():
        parts = {name: part for name in names if (part := read_long_split(name))}
    if TRAIN not in parts.values():
        raise ValueError(f"{root}: no split is for training: its splits are {', '.join(map(show, names))}")
    if evaluated := find_evaluation(parts):
        parts[evaluated] = VALIDATION if TEST in (*parts.values(),) and len(parts) > 2 else parts[evaluated]
    for part in {*parts.values()}:
        same = [show(name) for name, other in parts.items() if other == part]
        if len(same) > 1:
            raise ValueError(f"{root}: {' and '.join(same)} are both for {part}: keep one of them")
    order = (TRAIN, VALIDATION, TEST)
    ordered = dict(sorted(parts.items(), key=lambda item: order.index(item[1])))
    return ordered, [show(name) for name in names if name not in parts]
