"""A report says after how many seeds a comparison stopped, and when that makes its difference uncertain."""

from pathlib import Path

import pytest

from ablate.report import writer
from ablate.report.stopping import explain_stop
from ablate.study import study_file
from tests.report.test_writer import write_folder

pytestmark = pytest.mark.usefixtures("undrawn")

STEP = 1 / 1024
"""A difference that floating-point numbers represent exactly."""


def explain(path: Path, small, differences: list[float]) -> str:
    spec = small("seeds={looks: [4, 8]}")
    accuracies: dict[str, list[float | str]] = {"baseline": [0.75] * 4, "a": [0.75 + d for d in differences]}
    evidence = writer.write(write_folder(path, study_file.dump(spec), accuracies))
    (row,) = evidence.tables["comparisons"].to_dict("records")
    return explain_stop(row, evidence)


def test_a_mean_difference_of_zero_has_no_bias(tmp_path: Path, small) -> None:
    told = explain(tmp_path / "small", small, [STEP, -STEP, STEP, -STEP])
    assert "stopped after 4 seeds of at most 8 (look 1 of 2 at the results)" in told
    assert told.endswith("Its interval and p-value allow for the repeated looks.")


def test_a_large_difference_that_stopped_early_is_called_overstated(tmp_path: Path, small) -> None:
    told = explain(tmp_path / "small", small, [34 * STEP, 60 * STEP, 26 * STEP, 50 * STEP])
    assert "this difference is probably overstated: in simulated studies like this one, by 0." in told
