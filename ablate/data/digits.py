"""The handwritten digits that come with scikit-learn."""

import hashlib

import numpy as np
import torch

from ablate.data.datasets import find_dataset
from ablate.data.images import DIGIT_CLASSES, Images

DIGITS_TEST_IMAGES = find_dataset("digits").facts.test_images
DIGITS_SEED = 0


def read_digits() -> Images:
    """Read scikit-learn's 1,797 handwritten digits (8×8, 17 grey levels), enlarged to 28×28 pixels."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    images = torch.from_numpy(bunch.data.astype(np.float32) / 16).reshape(-1, 1, 8, 8)
    images = torch.nn.functional.interpolate(images, size=(28, 28), mode="bilinear", align_corners=False)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    rest, test = train_test_split(
        np.arange(len(labels)), test_size=DIGITS_TEST_IMAGES, stratify=bunch.target, random_state=DIGITS_SEED
    )
    rest, test = np.sort(rest), np.sort(test)
    return Images(
        images=images[rest].contiguous(),
        labels=labels[rest],
        test_images=images[test].contiguous(),
        test_labels=labels[test],
        classes=DIGIT_CLASSES,
        checksums={"pixels": hashlib.sha256(bunch.data.tobytes()).hexdigest()},
    )
