"""Hostile names. They are refused, or remain plain text in every path, page, table and figure."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ablate.design.designs import lay_out
from ablate.design.runs import make_slug
from ablate.errors import AblateError, ModelError, StudyError
from ablate.figures.registry import draw_inspection
from ablate.models import own
from ablate.report import index
from ablate.report.evidence import gather
from ablate.study import study_file
from tests.conftest import SMALL
from tests.data.test_datasets import paint
from tests.report.test_writer import Page, count_scripts, write_folder

NAMES = {
    "a path": "../../x",
    "nothing": "",
    "a NUL": "a\0b",
    "300 characters": "x" * 300,
    "a script": "<script>alert(1)</script>",
    "a formula of TeX": r"$\frac$",
    "a formula of a spreadsheet": "=cmd()",
    "markup": "| *a* `b` [c](d) _e_ #f &lt; \\",
    "two lines": "a\nb",
    "half a character": "\ud800",
    "a terminal's escape": "\x1b[2J",
    "right to left": "a\u202eb",
}
FACTORS = "factors: {pooling: [avg, max]}"


def place_name(where: str, name: str) -> str:
    """The small study with the name at that place."""
    quoted = json.dumps(name)
    reference = "{{name: {}, metric: test_accuracy, value: 0.9, source: {}}}"
    return {
        "the study": SMALL.replace("name: small", f"name: {quoted}"),
        "the question": SMALL.replace("Does max pooling beat average pooling?", quoted),
        "an arm": SMALL.replace(FACTORS, f"arms: {{one: {{}}, {quoted}: {{pooling: max}}}}"),
        "a value": SMALL.replace("[avg, max]", f"[avg, {quoted}]"),
        "the model": SMALL.replace("model: lenet", f"model: {quoted}"),
        "a person's model": SMALL.replace("model: lenet", f"model: {json.dumps(name + ':build')}"),
        "the data's path": SMALL.replace("digits", f"{{name: folder, path: {quoted}}}"),
        "a published figure": SMALL + f"references: [{reference.format(quoted, json.dumps('x'))}]\n",
        "a published figure's source": SMALL + f"references: [{reference.format(json.dumps('x'), quoted)}]\n",
        "a factor": SMALL.replace("{pooling: [avg", f"{{{quoted}: [avg"),
        "a condition": SMALL.replace("max]", f"{{value: max, when: {{{quoted}: 1}}}}]"),
        "a key": SMALL + f"{quoted}: 1\n",
    }[where]


REFUSED = ("the study", "a value", "the model", "a person's model", "the data's path", "a factor", "a condition", "a key")  # fmt: skip
"""Places that refuse all of these names."""
TAKEN = {
    "the question": {"a path", "a script", "a formula of TeX", "a formula of a spreadsheet", "markup", "300 characters"},
    "an arm": {"a path", "a script", "a formula of TeX", "markup"},
    "a published figure": {"a path", "a script", "a formula of TeX", "a formula of a spreadsheet", "markup", "300 characters"},
    "a published figure's source": {"a path", "a script", "a formula of TeX", "a formula of a spreadsheet", "markup", "300 characters"},
}  # fmt: skip
"""Places that accept some of the names. No accepted name becomes a formula in a table's cell."""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", [*REFUSED, *TAKEN])
def test_a_forbidden_name_gives_an_error_of_one_line(where: str, name: str, small_file: Path) -> None:
    small_file.write_text(place_name(where, NAMES[name]), encoding="utf-8", errors="replace")
    if name in TAKEN.get(where, ()):
        lay_out(study_file.read(small_file))
        return
    with pytest.raises(AblateError) as refused:
        lay_out(study_file.read(small_file))
    for line in str(refused.value).split("\n"):
        assert line.isprintable()
        assert len(line) < 1_100


@pytest.mark.parametrize("name", sorted(TAKEN["an arm"]))
def test_the_file_name_of_an_arm_has_only_letters_digits_and_dashes(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]{6,67}", make_slug(NAMES[name]))
    assert make_slug(NAMES[name]) != make_slug(NAMES[name] + " ")


def test_a_keyword_value_that_a_spreadsheet_would_run_is_refused(small: Callable) -> None:
    # A user's own network may accept any text, and the text is alone in a cell of runs.csv.
    for word in ("=cmd()", "+x", "-x", "@a"):
        with pytest.raises(StudyError, match="must not begin like a spreadsheet formula"):
            small(f"factors={{activation: [sigmoid, '{word}']}}")
        with pytest.raises(StudyError, match="must not begin like a spreadsheet formula"):
            small(f"baseline.activation='{word}'")


@pytest.mark.parametrize("name", NAMES)
def test_a_plugin_with_a_hostile_name_opens_no_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "_allowed", [NAMES[name]])
    with pytest.raises(
        ModelError, match=r"is not of the form package\.module:callable|is code|ModuleNotFoundError"
    ):
        own.find_callable(f"{NAMES[name]}:x", [])


@pytest.mark.parametrize("name", ["a NUL", "two lines", "a terminal's escape", "right to left", "a formula of a spreadsheet"])  # fmt: skip
def test_a_class_name_that_would_break_a_table_is_refused(name: str, tmp_path: Path) -> None:
    from ablate.data.image_folders import list_image_folder

    for folder in ("a", NAMES[name].replace("\0", "\x01")):  # a folder's name cannot contain a NUL
        for i in range(5):
            paint(tmp_path / folder / f"{i}.png", (i, i, i))
    with pytest.raises(ValueError, match="a class's name must not"):
        list_image_folder(tmp_path)


WRITTEN = [name for name in NAMES if name in TAKEN["an arm"]]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every accepted name at every place that accepts it. It is drawn once for all tests."""
    from ablate.report import writer

    folder = tmp_path_factory.mktemp("hostile")
    arms = {NAMES[name]: {"pooling": "max"} for name in WRITTEN}
    text = SMALL.replace(FACTORS, f"arms: {json.dumps({'baseline': {}, **arms})}").replace(
        "Does max pooling beat average pooling?", json.dumps(" ".join(NAMES[name] for name in WRITTEN))
    )
    references = [
        {"name": NAMES[name], "metric": "test_accuracy", "value": 0.9, "source": NAMES[name]}
        for name in WRITTEN
    ]
    (folder / "study.yaml").write_text(f"{text}references: {json.dumps(references)}\n")
    spec = study_file.read(folder / "study.yaml")
    accuracies = {arm: [0.9 + i / 100, 0.91, 0.92 + i / 90] for i, arm in enumerate(spec.arms)}
    classes = [NAMES[name] for name in WRITTEN]
    path = write_folder(
        folder / "small",
        study_file.dump(spec),
        accuracies,
        causes={NAMES[name]: NAMES[name] for name in WRITTEN},
        left_out={NAMES[name]: NAMES[name] for name in WRITTEN},
        data={"dataset": NAMES["a script"], "test_images": 360, "classes": classes, "chance": 0.1, "sha256": {NAMES["a script"]: "0"}},
    )  # fmt: skip
    writer.write(path)
    index.write_index(folder)
    return path


@pytest.mark.thorough
def test_hostile_names_are_shown_as_text_in_the_report_and_the_index(hostile: Path) -> None:
    for page in (hostile / "report.html", hostile.parent / "index.html"):
        html = page.read_text()
        parsed = Page(html)
        own = count_scripts(html) if page.name == "report.html" else 1  # the index sorts its table
        assert parsed.tags.count("script") == own
        assert "img" not in parsed.tags or parsed.tags.count("img") == len(list((hostile / "figures").glob("*.png")))  # fmt: skip
        for name in WRITTEN:
            assert NAMES[name] in parsed.text


def test_hostile_names_are_shown_as_text_in_markdown(hostile: Path) -> None:
    markdown = (hostile / "report.md").read_text()
    assert "<script" not in markdown
    assert not re.search(r"(?<!\\)\]\((?!figures/)", markdown)  # only figures are linked
    assert not re.search(r"(?<!\\)\$", markdown)
    assert "&amp;lt;" in markdown  # an entity in a name is escaped


def test_no_cell_of_a_table_is_a_formula_and_no_name_breaks_a_row(hostile: Path) -> None:
    for path in (hostile / "tables").glob("*.csv"):
        rows = list(csv.reader(io.StringIO(path.read_text())))
        assert {len(row) for row in rows} == {len(rows[0])}
        for cell in (cell for row in rows for cell in row):
            assert not cell.startswith(("=", "+", "@", "\t", "\r")), path
            assert not cell.startswith("-") or re.fullmatch(r"-[\d.e+-]+", cell), path


def test_hostile_names_are_drawn_unchanged_in_figures(hostile: Path) -> None:
    import xml.etree.ElementTree as ElementTree

    drawn = list((hostile / "figures").glob("*.svg"))
    assert len(drawn) > 5
    for path in drawn:
        assert not [node for node in ElementTree.parse(path).iter() if node.tag.endswith("script")]


def test_hostile_class_names_are_drawn_in_the_figures_of_the_inspection(hostile: Path) -> None:
    import numpy as np

    from ablate.records.tables import make_frame
    from ablate.records.views import ConfusedPair, Filters, Layer, View, Views

    classes = tuple(NAMES[name] for name in WRITTEN)
    maps = np.ones((2, 3, 4, 4), np.float16)
    shades = np.zeros((2, 1, 8, 8), np.uint8)
    view = View(
        arm=classes[0],
        key="",
        images=shades,
        confused=(ConfusedPair(label=0, guess=1, images=3, examples=shades),),
        layers=(Layer(asked="1", module=classes[2], channels=3, maps=maps),),
        filters=Filters(module=classes[2], channels=3, weights=maps, responses=maps),
        remark=classes[2],
    )
    evidence = gather(hostile)
    confusion = make_frame("confusion", [{"arm": classes[0], "label": a, "guess": b, "images": 2} for a in classes for b in classes])  # fmt: skip
    views = Views(classes=classes, inputs=(0, 1), arms=(view,))
    drawn = list(draw_inspection(evidence.study, {**evidence.tables, "confusion": confusion}, views))
    assert len(drawn) >= 3
    assert not any(b"<script" in picture.svg for picture in drawn)
