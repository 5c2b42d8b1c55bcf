"""Decode one image as an image viewer would show it, and describe it."""

import contextlib
import hashlib
import io
import struct
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ablate.data.class_names import show
from ablate.data.picture_facts import PictureFacts
from ablate.data.torn import TORN
from ablate.errors import DataError

if TYPE_CHECKING:
    from PIL import Image, ImageCms

SAFEST_PIXELS = 100_000_000
"""The maximum number of pixels. A larger image is refused, because its pixels might not fit into memory."""
ANIMATED = frozenset({"GIF", "WEBP", "PNG", "TIFF", "AVIF"})
"""The file formats for which ablate counts the frames.

MPO, a format of phones, is not listed, because image viewers show only its first frame.
"""
BACKGROUNDS = {"white": (255, 255, 255, 255), "black": (0, 0, 0, 255)}
PHOTOMETRIC, BITS, SAMPLE_FORMAT = 262, 258, 339
"""The numbers of three tags in a TIFF file: the meaning of 0, the bits per pixel, and the number format."""
WHITE_IS_ZERO, UNSIGNED, SIGNED = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A decoded image in Pillow's mode L or RGB (8 bits), or in mode F (values in the image's own unit)."""

    image: "Image.Image"
    facts: PictureFacts


def decode(file: Path, background: str, content: bytes | None = None) -> Picture:
    """Decode an image's first frame, turn the image upright, and put transparent pixels on the background.

    If `content` is given, these bytes are decoded. Then `file` is only used as the name in error messages.

    Raises:
        DataError: the file is not an image, is damaged, or has too many pixels.
    """
    from PIL import Image, ImageCms, ImageOps

    try:
        # Warnings about damaged metadata are ignored, because the pixels are intact.
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(file if content is None else io.BytesIO(content)) as opened,
        ):
            if opened.width * opened.height > SAFEST_PIXELS:
                raise DataError(
                    f"{show(file)}: {opened.width}×{opened.height} pixels are too many: shrink the image"
                )
            opened.load()
            frames = _count_frames(opened)
            return _describe(ImageOps.exif_transpose(opened), opened, frames, background)
    except (
        OSError,
        SyntaxError,
        struct.error,
        IndexError,
        OverflowError,
        MemoryError,
        ImageCms.PyCMSError,
        Image.DecompressionBombError,
        *TORN,
    ) as error:
        if isinstance(error, MemoryError):
            raise DataError(f"{show(file)}: is too large for this machine's memory: remove it") from None
        told = " ".join(str(error).replace(str(file), show(file)).split())
        raise DataError(f"{show(file)}: cannot be read as an image ({told}): remove it") from None


def fit(picture: Picture, size: int, *, grey: bool) -> np.ndarray[Any, Any]:
    """Scale the shorter side of a picture to `size` pixels, and crop the longer side to the same length.

    The result is uint8 `(channels, size, size)`. For a deep image (more than 8 bits), it is float32
    `(1, size, size)` in the image's own unit.
    """
    from PIL import Image, ImageOps

    image = picture.image
    if image.mode != "F":
        image = image.convert("L" if grey else "RGB")
    pixels = np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR))
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _count_frames(opened: "Image.Image") -> int:
    """Count an image's frames. Errors in later frames are ignored, because only the first frame is used."""
    frames = 1
    if opened.format in ANIMATED:
        with contextlib.suppress(OSError, SyntaxError, struct.error, IndexError, *TORN):
            frames = int(getattr(opened, "n_frames", 1))
    return frames


def _describe(upright: "Image.Image", opened: "Image.Image", frames: int, background: str) -> Picture:
    """Collect facts about an upright image, and convert its pixels.

    The result has 8 bits, or floats if the image has more than 8 bits.
    """
    tags = getattr(opened, "tag_v2", {})
    shared: dict[str, Any] = {
        "width": upright.width,
        "height": upright.height,
        "mode": opened.mode,
        "frames": frames,
    }
    if opened.mode == "F" or opened.mode.startswith("I"):
        values = _read_deep_values(upright, tags)
        return _describe_deep(values, opened.mode, tags, shared)
    visible, alpha = _compose(upright, background)
    if tags.get(SAMPLE_FORMAT, (0,))[0] == SIGNED and visible.mode == "L":
        visible = visible.point([(value + 128) % 256 for value in range(256)])
    rgb = visible.convert("RGB")
    bands = np.asarray(rgb.histogram()).reshape(3, 256)
    used = np.flatnonzero(bands.sum(axis=0))
    return Picture(
        image=visible,
        facts=PictureFacts(
            **shared,
            alpha=alpha,
            kind="1 bit" if opened.mode == "1" else "8 bit",
            low=int(used[0]),
            high=int(used[-1]),
            levels=min(3, int((bands > 0).sum(axis=1).max())),
            inverted=False,
            sha256=_hash_pixels(np.asarray(rgb)),
        ),
    )


def _read_deep_values(upright: "Image.Image", tags: Any) -> np.ndarray[Any, Any]:
    """Read the pixels `(height, width)` of an image with more than 8 bits, in the image's own unit."""
    values = np.asarray(upright)
    if values.dtype == np.int32 and tags.get(SAMPLE_FORMAT, (0,))[0] == UNSIGNED:
        values = values.view(np.uint32)  # Pillow reads unsigned integers of 32 bits as signed
    if not np.isfinite(values).all():
        raise ValueError("some pixels are not numbers")
    return values


def _describe_deep(values: np.ndarray[Any, Any], mode: str, tags: Any, shared: dict[str, Any]) -> Picture:
    from PIL import Image

    low, high = float(values.min()), float(values.max())
    between = (values != values.min()) & (values != values.max())
    return Picture(
        image=Image.fromarray(values.astype(np.float32)),
        facts=PictureFacts(
            **shared,
            alpha=False,
            kind="float" if mode == "F" else "integer",
            low=low,
            high=high,
            levels=1 if low == high else 3 if between.any() else 2,
            inverted=tags.get(PHOTOMETRIC) == WHITE_IS_ZERO,
            sha256=_hash_pixels(values.astype(np.float64)),
        ),
    )


def _compose(image: "Image.Image", background: str) -> tuple["Image.Image", bool]:
    """Convert an image to mode L or RGB, with transparent pixels on the background.

    Also return whether the image had transparent pixels.
    """
    from PIL import Image, ImageCms

    if image.mode == "LAB":
        return ImageCms.applyTransform(image, _make_lab_transform()) or image, False
    if image.mode == "La":
        image = image.convert("LA")
    if not image.has_transparency_data:
        return image.convert("L" if image.mode in ("1", "L") else "RGB"), False
    rgba = image.convert("RGBA")
    if rgba.getchannel("A").getextrema() == (255, 255):  # every pixel is opaque
        return rgba.convert("RGB"), False
    return Image.alpha_composite(Image.new("RGBA", rgba.size, BACKGROUNDS[background]), rgba).convert(
        "RGB"
    ), True


@cache
def _make_lab_transform() -> "ImageCms.ImageCmsTransform":
    """Make the conversion from CIE L*a*b* to sRGB."""
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")


def _hash_pixels(pixels: np.ndarray[Any, Any]) -> str:
    shape = repr(pixels.shape).encode()
    return hashlib.sha256(shape + np.ascontiguousarray(pixels).tobytes()).hexdigest()
