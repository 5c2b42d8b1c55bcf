"""Facts about one decoded image, such as its size and its range of pixel values."""

from typing import NamedTuple

DECODING = 2
"""The version of the decoder. Version 1 converted all images to 8 bits and ignored transparency."""


class PictureFacts(NamedTuple):
    """Facts about one decoded image. The image cache stores them.

    This class is a named tuple, because Python creates a named tuple faster than a frozen dataclass. A data
    set can have a million images.
    """

    width: int
    height: int
    mode: str
    """Pillow's name for the type of the pixels: L, RGB, I;16, …"""
    frames: int
    """The number of frames or pages in the file. Only the first frame or page is used."""
    alpha: bool
    """Whether some pixels are transparent."""
    kind: str
    """`1 bit`, `8 bit`, `integer` (deeper than 8 bits) or `float`."""
    low: float
    high: float
    """The lowest and the highest value of a pixel, in the image's own unit."""
    levels: int
    """The number of different pixel values: 1, 2, or 3 for three or more."""
    inverted: bool
    """Whether 0 is white in an image with more than 8 bits. Pillow itself inverts images with fewer bits."""
    sha256: str
    """The SHA-256 of the decoded pixels. Two files with equal pixels have the same checksum."""
