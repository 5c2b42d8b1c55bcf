"""A report folder's page, figures and derived tables, from its given tables alone; no torch."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ablate.figures import registry
from ablate.formatting import rows
from ablate.records.columns import COLUMNS, GIVEN_TABLES, OPTIONAL_TABLES, TABLES
from ablate.records.files import write_whole
from ablate.records.tables import write_table
from ablate.report.audit import cautions, places
from ablate.report.evidence import Evidence, gather
from ablate.report.pages import templates
from ablate.report.wording import conditions, findings, headline, missing, references, remarks

RUNS_SHOWN = 500
FINDINGS_SHOWN = 12
EXPLORER = "explore.html"
"""Linked where `ablate explore DIR --save DIR/explore.html` has put it."""
ASKED = "asked-"
"""How the names of figures begin that `ablate activations` drew: no report takes them for its own."""


def write(path: Path) -> Evidence:
    """What a folder's given tables say, after writing report.html, report.md, figures and derived tables.

    Raises:
        FolderError: a given table is missing or torn.
    """
    evidence = gather(path)
    if not evidence.preliminary:
        for name in evidence.tables.keys() - {*GIVEN_TABLES, *OPTIONAL_TABLES}:
            write_table(evidence.tables[name], path / "tables" / f"{name}.csv")
    drawn = list(registry.make(evidence.study, evidence.tables))
    inside = list(registry.look_inside(evidence.study, evidence.tables, evidence.views))
    for figure in (*drawn, *inside):
        write_whole(path / "figures" / f"{figure.kind.name}.png", figure.png)
        write_whole(path / "figures" / f"{figure.kind.name}.svg", figure.svg)
    names = {figure.kind.name for figure in (*drawn, *inside)}
    for stale in (path / "figures").glob("*.*"):
        if stale.stem not in names and not stale.stem.startswith(ASKED):
            stale.unlink()
    content = _content(evidence) | {"pictures": _pictures(drawn), "inside": _pictures(inside)}
    content["explorer"] = EXPLORER if (path / EXPLORER).exists() else None
    write_whole(
        path / "report.html",
        templates(autoescape=True).get_template("report.html.j2").render(content).encode(),
    )
    write_whole(
        path / "report.md", templates(autoescape=False).get_template("report.md.j2").render(content).encode()
    )
    return evidence


def _pictures(drawn: Sequence[registry.Drawn]) -> list[dict[str, Any]]:
    return [{"kind": d.kind, "png": base64.b64encode(d.png).decode()} for d in drawn]


def _content(evidence: Evidence) -> dict[str, Any]:
    study, tables = evidence.study, evidence.tables
    runs = tables["runs"]
    return {
        "study": study,
        "provenance": evidence.provenance,
        "preliminary": evidence.preliminary,
        "missing": missing(evidence),
        "headline": headline(evidence),
        "remarks": remarks(evidence),
        "arms": rows(tables["arms"]),
        "findings": findings(evidence),
        "findings_shown": FINDINGS_SHOWN,
        "conditions": conditions(evidence),
        "cautions": cautions(evidence),
        "references": references(evidence),
        "comparisons": rows(tables["comparisons"]) if not evidence.preliminary else [],
        "tuning": places(evidence),
        "path": rows(tables["path"]) if "path" in tables and not evidence.preliminary else [],
        "confidence": f"{(1 - study.decision.alpha) * 100:g}%",
        "measured": [name for name in TABLES["runs"] if COLUMNS[name].dtype == "Float64"],
        "runs_columns": list(runs.columns),
        "runs": rows(runs.head(RUNS_SHOWN)),
        "runs_total": len(runs),
        "columns": COLUMNS,
        "used_columns": sorted({c for name in tables for c in tables[name].columns if c in COLUMNS}),
    }
