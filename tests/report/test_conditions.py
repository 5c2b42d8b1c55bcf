"""The conditions in a report: how every arm was trained."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ablate.report.conditions import describe_tuning, list_conditions
from ablate.report.evidence import gather
from ablate.study import study_file
from ablate.study.spec import StudySpec
from tests.report.test_writer import write_folder

STEPS = "schedule step, step epochs 1, step factor 0.1"
LOSSES = "Losses: all losses in this report are cross-entropies without label smoothing."


@pytest.mark.parametrize(
    ("override", "said", "not_said"),
    [
        ("recipe.schedule=step", [STEPS], [LOSSES]),
        ("factors={schedule: [cosine, step]}", ["step epochs 1, step factor 0.1"], [STEPS, LOSSES]),
        ("factors={label_smoothing: [0.0, 0.1]}", [LOSSES], ["step epochs"]),
        ("tuning={trials: 3, label_smoothing: {low: 0.0, high: 0.1}}", [LOSSES], ["step epochs"]),
        ("recipe.epochs=2", [], ["schedule", "smoothing", "clip", "nesterov"]),
    ],
)
def test_conditions_name_steps_and_smoothing_only_where_an_arm_has_them(
    override: str, said: list[str], not_said: list[str], tmp_path: Path, small: Callable[..., StudySpec]
) -> None:
    text = study_file.dump(small(override))
    folder = write_folder(tmp_path / "small", text, {"baseline": [0.8, 0.81], "other": [0.8, 0.82]})
    conditions = " ".join(list_conditions(gather(folder)))
    for words in said:
        assert words in conditions
    for words in not_said:
        assert words not in conditions


def test_arms_whose_ranges_were_widened_differently_are_not_said_to_have_the_same_range(
    tmp_path: Path, small: Callable[..., StudySpec]
) -> None:
    text = study_file.dump(small())
    folder = write_folder(tmp_path / "small", text, {"baseline": [0.8, 0.81], "other": [0.8, 0.82]})
    assert "tuned for every arm over the same range (" in describe_tuning(gather(folder))
    table = folder / "tables" / "tuning.csv"
    kept, _, last = table.read_text().rstrip().rpartition("\n")
    assert last.startswith("other,")
    table.write_text(f"{kept}\n{last.replace(',0.006,True,', ',0.012,True,')}\n")
    assert "tuned for every arm over a range (" in describe_tuning(gather(folder))
