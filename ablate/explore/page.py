"""Render the explorer's page from a template and its scripts. three.js comes from the package nicegui."""

import base64
import importlib.util
import secrets
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ablate.errors import AblateError, install_command
from ablate.figures.canvas import list_diverging_colours
from ablate.report.pages import load_templates

SCRIPTS = tuple(
    sorted(
        path.name.removesuffix(".js")
        for path in files("ablate.explore").joinpath("page").iterdir()
        if path.name.endswith(".js")
    )
)
"""The names of the scripts in the folder `page`. The scripts import each other by these names."""
SHADES = 65
THREE = "three"
"""The name by which the scripts import three.js."""


@cache
def read_three() -> bytes:
    """Read the JavaScript module that exports `THREE` and `OrbitControls`. It is a file of nicegui.

    Raises:
        AblateError: nicegui is not installed, or the file is not at its usual place in nicegui.
    """
    spec = importlib.util.find_spec("nicegui")
    paths = [
        Path(folder, "elements", "scene", "dist", "index.js")
        for folder in (spec and spec.submodule_search_locations) or ()
    ]
    if not paths or not paths[0].exists():
        raise AblateError(f"three.js is not installed (it is part of nicegui): {install_command('explore')}")
    return paths[0].read_bytes()


def read_script(name: str) -> bytes | None:
    """Read the script with this name. Return None if there is no such script."""
    if name == THREE:
        return read_three()
    return files("ablate.explore").joinpath("page", f"{name}.js").read_bytes() if name in SCRIPTS else None


def render_for_server(overview: dict[str, Any], nonce: str) -> str:
    """Render the page that loads its scripts and data from the server."""
    return _render(overview, {name: f"./page/{name}" for name in (THREE, *SCRIPTS)}, nonce)


def render_as_one_file(overview: dict[str, Any]) -> str:
    """Render the page as one file that contains its scripts. The file's policy forbids all requests."""
    urls = {name: _to_data_url(read_script(name) or b"") for name in (THREE, *SCRIPTS)}
    nonce = secrets.token_urlsafe(16)
    policy = f"default-src 'none'; script-src 'nonce-{nonce}' data:; style-src 'nonce-{nonce}'; img-src data:"
    return _render(overview, urls, nonce, policy)


def _render(overview: dict[str, Any], urls: dict[str, str], nonce: str, policy: str = "") -> str:
    return (
        load_templates(autoescape=True)
        .get_template("explore.html.j2")
        .render(
            overview={**overview, "palette": list_diverging_colours(SHADES)},
            imports={"imports": urls},
            nonce=nonce,
            policy=policy,
        )
    )


def _to_data_url(script: bytes) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(script).decode()}"
