"""Encode interactive figures for the templates and the script of a page."""

import base64
import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from ablate.figures.plots.plot import Plot

PAGE_LIMIT = 3_000_000
"""A page with interactive figures has at most this many bytes."""
ROOM_FOR_TEXT = 400_000
"""The bytes of a page that are kept free for its text and tables."""


@cache
def read_library() -> dict[str, Any]:
    """Read Vega and Vega-Lite for the page: each file compressed and in base64, and their licences."""
    folder = files("ablate.report").joinpath("vega")
    parts = {
        name: base64.b64encode(folder.joinpath(f"{name}.min.js.gz").read_bytes()).decode()
        for name in ("vega", "vega-lite")
    }
    return {"parts": parts, "licences": folder.joinpath("LICENSES").read_text(encoding="utf-8")}


def encode_plot(plot: Plot) -> dict[str, Any]:
    """Encode an interactive figure for the templates."""
    text = json.dumps(plot.describe(), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    cells = plot.list_cells()
    return {
        "panels": plot.panels,
        "legend": plot.legend,
        "columns": plot.columns,
        "cells": cells,
        "more": len(plot.rows) > len(cells),
        "rows": len(plot.rows),
        "table": plot.table,
        # No text inside can end the script element or begin a comment, because "<" is written as a code.
        "json": text.replace("<", "\\u003c"),
    }


def choose_plots(pictures: Iterable[dict[str, Any]], rest: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """Choose the pictures that stay interactive, so that the page has at most `PAGE_LIMIT` bytes.

    If a plot is larger than the room that is left, its value in `pictures` becomes None. `rest` lists the
    pictures without a plot.

    Returns:
        The library for the page. None if no picture is interactive.
    """
    pictures = list(pictures)
    if not any(picture["plot"] for picture in pictures):
        return None
    library = read_library()
    fixed = sum(len(picture["address"]) for picture in (*pictures, *rest))
    room = PAGE_LIMIT - ROOM_FOR_TEXT - fixed - sum(map(len, library["parts"].values()))
    for picture in pictures:
        if picture["plot"]:
            size = _measure(picture["plot"])
            picture["plot"] = picture["plot"] if size <= room else None
            room -= size if size <= room else 0
    return library if any(picture["plot"] for picture in pictures) else None


def _measure(plot: dict[str, Any]) -> int:
    """Estimate the bytes of an interactive figure in the page: its values, and its table with the tags."""
    tags = len("<td></td>")
    return len(plot["json"].encode()) + sum(
        len(cell.encode()) + tags for row in plot["cells"] for cell in row
    )
