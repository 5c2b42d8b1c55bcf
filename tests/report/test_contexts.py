"""The page of a study with contexts says what each context answers and whether the answers differ."""

from pathlib import Path

import pytest

from ablate.errors import FolderError
from ablate.records.folder import list_contexts
from ablate.records.tables import read_table
from ablate.report import writer
from ablate.report.contexts.writer import write_contexts
from ablate.report.evidence import gather
from ablate.study import study_file
from tests.conftest import SMALL
from tests.report.test_writer import Page, write_folder

pytestmark = pytest.mark.usefixtures("undrawn")

CONTEXTS = """
contexts:
  chapter: {predicted: {a: [0.04, 0.06]}}
  modern: {recipe: {epochs: 3, schedule: cosine}, predicted: {a: [0.02, 0.03]}}
"""
BASE = [0.9, 0.91, 0.92, 0.905]


def make_study(path: Path, gains: dict[str, list[float]]) -> Path:
    """The folder of a study with two contexts, in which arm `a` gains so much in every seed."""
    path.mkdir()
    (path / "study.yaml").write_text(SMALL + CONTEXTS)
    for name, of_context in gains.items():
        accuracies = {
            "baseline": BASE,
            "a": [base + gain for base, gain in zip(BASE, of_context, strict=True)],
        }
        spec = study_file.read(path / "study.yaml", [f"context={name}"])
        writer.write(write_folder(path / name, study_file.dump(spec), accuracies))
    return path


def test_an_answer_that_depends_on_the_context_is_the_headline(tmp_path: Path) -> None:
    path = make_study(
        tmp_path / "small", {"chapter": [0.05, 0.051, 0.049, 0.05], "modern": [0.0, 0.001, -0.001, 0.0005]}
    )
    write_contexts(path)
    page = Page((path / "report.html").read_text())
    assert "The answer depends on the context: a against baseline" in page.text
    assert "The difference is 4.99 points lower in modern than in chapter" in page.text
    assert "So the difference depends on the context." in page.text
    assert "This came true: the whole confidence interval lies inside the predicted interval." in page.text
    assert "This did not come true: the confidence interval lies below the predicted interval." in page.text
    assert "recipe.epochs: 3, recipe.schedule: cosine" in page.text
    assert {"chapter/report.html", "modern/report.html"} <= set(page.fetched)
    assert all((path / link).exists() for link in page.fetched)
    markdown = (path / "report.md").read_text()
    assert "| [chapter](chapter/report.md) | matters | +5.00 points |" in markdown
    table = read_table("contexts", path / "tables" / "contexts.csv")
    assert table["change_verdict"].dropna().tolist() == ["matters"]


def test_equal_answers_are_called_the_same(tmp_path: Path) -> None:
    gains = [0.05, 0.051, 0.049, 0.05]
    path = make_study(
        tmp_path / "small", {"chapter": gains, "modern": [gain + 0.0002 for gain in reversed(gains)]}
    )
    write_contexts(path)
    text = Page((path / "report.html").read_text()).text
    assert "The verdict is the same in every context (chapter and modern): matters" in text
    assert "Any change is smaller than the margin of ±1 point" in text


def test_an_unfinished_context_is_named(tmp_path: Path) -> None:
    path = make_study(tmp_path / "small", {"chapter": [0.05, 0.051, 0.049, 0.05]})
    write_contexts(path)
    text = Page((path / "report.html").read_text()).text
    assert "Preliminary: 1 of 2 contexts are finished; modern will follow." in text
    assert "modern (not finished)" in text


def test_a_command_for_one_folder_names_the_folders_of_the_contexts(tmp_path: Path) -> None:
    path = make_study(tmp_path / "small", {"chapter": [0.05, 0.051, 0.049, 0.05]})
    assert list_contexts(path) == [path / "chapter"]
    with pytest.raises(
        FolderError, match=r"has a report folder for each context: name one of .*small/chapter"
    ):
        gather(path)
