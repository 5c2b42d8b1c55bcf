"""Read the evidence of a study with contexts: that of each context, and the table that compares them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ablate.metrics import METRICS, Metric
from ablate.records.folder import list_contexts
from ablate.report.evidence import Evidence, gather
from ablate.stats.contexts import InContext, tabulate_contexts
from ablate.stats.decision_values import DEFAULT, read_decision_values
from ablate.study import study_file
from ablate.study.spec import StudySpec


@dataclass(frozen=True, kw_only=True)
class ContextsEvidence:
    """Everything that the page of a study with contexts is made from."""

    study: StudySpec
    """The study file as it was written, with the changes of every context."""
    contexts: Mapping[str, Evidence]
    """The contexts that have a report, in the order of the study file."""
    table: pd.DataFrame
    """The `contexts` table. It covers the finished contexts."""

    @property
    def waiting(self) -> list[str]:
        """The contexts without a complete report."""
        return [
            name
            for name in self.study.contexts
            if name not in self.contexts or self.contexts[name].preliminary
        ]

    @property
    def finished(self) -> dict[str, Evidence]:
        """The contexts with a complete report. Changes are measured from the first of these contexts."""
        return {name: each for name, each in self.contexts.items() if not each.preliminary}

    @property
    def first_study(self) -> StudySpec:
        """The study of the first finished context. Its margin and alpha are used to judge the changes."""
        return next((each.study for each in self.finished.values()), self.study)

    @property
    def metric(self) -> Metric:
        """The metric on which the verdicts of the first finished context rest."""
        return METRICS[self.first_study.decision.metric]


def gather_contexts(path: Path) -> ContextsEvidence:
    """Read the folders of all contexts of a study, and compare the finished ones.

    Raises:
        FolderError: a table of a context is missing or damaged.
    """
    study = study_file.read(path / "study.yaml")
    contexts = {place.name: gather(place) for place in list_contexts(path)}
    finished = {name: each for name, each in contexts.items() if not each.preliminary}
    metrics = {each.study.decision.metric for each in finished.values()}
    table = tabulate_contexts(
        {name: _collect(each) for name, each in finished.items()},
        # Differences in different metrics cannot be subtracted.
        next(iter(finished.values())).study.decision if len(metrics) == 1 else None,
    )
    return ContextsEvidence(study=study, contexts=contexts, table=table)


def _collect(evidence: Evidence) -> InContext:
    metric = evidence.study.decision.metric
    return InContext(
        runs=evidence.tables["runs"],
        comparisons=evidence.tables["comparisons"],
        ceiling=evidence.ceiling,
        values=None if metric == DEFAULT else read_decision_values(evidence.tables, metric),
    )
