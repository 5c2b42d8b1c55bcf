"""Data augmentation: random changes of training images, drawn from the run's own random stream."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ablate.seeds import derive_seed

CROP_PADDING = 2
"""Before a crop, this many zeros are added on each side. So a crop shifts the image by up to two pixels."""
BRIGHTNESS = 0.5
"""Brightness factors lie between 1 - 0.5 and 1 + 0.5. Dive into Deep Learning (D2L) uses the same range."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Random numbers for the changes to a batch of `b` images.

    If the recipe does not ask for a change of the images, the field for this change is None.
    """

    flipped: Tensor | None
    """Whether each image is mirrored from left to right, booleans `(b,)`."""
    corners: Tensor | None
    """The top row and the left column of each image's crop in the padded image, `(2, b)`."""
    brightness: Tensor | None
    """The factor by which each image's pixels are multiplied, `(b,)`."""

    def to(self, device: torch.device) -> "Draws":
        """Return the same random numbers on `device`."""
        return Draws(
            flipped=None if self.flipped is None else self.flipped.to(device),
            corners=None if self.corners is None else self.corners.to(device),
            brightness=None if self.brightness is None else self.brightness.to(device),
        )


class Augmentation:
    """Flips, crops and brightens images `(b, channels, height, width)` at random.

    The random numbers are drawn on the CPU. So a run's images change in the same way on every device.
    torchvision's transforms are not used, because they draw one random number for a whole batch, and they
    draw it from torch's global random generator.
    """

    def __init__(self, kind: str, seed: int) -> None:
        """Read the changes from the recipe's `augmentation`, such as `flip_crop`. `none` has no changes."""
        changes = kind.split("_")
        self._flips, self._crops = "flip" in changes, "crop" in changes
        self._brightens = "brightness" in changes
        self._generator = torch.Generator().manual_seed(derive_seed(seed, "augmentation"))

    def draw(self, count: int) -> Draws:
        """Draw the random numbers for the next `count` images, on the CPU."""
        flipped = corners = brightness = None
        if self._flips:
            flipped = torch.rand(count, generator=self._generator) < 0.5
        if self._crops:
            corners = torch.randint(2 * CROP_PADDING + 1, (2, count), generator=self._generator)
        if self._brightens:
            brightness = 1 + BRIGHTNESS * (2 * torch.rand(count, generator=self._generator) - 1)
        return Draws(flipped=flipped, corners=corners, brightness=brightness)

    def __call__(self, images: Tensor) -> Tensor:
        """Return a copy of the batch in which each image is changed at random."""
        return apply_draws(images, self.draw(len(images)).to(images.device))


def apply_draws(images: Tensor, draws: Draws) -> Tensor:
    """Apply the changes in `draws` to images `(b, channels, height, width)` on the same device."""
    if draws.flipped is not None:
        images = torch.where(draws.flipped[:, None, None, None], images.flip(-1), images)
    if draws.corners is not None:
        padded = torch.nn.functional.pad(images, [CROP_PADDING] * 4)
        height, width = images.shape[-2:]
        down, right = draws.corners[..., None]
        rows = down + torch.arange(height, device=images.device)
        columns = right + torch.arange(width, device=images.device)
        example = torch.arange(len(images), device=images.device)[:, None, None]
        # Because of the slice between the index tensors, the result has the channels on its last axis.
        # `movedim` puts the channels back on axis 1.
        images = padded[example, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
    if draws.brightness is not None:
        images = (images * draws.brightness[:, None, None, None]).clamp(max=1)
    return images
