"""Collect what two paragraphs about the methods of a study say, and which publications they cite."""

import re
from collections.abc import Sequence
from typing import Any

from ablate.formatting import format_count, format_list, format_margin, spell_keyword
from ablate.report.conditions import describe_network, describe_recipe, describe_tuning
from ablate.report.evidence import Evidence
from ablate.report.latex.escape import Latex, escape_latex
from ablate.report.latex.rows import ArmRow, format_seeds
from ablate.report.sources import DATA_SOURCES, NETWORKS
from ablate.study.seed_looks import SeedLooks

COMMIT_LETTERS = 12
"""This many letters of a commit are shown. A longer word could stick out of its line."""
MOST_NAMED = 12
"""The paragraphs name at most this many arms."""


def describe_methods(evidence: Evidence, arms: Sequence[ArmRow]) -> dict[str, Any]:
    """Collect the texts that the template of the two paragraphs needs."""
    study, machine = evidence.study, evidence.provenance.machine
    tuned = evidence.tables["tuning"]
    runs = sorted(set(tuned["trials"].dropna().astype(int))) if study.tuning.active else []
    source = DATA_SOURCES.get(study.dataset.name)
    return {
        "data": source.title if source else str(study.dataset),
        "data_cite": cite(*source.cited) if source else "",
        "networks": _cite_networks(evidence),
        "network_settings": describe_network(study),
        "factors": format_list([spell_keyword(name) for name in study.factor_names]),
        "arm_names": _list_names(arms),
        "recipe": describe_recipe(study),
        "tuning": describe_tuning(evidence) if study.tuning.active else "",
        "tuning_runs": f"{runs[0]} to {runs[-1]}" if len(runs) > 1 else f"{runs[0]}" if runs else "",
        "searched": study.design == "search",
        "validation": f"{study.validation:,}" if study.validation else "",
        "test_images": f"{evidence.provenance.data.test_images:,}",
        "seeds": format_seeds(arms),
        "looks": isinstance(study.seeds, SeedLooks),
        "confidence": f"{(1 - study.decision.alpha) * 100:g}%",
        "alpha": f"{study.decision.alpha:g}",
        "family": evidence.family,
        "metric": spell_keyword(study.decision.metric),
        "margin": format_margin(study.decision.margin, evidence.metric.unit),
        "stability": "stability" in evidence.tables,
        "machine": machine.device_name,
        "device": machine.device,
        "cores": format_count(machine.cores, "core"),
        "timed": not evidence.tables["timing"].empty,
        "threads": format_count(machine.timing_threads, "thread"),
        "versions": format_list([f"{name} {version}" for name, version in machine.packages.items()]),
        "python": machine.python,
        "commit": (machine.git_commit or "")[:COMMIT_LETTERS],
        "cite": cite,
    }


def _cite_networks(evidence: Evidence) -> Latex:
    """Name the networks of all arms, each with its publication if it is known."""
    used = dict.fromkeys(str(keywords["model"]) for keywords in evidence.provenance.networks.values())
    told = []
    for model in used or [evidence.study.model]:
        title, reference = NETWORKS.get(model, (model, None))
        told.append(escape_latex(title) + (cite(reference) if reference else ""))
    return Latex(format_list(told))


def _list_names(arms: Sequence[ArmRow]) -> str:
    """List the names of the arms. If there are many, list the first ones and count the others."""
    names = [row.name for row in arms[:MOST_NAMED]]
    more = len(arms) - len(names)
    return format_list(names) if not more else f"{', '.join(names)} and {more} more"


def cite(*keys: str) -> Latex:
    """Write a citation of publications by their keys in publications.bib."""
    return Latex(rf"~\cite{{{','.join(keys)}}}")


def list_cited(text: str) -> list[str]:
    """List the keys that a LaTeX text cites, in the order of their first citation."""
    cited = (key for group in re.findall(r"\\cite\{([^}]*)\}", text) for key in group.split(","))
    return list(dict.fromkeys(cited))
