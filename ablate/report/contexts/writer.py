"""Write the page, the table and the figure of a study with contexts."""

from pathlib import Path

from ablate.figures.context_figures import CONTEXTS
from ablate.figures.kind import draw_kinds
from ablate.records.tables import write_table
from ablate.report.contexts.answer import (
    describe_contexts,
    list_contexts_findings,
    list_remarks_on_contexts,
    state_contexts_headline,
)
from ablate.report.contexts.evidence import gather_contexts
from ablate.report.pages import write_pages
from ablate.report.pictures import encode_pictures, write_pictures


def write_contexts(path: Path) -> str:
    """Write report.html, report.md, the table `contexts` and its figure. Return the headline.

    The reports of the single contexts are read, and stay as they are.
    """
    evidence = gather_contexts(path)
    write_table(evidence.table, path / "tables" / "contexts.csv")
    kinds = [] if evidence.obstacles else [CONTEXTS]
    drawn = list(draw_kinds(kinds, evidence.first_study, {"contexts": evidence.table}, {}))
    write_pictures(drawn, path)
    findings = list_contexts_findings(evidence)
    headline = state_contexts_headline(evidence, findings)
    content = {
        "study": evidence.study,
        "preliminary": bool(evidence.waiting),
        "headline": headline,
        "findings": findings,
        "remarks": list_remarks_on_contexts(evidence),
        "contexts": describe_contexts(evidence),
        "linked": list(evidence.contexts),
        "arms": max((len(each.arms) for each in evidence.contexts.values()), default=0),
        "seeds": max((each.study.most_seeds for each in evidence.contexts.values()), default=0),
        "datasets": list(dict.fromkeys(str(each.study.dataset) for each in evidence.contexts.values())),
        "pictures": encode_pictures(drawn),
    }
    write_pages(path, "contexts", content)
    return headline
