"""`ablate report` makes every published report again, word for word and number for number."""

import re
import shutil
from pathlib import Path

import pytest

from ablate.records.folder import list_contexts
from ablate.report import writer
from ablate.report.contexts.writer import write_contexts
from tests.commands import ROOT

PUBLISHED = ROOT / "reports" / "published"
FOLDERS = sorted(path.parent for path in PUBLISHED.glob("*/study.yaml"))
PICTURE = re.compile(r"base64,[A-Za-z0-9+/=]+")
"""A picture inside a page. Another version of matplotlib can draw it with other bytes."""


def read_pages(folder: Path) -> dict[str, str]:
    """The text of every page and table, without the bytes of pictures."""
    return {
        path.relative_to(folder).as_posix(): PICTURE.sub("base64,", path.read_text())
        for pattern in ("**/report.html", "**/report.md", "**/tables/*.csv")
        for path in folder.glob(pattern)
    }


@pytest.mark.thorough
@pytest.mark.drawn
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_published_report_is_made_again_from_its_tables(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    contexts = list_contexts(copy)
    for place in contexts or [copy]:
        writer.write(place)
    if contexts:
        write_contexts(copy)
    before, after = read_pages(folder), read_pages(copy)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == []


def test_every_published_report_names_what_it_leaves_out() -> None:
    assert FOLDERS
    for folder in FOLDERS:
        names = {path.name for path in folder.rglob("*")}
        assert not {"study.db", "predictions", ".lock"} & names
