"""The table of agreement comes from the predictions that the folder has, of the runs that trained."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ablate.design.runs import Run
from ablate.execution.executor import Outcome
from ablate.records.predictions import Predictions, encode_predictions, locate_predictions, read_labels
from ablate.records.tables import read_table
from tests.experiment.test_conduct import Stub, conduct

RIGHT = {"baseline": 300, "pooling=max": 320}
"""How many of the first of 360 test images the stubs' networks classify correctly."""


class Predicting(Stub):
    """Workers whose confirmed runs leave predictions. Seed 2 of the baseline stays at chance."""

    def __init__(self, labels: np.ndarray) -> None:
        super().__init__()
        self._labels = labels

    def outcomes(self, runs: Sequence[Run]) -> Iterator[Outcome]:
        for outcome in super().outcomes(runs):
            run, record = outcome.run, outcome.record
            if run.phase != "confirm":
                yield outcome
                continue
            right = 36 if (run.arm.name, run.seed) == ("baseline", 2) else RIGHT[run.arm.name] + run.seed
            guesses = self._labels.copy()
            guesses[right:] = (guesses[right:] + 1) % 10
            scores = np.zeros((len(guesses), 10), np.float16)
            yield replace(
                outcome,
                record=replace(record, test_accuracy=right / 360),
                predictions=encode_predictions(
                    Predictions(log_probabilities=scores, guesses=guesses), record.setting
                ),
            )


@pytest.fixture
def kept(small, digits, tmp_path: Path):
    """Conduct the small study with four seeds, and return what to do again and its folder."""
    spec = small("seeds=4", "timing.blocks=0", "tuning.trials=0")
    workers = Predicting(digits.test_labels.numpy())
    folder = conduct(spec, tmp_path / "small", workers)[1]

    def read_again():
        conduct(spec, folder.path, workers)
        return read_table("agreement", folder.path / "tables/agreement.csv")

    return read_again, folder.path


def test_runs_that_did_not_train_do_not_count(kept) -> None:
    read_again, folder = kept
    (row,) = read_again().to_dict("records")
    assert (row["arm"], row["baseline"], row["agreement_seeds"], row["agreement_images"]) == (
        "pooling=max", "baseline", 3, 360,
    )  # fmt: skip
    assert row["difference"] == row["only_arm_right"] == pytest.approx(20 / 360)
    assert row["only_baseline_right"] == 0
    assert len(read_labels(folder)) == 360


def test_missing_and_damaged_predictions_are_left_out(kept) -> None:
    read_again, folder = kept
    locate_predictions(folder, "baseline", 0).unlink()
    assert read_again()["agreement_seeds"].tolist() == [2]
    locate_predictions(folder, "pooling-max", 1).write_bytes(b"damaged")
    assert read_again()["agreement_seeds"].tolist() == [1]


def test_the_table_outlives_the_predictions(kept) -> None:
    read_again, folder = kept
    for path in (folder / "predictions").iterdir():
        path.unlink()
    assert read_again()["agreement_seeds"].tolist() == [3]
