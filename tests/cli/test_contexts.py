"""A study with contexts is answered in each of them, one after the other, and its page compares them."""

import subprocess
from pathlib import Path

import pytest

from ablate.records.provenance import read_provenance
from ablate.study import study_file
from tests.commands import ablate
from tests.conftest import SMALL

CONTEXTS = """
contexts:
  chapter: {}
  modern: {recipe: {schedule: cosine}}
"""


def commit(folder: Path) -> str:
    for command in (["init", "-q"], ["add", "small.yaml"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "Ask"]):  # fmt: skip
        subprocess.run(["git", *command], cwd=folder, check=True)
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a committed study, of which only the second context was answered by the first command."""
    folder = tmp_path_factory.mktemp("contexts")
    (folder / "small.yaml").write_text(SMALL + CONTEXTS)
    (folder / "commit").write_text(commit(folder))
    first = ablate("run", "small.yaml", "context=modern", cwd=folder)
    assert first.returncode == 0, first.stderr
    assert "preliminary: 1 of 2 contexts are finished; chapter will follow" in first.stdout
    second = ablate("run", "small.yaml", cwd=folder)
    assert second.returncode == 0, second.stderr
    (folder / "stdout").write_text(second.stdout)
    return folder


@pytest.mark.thorough
def test_every_context_has_a_report_and_the_study_a_page_of_all(finished: Path) -> None:
    report = finished / "reports" / "small"
    assert {path.name for path in report.iterdir()} - {"figures"} == {
        "chapter", "modern", "study.yaml", "report.html", "report.md", "tables",
    }  # fmt: skip
    answer = (finished / "stdout").read_text()
    assert answer.index("context: chapter") < answer.index("context: modern")
    assert answer.splitlines()[-1] == "all contexts: reports/small/report.html"
    assert 'href="small/report.html"' in (finished / "reports" / "index.html").read_text()
    assert (report / "chapter" / "tables" / "runs.csv").read_bytes() != (
        report / "modern" / "tables" / "runs.csv"
    ).read_bytes()


@pytest.mark.thorough
def test_the_report_command_writes_the_same_bytes(finished: Path) -> None:
    report = finished / "reports" / "small"
    names = [path for path in report.rglob("report.*") if path.is_file()]
    before = {path: path.read_bytes() for path in names}
    assert len(before) == 6
    done = ablate("report", "reports/small", cwd=finished)
    assert done.returncode == 0, done.stderr
    assert {path: path.read_bytes() for path in names} == before


@pytest.mark.thorough
def test_the_commit_of_the_study_file_is_kept_and_told(finished: Path) -> None:
    report = finished / "reports" / "small" / "chapter"
    registration = read_provenance(report).registration
    assert registration is not None
    assert registration.commit == (finished / "commit").read_text()
    assert f"(commit {registration.commit[:12]} of " in (report / "report.md").read_text()


def test_a_changed_study_file_is_not_registered(tmp_path: Path) -> None:
    from ablate.study.registration import find_registration

    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    assert find_registration(path) == ("", "")
    made = commit(tmp_path)
    assert find_registration(path)[0] == made
    assert find_registration(path, ["timing.blocks=0"])[0] == made
    assert find_registration(path, ["timing.blocks=0", "seeds=4"]) == ("", "")
    link = tmp_path / "links" / "small.yaml"
    link.parent.mkdir()
    link.symlink_to(tmp_path / "other.yaml")
    (tmp_path / "other.yaml").write_text(SMALL)
    assert find_registration(link) == ("", "")  # the file that the link points to is not committed
    path.write_text(SMALL + "\n# later\n")
    assert find_registration(path) == ("", "")


def test_a_study_that_changes_before_its_answer_is_no_longer_registered(tmp_path: Path, small) -> None:
    from ablate.records.folder import ReportFolder

    folder = ReportFolder(tmp_path / "small")
    folder.path.mkdir()
    assert not folder.differs_before_answer(small())
    folder.write_study(study_file.dump(small()))
    assert not folder.differs_before_answer(small("timing.blocks=1"))
    assert folder.differs_before_answer(small("decision.margin=0.05"))


@pytest.mark.thorough
def test_a_folder_of_the_study_without_contexts_is_not_overwritten(finished: Path) -> None:
    plain = finished / "plain" / "small"
    plain.mkdir(parents=True)
    (plain / "environment.json").write_text("{}")
    done = ablate("run", "small.yaml", "--out", "plain", cwd=finished)
    assert done.returncode == 2
    assert done.stderr.startswith("error: plain/small: has results of this study without contexts")


@pytest.mark.thorough
def test_a_plan_lists_every_context(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL + CONTEXTS)
    done = ablate("plan", "small.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("context: chapter") < done.stdout.index("context: modern")
    assert done.stdout.count("pooling=max") == 2
