"""Read a user's own images, and scale them to one size."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablate.data import image_cache
from ablate.data.class_names import show
from ablate.data.contents import Contents, read_contents, recall_contents
from ablate.data.datasets import DatasetSpec
from ablate.data.decoding import decode, fit
from ablate.data.images import Images
from ablate.data.picture_facts import DECODING, PictureFacts
from ablate.data.pixel_scale import PixelScale, choose_scale
from ablate.data.reading_progress import tell_progress
from ablate.data.survey import survey_images
from ablate.errors import DataError

MOST_NAMED = 10
"""An error message names at most this many files that cannot be read."""
FULL = 65_535


@dataclass(frozen=True, kw_only=True)
class _Decoded:
    """Facts about all images, and the pixels of all images. Both are in the same order."""

    facts: list[PictureFacts]
    pixels: list[np.ndarray[Any, Any]] | np.ndarray[Any, Any]
    """Either a list with one unscaled array per image, or one scaled array of all images from the cache."""


def read_own_images(dataset: DatasetSpec) -> Images:
    """Read the images of a folder or table.

    Raises:
        DataError: the folder is missing or has changed, an image cannot be read, or all images are equal.
    """
    assert dataset.found is not None
    contents, decoded = _recall(dataset) or _read(dataset)
    listed = contents.listed
    scale = choose_scale(decoded.facts)
    survey = survey_images(dataset, listed, decoded.facts, scale)
    pixels = decoded.pixels
    if isinstance(pixels, list):
        pixels = _scale(pixels, decoded.facts, scale)
        image_cache.store_pixels(_make_key(dataset), pixels)
    white = 255 if pixels.dtype == np.uint8 else FULL
    images = torch.from_numpy(pixels).float().div_(white)  # four times as fast as NumPy on 50,000 images
    labels = torch.tensor([label for _, label in (*listed.train, *listed.validation, *listed.test)])
    train, held_out = len(listed.train), len(listed.validation)
    used = train + held_out if dataset.uses_validation_folder else train
    return Images(
        images=images[:used],
        labels=labels[:used],
        test_images=images[train + held_out :],
        test_labels=labels[train + held_out :],
        classes=listed.classes,
        checksums={"files": dataset.found.sha256},
        fixed_validation=used - train,
        read_as=survey.read_as,
        cautions=survey.cautions,
    )


def _recall(dataset: DatasetSpec) -> tuple[Contents, _Decoded] | None:
    """Take the list of images from this process's memory, and their facts and pixels from the cache.

    Return None if the memory or the cache does not have all of this. No image file is read.
    """
    assert dataset.path is not None
    assert dataset.found is not None
    contents = recall_contents(dataset.place, dataset.found.sha256)
    if contents is None:
        return None
    facts = image_cache.read_facts(contents.checksums, dataset.background)
    pixels = _read_pixels(dataset, len(contents.checksums))
    if pixels is None or any(checksum not in facts for checksum in contents.checksums):
        return None
    return contents, _Decoded(facts=[facts[checksum] for checksum in contents.checksums], pixels=pixels)


def _read(dataset: DatasetSpec) -> tuple[Contents, _Decoded]:
    """List the images again, and decode those that no earlier command decoded."""
    contents = _list_unchanged(dataset)
    pixels = _read_pixels(dataset, len(contents.checksums))
    decoded = _decode_all(dataset, contents, with_pixels=pixels is None)
    return contents, decoded if pixels is None else replace(decoded, pixels=pixels)


def _read_pixels(dataset: DatasetSpec, count: int) -> np.ndarray[Any, Any] | None:
    channels = 1 if dataset.grey else 3
    return image_cache.read_pixels(_make_key(dataset), (count, channels, dataset.size, dataset.size))


def _list_unchanged(dataset: DatasetSpec) -> Contents:
    """List the images, and require that they have not changed since the study was read."""
    assert dataset.path is not None
    assert dataset.found is not None
    root = Path(dataset.path)
    if dataset.found.decoding != DECODING:
        raise DataError(
            f"{root}: the study was read by another version of ablate, which decodes images differently: "
            "start again with --fresh"
        )
    try:
        contents = read_contents(dataset.place)
    except ValueError as error:
        raise DataError(str(error)) from None
    except OSError as error:
        raise DataError(f"{show(error.filename or root)}: cannot be read ({error.strerror})") from None
    if contents.sha256 != dataset.found.sha256:
        raise DataError(f"{root}: has changed since the study was read: start again with --fresh")
    return contents


def _decode_all(dataset: DatasetSpec, contents: Contents, *, with_pixels: bool) -> _Decoded:
    """Decode the images without facts in the cache. With `with_pixels`, decode all images.

    Raises:
        DataError: some images cannot be read. The error names up to ten of them.
    """
    checksums = contents.checksums
    known = image_cache.read_facts(checksums, dataset.background)
    todo = len(checksums) if with_pixels else sum(checksum not in known for checksum in checksums)
    fresh: dict[str, PictureFacts] = {}
    pixels: dict[int, np.ndarray[Any, Any]] = {}
    broken = []
    done = 0
    for number, file, content in _read_in_order(contents) if todo else ():
        checksum = checksums[number]
        if not with_pixels and (checksum in known or checksum in fresh):
            continue
        tell_progress("decoding", done, todo)
        done += 1
        try:
            picture = decode(file, dataset.background, content)
        except DataError as error:
            broken.append(str(error))
            continue
        if checksum not in known:
            fresh[checksum] = picture.facts
        if with_pixels and not broken:
            pixels[number] = fit(picture, dataset.size, grey=dataset.grey)
    image_cache.store_facts(fresh, dataset.background)
    if broken:
        raise DataError(_name_broken(broken))
    facts = {**known, **fresh}
    return _Decoded(
        facts=[facts[checksum] for checksum in checksums],
        pixels=[pixels[number] for number in sorted(pixels)],
    )


def _read_in_order(contents: Contents) -> Iterator[tuple[int, Path, bytes | None]]:
    try:
        yield from contents.read_in_order()
    except ValueError as error:
        raise DataError(str(error)) from None


def _name_broken(broken: Sequence[str]) -> str:
    """Write one line that names the images that cannot be read."""
    if len(broken) == 1:
        return broken[0]
    more = f" (and {len(broken) - MOST_NAMED:,} more)" if len(broken) > MOST_NAMED else ""
    return f"{len(broken):,} images cannot be used: {'; '.join(broken[:MOST_NAMED])}{more}"


def _scale(
    pixels: Sequence[np.ndarray[Any, Any]], facts: Sequence[PictureFacts], scale: PixelScale
) -> np.ndarray[Any, Any]:
    """Scale all pixels to the range 0 to 255, or to 0 to 65,535 if some images have more than 8 bits."""
    if not scale.deep:
        return np.stack(pixels)
    scaled = np.empty((len(pixels), *pixels[0].shape), np.uint16)
    for into, one, about in zip(scaled, pixels, facts, strict=True):
        into[:] = np.rint(scale.apply(one, about) * FULL).astype(np.uint16)
    return scaled


def _make_key(dataset: DatasetSpec) -> str:
    """Make the key of the data set's pixels in the cache."""
    assert dataset.found is not None
    identity = (DECODING, dataset.found.sha256, dataset.size, dataset.grey, dataset.background)
    return hashlib.sha256(repr(identity).encode()).hexdigest()
