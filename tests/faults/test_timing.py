"""Other load during the timing. It is found and reported, and no verdict uses disturbed measurements."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ablate.report.answer import list_findings
from ablate.report.cautions import list_cautions
from ablate.report.comparison import compare_folders
from ablate.report.evidence import gather
from ablate.study import study_file
from tests.report.test_writer import write_folder

ACCURACIES: dict[str, list[float | str]] = {"baseline": [0.9, 0.91, 0.92], "a": [0.95, 0.97, 0.96]}


@pytest.fixture
def folder(tmp_path: Path, small: Callable) -> Path:
    return write_folder(tmp_path / "small", study_file.dump(small()), ACCURACIES)


def disturb(folder: Path, how: Callable[[pd.DataFrame], pd.DataFrame]) -> Path:
    path = folder / "tables" / "timing.csv"
    how(pd.read_csv(path)).to_csv(path, index=False)
    return folder


def slow_down(table: pd.DataFrame, rows: pd.Series, *, seen: bool) -> pd.DataFrame:
    """Make these blocks ten times as slow, and mark them as disturbed if the load was `seen`."""
    return table.assign(seconds=table["seconds"].where(~rows, table["seconds"] * 10), disturbed=rows & seen)


def test_a_timing_without_other_load_gives_no_warning(folder: Path) -> None:
    assert not [line for line in list_cautions(gather(folder)) if "timing block" in line]


def test_disturbed_timing_blocks_are_reported_and_left_out_of_the_ratio(folder: Path) -> None:
    quiet = gather(folder).tables["arms"].set_index("arm")["examples_per_second_ratio"]["a"]
    disturb(
        folder, lambda table: slow_down(table, (table["block"] == 0) | (table["position"] == 0), seen=True)
    )
    evidence = gather(folder)
    assert [
        line
        for line in list_cautions(evidence)
        if line.startswith("Other programs disturbed 50% of the timing")
    ]
    ratio = evidence.tables["arms"].set_index("arm")["examples_per_second_ratio"]["a"]
    assert ratio == pytest.approx(quiet, rel=0.15)  # the slow blocks would have changed it by far


def test_load_that_grows_within_blocks_is_found_by_the_baselines_drift(folder: Path) -> None:
    disturb(folder, lambda table: slow_down(table, table["position"] == 2, seen=False))
    assert [
        line
        for line in list_cautions(gather(folder))
        if "From the beginning to the end of a timing block, the baseline's throughput changed by −90%"
        in line
    ]


def test_load_that_changes_between_blocks_is_found_by_the_spread_of_the_blocks(folder: Path) -> None:
    disturb(folder, lambda table: slow_down(table, table["block"] >= 2, seen=False))
    told = list_cautions(gather(folder))
    assert not [
        line for line in told if "throughput changed by" in line
    ]  # the baseline is slow at both ends of a block, so there is no drift
    assert [
        line
        for line in told
        if "The baseline's throughput varied between timing blocks: its interquartile range is" in line
    ]


def test_the_timing_changes_no_verdict_on_accuracy(folder: Path) -> None:
    before = gather(folder)
    disturb(folder, lambda table: slow_down(table, table["arm"] == "a", seen=False))
    after = gather(folder)
    assert (
        before.tables["arms"]["examples_per_second"].tolist()
        != after.tables["arms"]["examples_per_second"].tolist()
    )
    pd.testing.assert_frame_equal(before.tables["comparisons"], after.tables["comparisons"])
    assert [(f.verdict, f.sentence) for f in list_findings(before)] == [
        (f.verdict, f.sentence) for f in list_findings(after)
    ]


@pytest.mark.parametrize("seen", [True, False])
def test_an_arm_is_called_slower_only_on_the_evidence_of_undisturbed_blocks(
    seen: bool, tmp_path: Path, small: Callable
) -> None:
    quiet, loud = (
        write_folder(tmp_path / n, study_file.dump(small()), ACCURACIES) for n in ("quiet", "loud")
    )
    disturb(loud, lambda table: slow_down(table, table["arm"] == "a", seen=seen))
    assert compare_folders(gather(quiet), gather(loud)).regression is not seen
