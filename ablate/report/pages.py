"""Load the templates of all pages. Their filters format numbers and escape Markdown."""

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ablate import __version__
from ablate.formatting import Unit, format_p, scale_difference
from ablate.records.files import write_whole


@cache  # because compiling the templates takes half of the time to write a page
def load_templates(*, autoescape: bool) -> Environment:
    """Load the package's templates with their filters. HTML pages need `autoescape`."""
    environment = Environment(
        loader=PackageLoader("ablate.report"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["version"] = __version__
    environment.filters["shell"] = shlex.quote
    filters: dict[str, Callable[[Any], str]] = {
        "percent": lambda share: "–" if share is None else f"{share:.2%}",
        "whole_percent": lambda share: "–" if share is None else f"{share:.0%}",
        "number": _format_number,
        "p": lambda p: "–" if p is None else format_p(p).removeprefix("p = ").removeprefix("p "),
        "milliseconds": _format_milliseconds,
        "millijoules": lambda joules: _format_number(None if joules is None else 1000 * joules, 3),
        "megabytes": lambda size: _format_number(None if size is None else size / 1e6, 1),
        "markdown": escape_markdown,
        "first_names": _list_first,
    }
    environment.filters |= filters
    environment.filters["difference"] = partial(_format_difference, signed=True)
    environment.filters["size"] = partial(_format_difference, signed=False)
    return environment


def write_pages(folder: Path, kind: str, content: Mapping[str, Any]) -> None:
    """Write report.md and then report.html into a folder, from the templates of this `kind` of report."""
    for name, is_html in (("md", False), ("html", True)):
        template = load_templates(autoescape=is_html).get_template(f"{kind}.{name}.j2")
        write_whole(folder / f"report.{name}", template.render(content).encode())


NAMES_SHOWN = 20
"""A report names at most this many files and packages of a network's code."""


def _format_number(value: Any, digits: int = 2) -> str:
    """Format a number for a table: an integer as `12,500`, a float with `digits` decimals, None as `–`."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return (f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}").replace("-", "−")


def _format_milliseconds(seconds: float | None, digits: int = 3) -> str:
    """Format a time in seconds as milliseconds, without the unit."""
    return _format_number(None if seconds is None else 1000 * seconds, digits)


def _format_difference(value: float | None, unit: Unit, *, signed: bool) -> str:
    """Format a difference for a table. The heading or the text below the table names the unit."""
    return "–" if value is None else scale_difference(value, unit, signed=signed)


def _list_first(names: Sequence[str]) -> str:
    """List the first `NAMES_SHOWN` names. environment.json has all of them."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more:,} more (environment.json)" if more > 0 else "")


def escape_markdown(text: object) -> str:
    """Escape every character that Markdown could read as a tag, the end of a table cell, or emphasis."""
    escaped = str(text).replace("\\", "\\\\").replace("&", "&amp;")
    for character in "`*_{}[]<>|#$~":
        escaped = escaped.replace(
            character,
            f"\\{character}" if character not in "<>" else f"&{'lt' if character == '<' else 'gt'};",
        )
    return " ".join(escaped.split())
