"""A report of judged runs is written only where no file of the user can be lost."""

from pathlib import Path

import pytest

from ablate.errors import FolderError
from ablate.judging.folder import MARK, check_folder, delete_old_figures

MINE = (
    "figures/fig1.pdf",
    "figures/plot.png",
    "figures/runs.pdf",
    "report.md",
    "tables/arms.csv",
    "runs.csv",
)


@pytest.mark.parametrize("name", MINE)
def test_a_folder_with_other_files_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(FolderError, match=r"has other files, such as '.*: choose a new folder with --out"):
        check_folder(tmp_path)


def test_a_new_folder_an_empty_one_and_an_earlier_report_may_be_used(tmp_path: Path) -> None:
    check_folder(tmp_path / "new")
    (tmp_path / ".gitignore").touch()
    check_folder(tmp_path)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "report.md").write_text(f"# Which arm?\n\n`runs.csv`{MARK}0.1.0\n")
    check_folder(tmp_path)


def test_only_figures_that_a_report_can_have_are_deleted(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    for name in ("ranks.png", "ranks.svg", "ranks.pdf", "mine.png", "runs.png"):
        (tmp_path / "figures" / name).touch()
    delete_old_figures(tmp_path, known=["ranks", "runs"], written=["runs"])
    left = {path.name for path in (tmp_path / "figures").iterdir()}
    assert left == {"ranks.pdf", "mine.png", "runs.png"}


def test_a_path_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="choose another --out"):
        check_folder(tmp_path / "file")
