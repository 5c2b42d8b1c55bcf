"""The page over all reports names each with its question and answer, and takes no other page's place."""

from pathlib import Path

import pytest

from ablate.report import writer
from ablate.report.index import write_index
from ablate.study import study_file
from tests.report.test_writer import Page, write_folder

pytestmark = pytest.mark.usefixtures("undrawn")

HOSTILE = "Is <b>bold</b> & \"quoted\" '$x$' Größe?"


@pytest.fixture
def parent(tmp_path: Path, small) -> Path:
    for name, accuracy in (("first", 0.95), ("second", 0.9)):
        spec = small(f"name={name}", f"question='{HOSTILE.replace(chr(39), chr(39) * 2)}'")
        accuracies = {"baseline": [0.9, 0.91, 0.92], "a": [accuracy, accuracy + 0.011, accuracy + 0.02]}
        writer.write(write_folder(tmp_path / name, study_file.dump(spec), accuracies))
    return tmp_path


def test_every_report_is_listed_with_its_question_and_answer(parent: Path) -> None:
    assert write_index(parent) == parent / "index.html"
    page = Page((parent / "index.html").read_text())
    assert page.fetched == ["first/report.html", "second/report.html"]
    assert page.text.count(HOSTILE) == 2
    assert "a against baseline: matters, +5.03 points" in page.text
    assert "b" not in page.tags


def test_written_again_it_is_the_same(parent: Path) -> None:
    write_index(parent)
    first = (parent / "index.html").read_bytes()
    write_index(parent)
    assert (parent / "index.html").read_bytes() == first


def test_a_page_that_is_not_ours_keeps_its_place(parent: Path) -> None:
    (parent / "index.html").write_text("<html><head><title>mine</title></head></html>")
    assert write_index(parent) is None
    assert "mine" in (parent / "index.html").read_text()


def test_a_folder_with_another_tools_report_is_not_listed(parent: Path) -> None:
    (parent / "other").mkdir()
    (parent / "other" / "report.html").write_text("<html><head></head></html>")
    write_index(parent)
    assert "other/" not in (parent / "index.html").read_text()
