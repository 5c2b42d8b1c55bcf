"""Write a report folder's pages, figures and derived tables from its input tables, without torch."""

from pathlib import Path
from typing import Any

from ablate.figures import registry
from ablate.formatting import list_rows
from ablate.records.columns import COLUMNS, INPUT_TABLES, OPTIONAL_TABLES, TABLES
from ablate.records.tables import list_written, write_table
from ablate.report.answer import describe_difference, list_findings, say_what_is_missing, state_headline
from ablate.report.causes import list_causes
from ablate.report.cautions import list_cautions, list_tuning_rows
from ablate.report.conditions import list_conditions
from ablate.report.costs import describe_waiting_times
from ablate.report.evidence import Evidence, gather
from ablate.report.glossary import list_terms
from ablate.report.index import read_description
from ablate.report.pages import write_pages
from ablate.report.pictures import encode_pictures, write_pictures
from ablate.report.plots import choose_plots
from ablate.report.references import describe_references
from ablate.report.remarks import list_remarks

RUNS_SHOWN = 500
"""The maximum number of runs that report.html lists."""
FINDINGS_SHOWN = 12
"""The maximum number of findings that report.html shows at first. A click shows the others."""
EXPLORER = "explore.html"
"""The report links to this page if it exists. `ablate explore DIR --save DIR/explore.html` writes it."""
DERIVED_SOMETIMES = {"stability", "looks", "new_images", "recalls_by_class"}
"""Names of computed tables that only some reports have. If a report lacks one, its old file is deleted."""
ASKED = "asked-"
"""Prefix of the figures that `ablate activations` draws. Writing a report does not delete them."""


def write(path: Path, *, static: bool | None = None) -> Evidence:
    """Write report.html, report.md, figures and derived tables. Return the evidence for them.

    If `static` is true, report.html shows only pictures, from the folder `figures`. If it is None, the page
    stays as it is. A new report.html has interactive figures and needs no other file.

    Raises:
        FolderError: an input table is missing or damaged.
    """
    evidence = gather(path)
    if not evidence.preliminary:
        for name in evidence.tables.keys() - {*INPUT_TABLES, *OPTIONAL_TABLES}:
            write_table(evidence.tables[name], path / "tables" / f"{name}.csv")
    for name in DERIVED_SOMETIMES - evidence.tables.keys():
        (path / "tables" / f"{name}.csv").unlink(missing_ok=True)
    drawn = list(registry.draw_results(evidence.study, evidence.tables))
    inside = list(registry.draw_inspection(evidence.study, evidence.tables, evidence.views))
    write_pictures((*drawn, *inside), path)
    names = {figure.kind.name for figure in (*drawn, *inside)}
    for stale in (path / "figures").glob("*.*"):
        if stale.stem not in names and not stale.stem.startswith(ASKED):
            stale.unlink()
    static = _is_static(path) if static is None else static
    pictures, more = encode_pictures(drawn, static=static), encode_pictures(inside, static=static)
    content = _collect_content(evidence) | {
        "pictures": pictures,
        "inside": more,
        "library": choose_plots(pictures, more),
        "static": static,
    }
    content["explorer"] = EXPLORER if (path / EXPLORER).exists() else None
    write_pages(path, "report", content)
    return evidence


def _is_static(path: Path) -> bool:
    """Read from the present page whether its figures are static. Without a page, they are not."""
    page = path / "report.html"
    return page.exists() and read_description(page).get("figures") == "static"


def _describe_commands(evidence: Evidence) -> dict[str, str]:
    """Say where to run the report's commands, and how to write the paths of the report folder and its study.

    The commands work in the report folder if the study uses no networks or images of the user's own.
    Otherwise they work only in the folder in which the study was run, because the study names packages and
    images relative to that folder.
    """
    study, plugins = evidence.study, evidence.provenance.plugins
    if not plugins and not study.dataset.is_relative:
        return {"place": "in the folder of the report", "folder": ".", "study_file": "study.yaml"}
    folder = f"reports/{study.full_name}"
    return {
        "place": f"in the folder in which the study was run, and replace {folder} by the path of this report",
        "folder": folder,
        "study_file": f"{folder}/study.yaml",
    }


def _collect_content(evidence: Evidence) -> dict[str, Any]:
    study, tables = evidence.study, evidence.tables
    runs = tables["runs"]
    return {
        "study": study,
        "provenance": evidence.provenance,
        "preliminary": evidence.preliminary,
        "missing": say_what_is_missing(evidence),
        "headline": state_headline(evidence),
        "remarks": list_remarks(evidence),
        "arms": _name_arms(evidence, "arms"),
        "unequal_classes": evidence.unequal_classes,
        "energy": bool(evidence.tables["arms"]["joules_per_example"].notna().any()),
        "waiting_times": describe_waiting_times(evidence),
        "findings": list_findings(evidence),
        "findings_shown": FINDINGS_SHOWN,
        "terms": list_terms(evidence),
        "conditions": list_conditions(evidence),
        **_describe_commands(evidence),
        "cautions": list_cautions(evidence),
        "causes": list_causes(evidence.provenance.causes),
        "references": describe_references(evidence),
        "comparisons": _name_arms(evidence, "comparisons") if not evidence.preliminary else [],
        "looks": _name_arms(evidence, "looks") if "looks" in tables and not evidence.preliminary else [],
        "tuning": list_tuning_rows(evidence),
        "path": _name_arms(evidence, "path") if "path" in tables and not evidence.preliminary else [],
        "unit": evidence.metric.unit,
        "unit_name": {"number": "no unit"}.get(evidence.metric.unit, evidence.metric.unit),
        "difference_meaning": describe_difference(evidence),
        "confidence": f"{(1 - study.decision.alpha) * 100:g}%",
        "measured": [name for name in TABLES["runs"] if COLUMNS[name].dtype == "Float64"],
        "runs_columns": list(runs.columns),
        "runs": list_rows(runs.head(RUNS_SHOWN)),
        "runs_total": len(runs),
        "columns": COLUMNS,
        "used_columns": sorted(
            {c for name in tables.keys() - {"metrics"} for c in list_written(tables[name]) if c in COLUMNS}
        ),
    }


def _name_arms(evidence: Evidence, table: str) -> list[dict[str, Any]]:
    """List the table's rows, with each arm's name as the pages show it: `baseline (pooling=avg)`."""
    named = []
    for row in list_rows(evidence.tables[table]):
        beside = row.get("baseline")
        named.append({**row, "arm": evidence.names.name_arm(row["arm"], beside)})
        if beside is not None:
            named[-1]["baseline"] = evidence.names.name_arm(beside, row["arm"])
    return named
