"""A report folder's page, figures and derived tables, from its given tables alone; no torch."""

import base64
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ablate import __version__, figures
from ablate.audit import cautions, places
from ablate.evidence import Evidence, gather
from ablate.phrases import p_in_words, rows
from ablate.results import COLUMNS, GIVEN_TABLES, write_table, write_whole
from ablate.wording import conditions, findings, headline, references, remarks

RUNS_SHOWN = 500
FINDINGS_SHOWN = 12


def write(path: Path) -> Evidence:
    """What a folder's given tables say, after writing report.html, report.md, figures and derived tables.

    Raises:
        FolderError: a given table is missing or torn.
    """
    evidence = gather(path)
    if not evidence.preliminary:
        for name in evidence.tables.keys() - set(GIVEN_TABLES):
            write_table(evidence.tables[name], path / "tables" / f"{name}.csv")
    drawn = list(figures.make(evidence.study, evidence.tables))
    for figure in drawn:
        write_whole(path / "figures" / f"{figure.kind.name}.png", figure.png)
        write_whole(path / "figures" / f"{figure.kind.name}.svg", figure.svg)
    names = {figure.kind.name for figure in drawn}
    for stale in (path / "figures").glob("*.*"):
        if stale.stem not in names:
            stale.unlink()
    pictures = [{"kind": d.kind, "png": base64.b64encode(d.png).decode()} for d in drawn]
    content = _content(evidence, pictures)
    write_whole(
        path / "report.html",
        _templates(autoescape=True).get_template("report.html.j2").render(content).encode(),
    )
    write_whole(
        path / "report.md", _templates(autoescape=False).get_template("report.md.j2").render(content).encode()
    )
    return evidence


def _content(evidence: Evidence, pictures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    study, tables = evidence.study, evidence.tables
    runs = tables["runs"]
    return {
        "study": study,
        "environment": evidence.environment,
        "preliminary": evidence.preliminary,
        "headline": headline(evidence),
        "remarks": remarks(evidence),
        "confirmed": len(evidence.confirmed),
        "wanted": len(evidence.arms) * study.seeds,
        "arms": rows(tables["arms"]),
        "findings": findings(evidence),
        "findings_shown": FINDINGS_SHOWN,
        "conditions": conditions(evidence),
        "cautions": cautions(evidence),
        "references": references(evidence),
        "pictures": pictures,
        "comparisons": rows(tables["comparisons"]) if not evidence.preliminary else [],
        "tuning": places(evidence),
        "path": rows(tables["path"]) if "path" in tables and not evidence.preliminary else [],
        "confidence": f"{(1 - study.decision.alpha) * 100:g}%",
        "runs_columns": list(runs.columns),
        "runs": rows(runs.head(RUNS_SHOWN)),
        "runs_total": len(runs),
        "columns": COLUMNS,
        "used_columns": sorted({c for name in tables for c in tables[name].columns if c in COLUMNS}),
        "version": __version__,
    }


def _templates(*, autoescape: bool) -> Environment:
    templates = Environment(
        loader=PackageLoader("ablate"),
        autoescape=autoescape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "percent": lambda share: "–" if share is None else f"{share:.2%}",
        "whole_percent": lambda share: "–" if share is None else f"{share:.0%}",
        "points": lambda share: "–" if share is None else f"{share * 100:.2f}",
        "signed_points": lambda share: "–" if share is None else f"{share * 100:+.2f}".replace("-", "−"),
        "number": _number,
        "p": lambda p: "–" if p is None else p_in_words(p).removeprefix("p = ").removeprefix("p "),
        "megabytes": lambda size: _number(None if size is None else size / 1e6, 1),
        "markdown": _markdown,
    }
    return templates


def _number(value: Any, digits: int = 2) -> str:
    """A figure for a table: whole numbers with separators, others with fixed digits, – where unknown."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{digits}f}"


def _markdown(text: object) -> str:
    """Text that no Markdown renderer takes for a tag, a table cell or emphasis."""
    escaped = str(text).replace("\\", "\\\\")
    for character in "`*_{}[]<>|#$~":
        escaped = escaped.replace(
            character,
            f"\\{character}" if character not in "<>" else f"&{'lt' if character == '<' else 'gt'};",
        )
    return " ".join(escaped.split())
