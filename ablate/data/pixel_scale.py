"""Scale the brightness of all images of a data set in the same way, so that dark images stay dark."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ablate.data.picture_facts import PictureFacts

USUAL_BITS = (8, 10, 12, 14, 16)
"""Numbers of bits per pixel that cameras, microscopes and scanners use."""


@dataclass(frozen=True, kw_only=True)
class PixelScale:
    """The pixel values that are shown as black and as white, for images with more than 8 bits.

    `integer` is for images with pixels that are whole numbers. `floating` is for images with pixels that are
    fractions. None means that the data set has no such images.
    """

    integer: tuple[float, float] | None
    floating: tuple[float, float] | None

    @property
    def deep(self) -> bool:
        """Whether some images have more than 8 bits."""
        return self.integer is not None or self.floating is not None

    def get_range(self, facts: PictureFacts) -> tuple[float, float]:
        """Return the pixel values of black and white in one image."""
        own = {"integer": self.integer, "float": self.floating}.get(facts.kind)
        return own or (0.0, 255.0)

    def apply(self, pixels: np.ndarray[Any, Any], facts: PictureFacts) -> np.ndarray[Any, Any]:
        """Scale the pixels of one image to values from 0 to 1."""
        black, white = self.get_range(facts)
        scaled = np.clip((pixels.astype(np.float64) - black) / (white - black or 1), 0, 1)
        return 1 - scaled if facts.inverted else scaled


def choose_scale(facts: Sequence[PictureFacts]) -> PixelScale:
    """Choose the scale from the lowest and highest values of all images.

    If the pixels are whole numbers and none is negative, the scale starts at 0. The scale ends at the largest
    number of 8, 10, 12, 14 or 16 bits. Of these, ablate chooses the smallest number of bits that can hold all
    values. For example, the scale goes from 0 to 4,095 for 12 bits. If 16 bits are too few, the scale ends at
    the highest value. Fractions from 0 to 1 are not scaled. For all other values, the scale goes from the
    lowest to the highest value. Fractions from 0 to 1 are not scaled. For all other values, the scale goes
    from the lowest to the highest value.
    """
    ends: dict[str, tuple[float, float] | None] = {"integer": None, "float": None}
    for kind in ends:
        of_kind = [one for one in facts if one.kind == kind]
        if of_kind:
            ends[kind] = (min(one.low for one in of_kind), max(one.high for one in of_kind))
    integer, floating = ends["integer"], ends["float"]
    if integer and integer[0] >= 0:
        bits = next((bits for bits in USUAL_BITS if integer[1] < 2**bits), None)
        integer = (0.0, float(2**bits - 1)) if bits else (0.0, integer[1])
    if floating and floating[0] >= 0 and floating[1] <= 1:
        floating = (0.0, 1.0)
    return PixelScale(integer=integer, floating=floating)
