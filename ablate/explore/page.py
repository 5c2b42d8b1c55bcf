"""The explorer's page: one template, the scripts beside it, and three.js as the nicegui package brings it."""

import base64
import importlib.util
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ablate.errors import AblateError, install_command
from ablate.figures.canvas import diverging
from ablate.report.pages import load_templates

SCRIPTS = ("main", "source", "pad", "plan", "maps", "flat", "stack", "guesses", "inspector")
SHADES = 65
THREE = "three"
"""How the scripts call three.js and its controls; of nicegui nothing else is used."""


@cache
def three() -> bytes:
    """A module that exports `THREE` and `OrbitControls`.

    Raises:
        AblateError: nicegui is not installed, or no longer has it.
    """
    spec = importlib.util.find_spec("nicegui")
    found = [
        Path(place, "elements", "scene", "dist", "index.js")
        for place in (spec and spec.submodule_search_locations) or ()
    ]
    if not found or not found[0].exists():
        raise AblateError(f"three.js, which nicegui brings, is not installed: {install_command('explore')}")
    return found[0].read_bytes()


def part(name: str) -> bytes | None:
    """A script of the page by its name; None where there is none."""
    if name == THREE:
        return three()
    return files("ablate.explore").joinpath("page", f"{name}.js").read_bytes() if name in SCRIPTS else None


def served(overview: dict[str, Any], nonce: str) -> str:
    """The page whose scripts and answers come from the server."""
    return _page(overview, {name: f"/page/{name}" for name in (THREE, *SCRIPTS)}, nonce)


def whole(overview: dict[str, Any]) -> str:
    """The page as one file, its scripts inside."""
    return _page(overview, {name: _inside(part(name) or b"") for name in (THREE, *SCRIPTS)}, nonce="")


def _page(overview: dict[str, Any], places: dict[str, str], nonce: str) -> str:
    return (
        load_templates(autoescape=True)
        .get_template("explore.html.j2")
        .render(overview={**overview, "palette": diverging(SHADES)}, imports={"imports": places}, nonce=nonce)
    )


def _inside(script: bytes) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(script).decode()}"
