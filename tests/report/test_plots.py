"""Interactive figures have the values and the colours of the drawn ones, and fit into one page."""

import gzip
import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.colors import to_hex

from ablate.figures import registry
from ablate.figures.kind import draw_kinds
from ablate.figures.plots import plot
from ablate.figures.plots.plot import Plot
from ablate.records.columns import TABLES
from ablate.report import plots, writer
from ablate.report.evidence import Evidence, gather
from ablate.report.plots import encode_plot
from ablate.study import study_file
from tests.conftest import SMALL
from tests.report.test_writer import HOSTILE, write_folder, write_small_folder

INTERACTIVE = {kind.name: kind for kind in registry.FIGURES if kind.plot is not None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("plotted")
    (parent / "small.yaml").write_text(SMALL)
    return write_small_folder(parent / "small", study_file.read(parent / "small.yaml"))


@pytest.fixture(scope="module")
def evidence(folder: Path) -> Evidence:
    return gather(folder)


CANDIDATES = pd.DataFrame(
    {
        "generation": [0, 0, 1, 1],
        "arm": ["baseline", "pooling=max", "dropout=0.1", "kernel_size=3"],
        "setting": "learning_rate=0.003",
        "status": ["complete", "complete", "pruned", "complete"],
        "validation_accuracy": [0.8, 0.85, 0.4, 0.82],
        "flops_per_example": [833_040.0, 833_041.0, 2e6, 123_456_789.0],
        "is_baseline": [True, False, False, False],
        "pareto": [False, True, False, False],
        "finalist": [False, True, False, True],
        "hypervolume": [0.5, 0.6, 0.6, 0.7],
    }
)


def make_plot(name: str, evidence: Evidence) -> tuple[Plot, pd.DataFrame]:
    kind = INTERACTIVE[name]
    data = CANDIDATES if name == "candidates" else kind.data(evidence.study, evidence.tables)
    return kind.plot(data, evidence.study, registry.style_arms(evidence.study, evidence.tables)), data


def test_the_library_is_what_its_authors_publish() -> None:
    folder = files("ablate.report").joinpath("vega")
    told = folder.joinpath("README.md").read_text()
    for name in ("vega", "vega-lite"):
        content = gzip.decompress(folder.joinpath(f"{name}.min.js.gz").read_bytes())
        row = next(line for line in told.splitlines() if line.startswith(f"| `{name}.min.js.gz`"))
        assert hashlib.sha256(content).hexdigest() in row


@pytest.mark.parametrize("name", INTERACTIVE)
def test_the_layers_of_a_figure_find_all_their_columns(name: str, evidence: Evidence) -> None:
    made, _ = make_plot(name, evidence)
    assert made.table in TABLES
    for panel in made.panels:
        for layer in panel.layers:
            fields = {channel["field"] for channel in layer["encoding"].values() if "field" in channel}
            here = layer["data"].get("values") or panel.data[layer["data"]["name"]]
            assert fields <= set(here[0] if isinstance(here, list) else here.columns)
    drawn = {field for panel in made.panels for frame in panel.data.values() for field in frame.columns}
    assert {column.field for column in made.columns} <= drawn
    json.loads(encode_plot(made)["json"])


@pytest.mark.parametrize("name", INTERACTIVE)
def test_an_interactive_figure_has_a_table_of_all_its_values(name: str, evidence: Evidence) -> None:
    made, data = make_plot(name, evidence)
    # Lines and bands summarise the runs of an epoch. Every other figure has a row for each row of its data.
    per_row = data["seed"].nunique() if name == "training_curves" else 1
    assert len(made.list_cells()) == len(made.rows) == len(data) / per_row > 0
    assert {len(row) for row in made.list_cells()} == {len(made.columns)}


def test_a_candidate_is_told_with_its_cost_to_the_last_digit(evidence: Evidence) -> None:
    made, _ = make_plot("candidates", evidence)
    assert made.list_cells()[3] == [
        "kernel_size=3", "learning_rate=0.003", "2", "82.00%", "123,456,789", "trained", "no", "yes", "0.7000",
    ]  # fmt: skip


def test_every_run_has_a_row_with_seed_setting_and_value(evidence: Evidence) -> None:
    made, data = make_plot("paired_seeds", evidence)
    arms = registry.style_arms(evidence.study, evidence.tables)
    rows = [row[:4] for row in made.list_cells()]
    assert rows == [
        [arms[row.arm].name, str(row.seed), "learning_rate=0.003", f"{row.value:.2%}"]
        for row in data.itertuples()
    ]


def test_an_arm_has_the_colour_and_marker_of_the_drawing(evidence: Evidence) -> None:
    arms = registry.style_arms(evidence.study, evidence.tables)
    made, _ = make_plot("paired_seeds", evidence)
    marks = next(layer for layer in made.panels[0].layers if layer["mark"]["type"] == "point")
    for channel, wanted in (
        ("color", {style.name: to_hex(style.colour) for style in arms.values()}),
        ("shape", {style.name: plot.SHAPES[style.marker] for style in arms.values()}),
    ):
        scale = marks["encoding"][channel]["scale"]
        assert wanted.items() <= dict(zip(scale["domain"], scale["range"], strict=True)).items()
    assert [entry.colour for entry in made.legend] == [to_hex(style.colour) for style in arms.values()]


def test_the_table_of_a_figure_ends_with_a_remark_where_all_rows_are(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plot, "ROWS_IN_TABLE", 4)
    made, _ = make_plot("training_curves", evidence)
    encoded = encode_plot(made)
    assert len(encoded["cells"]) == 4
    assert encoded["more"]
    assert encoded["rows"] == len(made.rows) > 4


def test_missing_numbers_become_null_and_minus_signs_are_typographic() -> None:
    frame = pd.DataFrame({"x": [-0.5, float("nan")], "name": ["a", None]})
    assert plot.list_by_code(frame) == {"x": [-0.5, None], "name": [["a", None], [0, 1]]}
    column = plot.Column(field="x", heading="x", format="+.2f")
    assert column.write(-0.5, column.format) == "−0.50"
    assert column.write(None, column.format) == "–"


def test_hostile_names_cannot_leave_the_data_of_a_figure(tmp_path: Path, small) -> None:
    accuracies: dict[str, list[float | str]] = {"baseline": [0.9, 0.91, 0.92], HOSTILE: [0.95, 0.97, 0.96]}
    evidence = gather(write_folder(tmp_path / "small", study_file.dump(small()), accuracies))
    for name in INTERACTIVE.keys() - {"candidates"}:
        encoded = encode_plot(make_plot(name, evidence)[0])
        assert "<" not in encoded["json"]
        assert json.dumps(HOSTILE)[1:-1] in json.dumps(json.loads(encoded["json"]))


def make_pictures(*sizes: int) -> list[dict[str, Any]]:
    return [{"address": "", "plot": {"json": "x" * size, "cells": []}} for size in sizes]


def test_figures_without_room_in_the_page_stay_pictures() -> None:
    library = sum(map(len, plots.read_library()["parts"].values()))
    room = plots.PAGE_LIMIT - plots.ROOM_FOR_TEXT - library
    pictures = make_pictures(room - 10, 11, 10)
    assert plots.choose_plots(pictures, []) is not None
    assert [picture["plot"] is not None for picture in pictures] == [True, False, True]
    pictures = make_pictures(100)
    assert plots.choose_plots(pictures, [{"address": "x" * room}]) is None
    assert pictures[0]["plot"] is None


def test_a_static_page_stays_static_until_it_is_asked_for_interactive_figures(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = gather(folder)
    styles = registry.style_arms(given.study, given.tables)
    [drawn] = draw_kinds([INTERACTIVE["differences"]], given.study, given.tables, styles)
    monkeypatch.setattr(registry, "draw_results", lambda *_: iter([drawn]))
    monkeypatch.setattr(registry, "draw_inspection", lambda *_: iter(()))
    found = []
    for static in (None, True, None, False, None):
        writer.write(folder, static=static)
        html = (folder / "report.html").read_text()
        assert ('<div class="plot">' in html) == ('id="vega-lite"' in html)
        found.append('<div class="plot">' in html)
    assert found == [True, False, False, True, True]


@pytest.mark.thorough
def test_a_page_has_one_interactive_figure_for_each_picture_that_can_have_one(folder: Path) -> None:
    writer.write(folder)
    page = (folder / "report.html").read_text()
    assert (
        page.count('<div class="plot">') == len(re.findall(r'<figure class="has-plot">\s*<img ', page)) == 7
    )
    assert page.count('<script type="text/plain" id="vega') == 2
    assert len(page.encode()) < plots.PAGE_LIMIT
