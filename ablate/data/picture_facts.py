"""What is known about one decoded image."""

from typing import NamedTuple

DECODING = 2
"""The version of the decoder. Version 1 converted deeper images to 8 bits and ignored transparency."""


class PictureFacts(NamedTuple):
    """What is known about one image. The image cache stores it.

    This is a named tuple, because Python creates it faster than a frozen dataclass. A data set can have a
    million images.
    """

    width: int
    height: int
    mode: str
    """Pillow's name for the kind of pixels: L, RGB, I;16, …"""
    frames: int
    """How many frames or pages the file has. Only the first is used."""
    alpha: bool
    """Whether some pixels are transparent."""
    kind: str
    """`1 bit`, `8 bit`, `integer` (deeper than 8 bits) or `float`."""
    low: float
    high: float
    """The lowest and the highest value of a pixel, in the image's own unit."""
    levels: int
    """How many different values the pixels have: 1, 2, or 3 for three or more."""
    inverted: bool
    """Whether 0 is white, in an image with more than 8 bits. Pillow itself inverts the other images."""
    sha256: str
    """The checksum of the decoded pixels. Two files with equal pixels have equal checksums."""
