"""The report folder: its lock, and the study changes that it accepts."""

import subprocess
import sys
from pathlib import Path

import pytest

from ablate.errors import FolderError
from ablate.records.folder import ReportFolder, read_inputs
from ablate.records.tables import make_frame
from ablate.study import study_file
from ablate.study.spec import StudySpec
from tests.records.test_provenance import PROVENANCE

HOLD = "import sys; from pathlib import Path; from ablate.records.folder import ReportFolder; f = ReportFolder(Path(sys.argv[1])); f.lock(fresh=False); print('held', flush=True); sys.stdin.read()"  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> ReportFolder:
    return ReportFolder(tmp_path / "reports" / "small")


def test_a_second_process_is_refused_until_the_process_with_the_lock_is_killed(folder: ReportFolder) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, folder.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FolderError, match=f"in use by process {holder.pid} on .*: wait, or choose"):
            folder.lock(fresh=False)
        holder.kill()
        holder.wait()
        folder.lock(fresh=False)
        folder.release()


@pytest.mark.parametrize(
    "override",
    ["seeds=5", "factors.pooling=[avg, max, none]", "factors.activation=[sigmoid, relu]", "decision.margin=0.02", "question=Really?", "tuning.trials=3", "timing.blocks=5"],
)  # fmt: skip
def test_a_change_that_leaves_all_runs_valid_is_accepted(folder: ReportFolder, small, override: str) -> None:
    folder.lock(fresh=False)
    folder.adopt(small())
    folder.adopt(small(override))
    assert not list(study_file.list_changes(read_study(folder), small(override)))
    folder.release()


def test_a_folder_whose_older_study_file_names_the_metric_continues(folder: ReportFolder, small) -> None:
    folder.lock(fresh=False)
    folder.adopt(small())
    kept = folder.path / "study.yaml"
    text = kept.read_text()
    assert "decision: {margin" in text
    kept.write_text(text.replace("decision: {margin", "decision: {metric: accuracy, margin"))
    (folder.path / "tables").mkdir()
    (folder.path / "tables" / "comparisons.csv").touch()
    assert folder.adopt(small()) == ()
    folder.release()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("recipe.epochs=3", r"recipe\.epochs 2, the new study has 3"),
        ("validation=100", r"validation 240, the new study has 100"),
        ("baseline.kernel_size=3", r"baseline\.kernel_size None, the new study has 3"),
        ("seeds=2", r"seeds 3, the new study has 2"),
        ("factors.pooling=[avg, none]", r"factors\.pooling \['avg', 'max'\]"),
        ("tuning.learning_rate.high=0.1", r"tuning\.learning_rate\.high"),
    ],
)
def test_another_study_is_refused_and_the_error_shows_the_difference(
    folder: ReportFolder, small, override: str, message: str
) -> None:
    folder.lock(fresh=False)
    folder.adopt(small())
    with pytest.raises(FolderError, match=message + r".*--out, or --fresh"):
        folder.adopt(small(override))
    assert not list(study_file.list_changes(read_study(folder), small()))
    folder.release()


def test_changes_after_an_answer_are_stored(folder: ReportFolder, small) -> None:
    folder.lock(fresh=False)
    assert not folder.adopt(small())
    assert not folder.adopt(small("seeds=4"))  # no answer had been seen yet
    folder.write_provenance(PROVENANCE)
    folder.write_tables({"comparisons": make_frame("comparisons", [])})
    assert folder.adopt(small("seeds=5")) == ("seeds from 4 to 5",)
    assert folder.adopt(small("seeds=5", "decision.margin=0.05")) == (
        "seeds from 4 to 5",
        "decision.margin from 0.01 to 0.05",
    )
    assert (
        len(folder.adopt(small("seeds=5", "decision.margin=0.05", "timing.blocks=5"))) == 2
    )  # no verdict depends on it
    folder.release()


def test_added_seeds_are_still_reported_after_an_interruption(folder: ReportFolder, small) -> None:
    folder.lock(fresh=False)
    folder.adopt(small())
    folder.write_provenance(PROVENANCE)
    folder.write_tables({"comparisons": make_frame("comparisons", [])})
    assert folder.adopt(small("seeds=5"))
    # Here the command is interrupted. The next command still knows about the added seeds.
    assert folder.adopt(small("seeds=5"))
    folder.release()


def test_fresh_renames_the_old_folder_and_deletes_nothing(folder: ReportFolder, small) -> None:
    for _ in range(3):
        folder.lock(fresh=True)
        folder.adopt(small())
        folder.release()
    assert sorted(path.name for path in folder.path.parent.iterdir()) == [
        "small",
        "small.old-1",
        "small.old-2",
    ]
    assert (folder.path.parent / "small.old-2" / "study.yaml").exists()


def test_a_folder_that_cannot_be_written_gives_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FolderError, match="cannot be written"):
        ReportFolder(tmp_path / "file" / "small").lock(fresh=False)


def test_an_error_names_a_folder_without_a_study_or_with_a_damaged_file(folder: ReportFolder, small) -> None:
    with pytest.raises(FolderError, match="is not a report folder"):
        read_inputs(folder.path)
    folder.lock(fresh=False)
    folder.adopt(small())
    with pytest.raises(FolderError, match=r"environment\.json: is missing"):
        read_inputs(folder.path)
    (folder.path / "environment.json").write_text("{")
    with pytest.raises(FolderError, match="is damaged"):
        read_inputs(folder.path)
    folder.release()


def read_study(folder: ReportFolder) -> StudySpec:
    return study_file.read(folder.path / "study.yaml")


@pytest.mark.parametrize(
    ("arms", "refused"),
    [
        ("{a: {}, b: {pooling: max}, c: {pooling: none}}", False),
        ("{a: {}, b: {pooling: max}, decay 0.1: {weight_decay: 0.1}}", False),
        ("{b: {pooling: max}, a: {}}", True),  # another baseline
        ("{a: {}, b: {pooling: max, epochs: 1}}", True),
    ],
)
def test_named_arms_may_be_added_but_not_changed_or_reordered(
    folder: ReportFolder, small_file, arms: str, refused: bool
) -> None:
    text = small_file.read_text()

    def spec(arms: str):
        small_file.write_text(text.replace("factors: {pooling: [avg, max]}", f"arms: {arms}"))
        return study_file.read(small_file)

    folder.lock(fresh=False)
    folder.adopt(spec("{a: {}, b: {pooling: max}}"))
    if refused:
        with pytest.raises(FolderError, match="the study in this folder has"):
            folder.adopt(spec(arms))
    else:
        folder.adopt(spec(arms))
    folder.release()
