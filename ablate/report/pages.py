"""The templates of every page, and how figures are written in them."""

import math
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ablate import __version__
from ablate.formatting import p_in_words


def templates(*, autoescape: bool) -> Environment:
    """The package's templates with their filters; `autoescape` for HTML."""
    found = Environment(
        loader=PackageLoader("ablate.report"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals["version"] = __version__
    found.filters |= {
        "percent": lambda share: "–" if share is None else f"{share:.2%}",
        "whole_percent": lambda share: "–" if share is None else f"{share:.0%}",
        "points": lambda share: "–" if share is None else f"{share * 100:.2f}",
        "signed_points": lambda share: "–" if share is None else f"{share * 100:+.2f}".replace("-", "−"),
        "number": _number,
        "p": lambda p: "–" if p is None else p_in_words(p).removeprefix("p = ").removeprefix("p "),
        "megabytes": lambda size: _number(None if size is None else size / 1e6, 1),
        "markdown": _markdown,
    }
    return found


def _number(value: Any, digits: int = 2) -> str:
    """A figure for a table: whole numbers with separators, others with fixed digits, – where unknown."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def _markdown(text: object) -> str:
    """Text that no Markdown renderer takes for a tag, a table cell or emphasis."""
    escaped = str(text).replace("\\", "\\\\").replace("&", "&amp;")
    for character in "`*_{}[]<>|#$~":
        escaped = escaped.replace(
            character,
            f"\\{character}" if character not in "<>" else f"&{'lt' if character == '<' else 'gt'};",
        )
    return " ".join(escaped.split())
