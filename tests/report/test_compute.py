"""The hours of a study count every training step once."""

from pathlib import Path

import pandas as pd

from ablate.records.tables import make_frame
from ablate.report.compute import describe_compute
from ablate.report.evidence import gather
from ablate.stats.compute import sum_compute_time
from tests.report.test_writer import write_small_folder

RUNS = make_frame("runs", [{"phase": "confirm", "arm": arm, "setting": "recipe", "seed": 0} for arm in "abc"])
TIMING = make_frame("timing", [{"arm": "a", "seconds": 0.5}, {"arm": "b", "seconds": 0.25}])


def make_epochs(*rows: tuple[str, float, float | None]) -> pd.DataFrame:
    common = {"phase": "confirm", "setting": "recipe", "seed": 0}
    return make_frame("epochs", [{**common, "arm": arm, "epoch": epoch, "train_seconds": seconds} for arm, epoch, seconds in rows])  # fmt: skip


def test_runs_that_trained_together_count_once() -> None:
    epochs = make_epochs(("a", 0.5, None), ("a", 1, 2.5), ("b", 1, 2.5), ("a", 2, 3.0), ("b", 2, 4.0))
    used = sum_compute_time(RUNS, epochs, TIMING)
    assert used is not None
    assert (used.training_seconds, used.timing_seconds) == (9.5, 0.75)
    assert (used.timed_runs, used.runs) == (2, 3)


def test_without_any_time_the_compute_is_unknown() -> None:
    assert sum_compute_time(RUNS, make_epochs(("a", 1, None)), TIMING) is None


def test_the_report_says_what_the_hours_include(tmp_path: Path, small) -> None:
    folder = write_small_folder(tmp_path / "small", small())
    assert (
        describe_compute(gather(folder))
        == "The time of training is unknown, and the energy was not measured."
    )
    epochs = pd.read_csv(folder / "tables" / "epochs.csv")
    epochs["train_seconds"] = [36.0 + row for row in range(len(epochs))]
    epochs.to_csv(folder / "tables" / "epochs.csv", index=False)
    hours = sum(epochs["train_seconds"]) / 3600
    told = describe_compute(gather(folder))
    assert told.startswith(
        f"Training took {hours:.2f} core hours. This time covers the training steps of 6 runs, including tuning."
    )
    assert "The time of 4 runs is unknown." in told
    assert told.endswith("The energy was not measured.")
