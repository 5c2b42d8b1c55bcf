"""Predictions are small, are read back as they were written, and their absence is said."""

import re
from pathlib import Path

import numpy as np
import pytest

from ablate.errors import FolderError
from ablate.records.folder import ReportFolder
from ablate.records.predictions import (
    Predictions,
    encode_predictions,
    locate_predictions,
    read_labels,
    read_predictions,
)


def some_predictions(images: int = 20, classes: int = 10) -> Predictions:
    scores = np.random.default_rng(0).normal(-4, 3, (images, classes)).clip(max=0).astype(np.float16)
    return Predictions(
        log_probabilities=scores, guesses=scores.argmax(1).astype(np.min_scalar_type(classes - 1))
    )


@pytest.fixture
def folder(tmp_path: Path) -> ReportFolder:
    made = ReportFolder(tmp_path)
    content = encode_predictions(some_predictions(), "learning_rate=0.9")
    made.write_predictions("pooling-max", 3, content, lambda: np.arange(20) % 10)
    return made


def test_they_are_read_back_as_they_were_written(folder: ReportFolder) -> None:
    read, written = read_predictions(folder.path, "pooling-max", "learning_rate=0.9", 3), some_predictions()
    for name in ("log_probabilities", "guesses"):
        assert np.array_equal(getattr(read, name), getattr(written, name))
        assert getattr(read, name).dtype == getattr(written, name).dtype
    assert read_labels(folder.path).tolist() == (np.arange(20) % 10).tolist()
    assert sorted(path.name for path in (folder.path / "predictions").iterdir()) == [
        "labels.npz", "pooling-max-3.npz"
    ]  # fmt: skip


def test_labels_are_asked_for_once(folder: ReportFolder) -> None:
    folder.write_predictions("pooling-max", 4, b"", lambda: pytest.fail("the labels are there already"))


def test_equal_predictions_give_equal_bytes_of_at_most_250_kilobytes_a_run() -> None:
    made = [encode_predictions(some_predictions(10_000), "recipe") for _ in range(2)]
    assert made[0] == made[1]
    assert len(made[0]) <= 250_000


def test_more_than_256_classes_have_room(folder: ReportFolder) -> None:
    made = some_predictions(2, 300)
    made.guesses[:] = 299
    folder.write_predictions("many", 0, encode_predictions(made, "recipe"), lambda: np.arange(0))
    assert read_predictions(folder.path, "many", "recipe", 0).guesses.tolist() == [299, 299]


def test_absence_is_said(folder: ReportFolder) -> None:
    with pytest.raises(FolderError, match=r"pooling-max-4\.npz: is missing: .* trained on another host"):
        read_predictions(folder.path, "pooling-max", "learning_rate=0.9", 4)


def test_another_settings_predictions_are_refused(folder: ReportFolder) -> None:
    said = "comes from a run with learning_rate=0.9, but the run on record has learning_rate=0.1"
    with pytest.raises(FolderError, match=re.escape(said)):
        read_predictions(folder.path, "pooling-max", "learning_rate=0.1", 3)


@pytest.mark.parametrize(
    "damage",
    {
        "empty": lambda whole: b"",
        "torn": lambda whole: whole[:-30],
        "another archive": lambda whole: encode_predictions(
            Predictions(log_probabilities=np.zeros((3, 2), np.float16), guesses=np.zeros(4)), "recipe"
        ),
    }.items(),
    ids=lambda pair: pair[0],
)
def test_a_damaged_file_is_said_in_one_line(damage, folder: ReportFolder) -> None:
    path = locate_predictions(folder.path, "pooling-max", 3)
    path.write_bytes(damage[1](path.read_bytes()))
    with pytest.raises(FolderError, match=r"pooling-max-3\.npz: is damaged \(.*\): delete it"):
        read_predictions(folder.path, "pooling-max", "recipe", 3)
