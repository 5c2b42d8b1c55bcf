"""Store the predictions of confirmed runs for the test images, as files in the report folder."""

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ablate.errors import FolderError

Array = np.ndarray[Any, np.dtype[Any]]
FOLDER = "predictions"
DAMAGED = (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error)
"""The errors that NumPy raises for a file that is damaged or has another format."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """A network's class scores and predicted classes for a set of images.

    The scores are rounded to half precision (float16), with a relative error of up to 0.05 %. All metrics are
    computed from these rounded scores. So the same metrics can be computed again from the file.
    """

    log_probabilities: Array
    """Natural logarithms of the class probabilities, float16 `(n, classes)`."""
    guesses: Array
    """The predicted classes from which the run's accuracy was computed, unsigned integers `(n,)`."""


def locate_predictions(folder: Path, slug: str, seed: int) -> Path:
    """Return the path of the file with the predictions of an arm's confirmed run."""
    return folder / FOLDER / f"{slug}-{seed}.npz"


def locate_labels(folder: Path) -> Path:
    """Return the path of the file with the true classes of the test images."""
    return folder / FOLDER / "labels.npz"


def encode_predictions(predictions: Predictions, setting: str) -> bytes:
    """Encode a run's predictions as the bytes of a compressed NumPy file.

    Equal predictions give equal bytes. `setting` is the text of the run's tuned values.
    """
    return _encode(
        log_probabilities=predictions.log_probabilities,
        guesses=predictions.guesses,
        setting=np.frombuffer(setting.encode(), np.uint8),
    )


def encode_labels(labels: Array) -> bytes:
    """Encode the true classes of the test images, `(n,)`, as the bytes of a compressed NumPy file."""
    return _encode(labels=labels.astype(np.min_scalar_type(int(labels.max()))))


def read_predictions(folder: Path, slug: str, setting: str, seed: int) -> Predictions:
    """Read what an arm's confirmed run predicted.

    Args:
        folder: the report folder.
        slug: the arm's name in the form that file names use.
        setting: the run's tuned values, written as in the table `runs`.
        seed: the run's seed.

    Raises:
        FolderError: the file is missing or damaged, or comes from a run with another setting.
    """
    path = locate_predictions(folder, slug, seed)
    stored = _read(path, "log_probabilities", "guesses", "setting")
    scores, guesses = stored["log_probabilities"], stored["guesses"]
    if scores.ndim != 2 or scores.dtype != np.float16 or guesses.shape != scores.shape[:1]:
        raise FolderError(f"{path}: is damaged (its arrays do not fit together): delete it")
    _check_setting(path, stored["setting"], setting)
    return Predictions(log_probabilities=scores, guesses=guesses)


def read_guesses(folder: Path, slug: str, setting: str, seed: int) -> Array:
    """Read only the predicted classes, `(n,)`, of an arm's confirmed run. See `read_predictions`.

    Raises:
        FolderError: the file is missing or damaged, or comes from a run with another setting.
    """
    path = locate_predictions(folder, slug, seed)
    stored = _read(path, "guesses", "setting")
    _check_setting(path, stored["setting"], setting)
    return stored["guesses"]


def read_labels(folder: Path) -> Array:
    """Read the true classes of the test images, `(n,)`.

    Raises:
        FolderError: the file is missing or damaged.
    """
    return _read(locate_labels(folder), "labels")["labels"]


def _check_setting(path: Path, stored: Array, setting: str) -> None:
    trained = stored.tobytes().decode(errors="replace")
    if trained != setting:
        raise FolderError(
            f"{path}: comes from a run with {trained}, but the run on record has {setting}: copy "
            "this file from the host that trained the run on record"
        )


def _encode(**arrays: Array) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def _read(path: Path, *names: str) -> dict[str, Array]:
    if not path.exists():
        raise FolderError(
            f"{path}: is missing: the run has no predictions (it diverged or failed), or it was trained on "
            "another host or before ablate kept predictions, or the folder is a published one"
        )
    try:
        # The file is opened here, because NumPy itself would leave a damaged file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in names}
    except DAMAGED as error:
        raise FolderError(f"{path}: is damaged ({error}): delete it") from None
