"""Images changed at random as they are trained on, each by itself and from the run's own stream."""

import torch
from torch import Tensor

from ablate.seeds import derived_seed

CROP_PADDING = 2
"""Zeros around an image before a window of its own size is cut out: it moves by up to two pixels."""


class Augmentation:
    """Flips and crops batches of images `(b, channels, height, width)`; `none` gives them back as they are.

    Draws on the CPU, so that a run's changes are the same on every device. torchvision's own transforms
    draw once for a whole batch, and from the global generator.
    """

    def __init__(self, kind: str, seed: int) -> None:
        self._flips = kind in ("flip", "flip_crop")
        self._crops = kind in ("crop", "flip_crop")
        self._generator = torch.Generator().manual_seed(derived_seed(seed, "augmentation"))

    def __call__(self, images: Tensor) -> Tensor:
        """The batch with each image flipped with probability one half and moved, as far as asked for."""
        if self._flips:
            flipped = torch.rand(len(images), generator=self._generator) < 0.5
            images = torch.where(flipped.to(images.device)[:, None, None, None], images.flip(-1), images)
        if self._crops:
            padded = torch.nn.functional.pad(images, [CROP_PADDING] * 4)
            height, width = images.shape[-2:]
            corners = torch.randint(2 * CROP_PADDING + 1, (2, len(images), 1), generator=self._generator)
            down, right = corners.to(images.device)
            rows = down + torch.arange(height, device=images.device)
            columns = right + torch.arange(width, device=images.device)
            example = torch.arange(len(images), device=images.device)[:, None, None]
            # Advanced indexing around a slice puts the channels last; they belong second.
            images = padded[example, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
        return images
