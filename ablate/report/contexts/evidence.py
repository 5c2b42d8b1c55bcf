"""Read the evidence of a study with contexts: that of each context, and the table that compares them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ablate.errors import FolderError
from ablate.metrics import METRICS, Metric
from ablate.records.folder import FREE_KEYS, list_contexts
from ablate.report.evidence import Evidence, gather
from ablate.stats.contexts import InContext, tabulate_contexts
from ablate.stats.contrasts import BOTH_ALONE
from ablate.stats.decision_values import read_decision_values
from ablate.study import study_file
from ablate.study.contexts import CHOICE
from ablate.study.spec import StudySpec


@dataclass(frozen=True, kw_only=True)
class ContextsEvidence:
    """Everything that the page of a study with contexts is made from."""

    study: StudySpec
    """The study file as it was written, with the changes of every context."""
    contexts: Mapping[str, Evidence]
    """The contexts that have a readable report of this study, in the order of the study file."""
    unusable: Mapping[str, str]
    """Maps a context whose report folder cannot be used to the reason."""
    table: pd.DataFrame
    """The `contexts` table. It covers the finished contexts."""

    @property
    def waiting(self) -> list[str]:
        """The contexts without a complete report of this study."""
        return [
            name
            for name in self.study.contexts
            if name not in self.contexts or self.contexts[name].preliminary
        ]

    @property
    def searched(self) -> bool:
        """Whether a finished context searched for its arms."""
        return any(each.study.design == "search" for each in self.finished.values())

    @property
    def obstacles(self) -> list[str]:
        """Say why the differences of the finished contexts cannot be compared. Empty if they can."""
        studies = [each.study for each in self.finished.values()]
        told = []
        if len({study.decision.metric for study in studies}) > 1:
            told.append(
                "The contexts are judged by different metrics, so their differences are not compared."
            )
        if self.searched:
            # The finalists of two searches have the same names, and are different networks.
            told.append("Each context has found other arms, so the arms of the contexts are not compared.")
        return told

    @property
    def fallbacks(self) -> list[str]:
        """The data sets that were missing and replaced by the fallback of the study file."""
        missing = (each.provenance.fallback for each in self.contexts.values())
        return list(dict.fromkeys(name for name in missing if name is not None))

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

    A folder that is damaged, or that belongs to another version of the study file, is named as unusable.
    """
    study = study_file.read(path / "study.yaml")
    contexts: dict[str, Evidence] = {}
    unusable: dict[str, str] = {}
    for place in list_contexts(path):
        try:
            found = gather(place)
        except FolderError as error:
            unusable[place.name] = str(error)  # the page shows it, and compares the other contexts
            continue
        if key := _find_other_study(path / "study.yaml", found.study):
            unusable[place.name] = f"its results come from another version of the study file ({key} differs)"
        else:
            contexts[place.name] = found
    made = ContextsEvidence(study=study, contexts=contexts, unusable=unusable, table=pd.DataFrame())
    alike = len({_list_baseline_values(each) for each in made.finished.values()}) == 1
    table = tabulate_contexts(
        {name: _collect(each, interactions=alike) for name, each in made.finished.items()},
        None if made.obstacles else made.first_study.decision,
    )
    return replace(made, table=table)


def _find_other_study(whole: Path, found: StudySpec) -> str | None:
    """Find a key by which the study of a context's folder differs from the file of all contexts.

    Keys on which no run depends do not count. None if the folder belongs to the file, or to its fallback.
    """
    differing = None
    for fallback in (False, True):
        expected = study_file.read(whole, [f"{CHOICE}{found.context}"], fallback=fallback)
        changed = (key for key, *_ in study_file.list_changes(expected, found))
        key = next((key for key in changed if key.partition(".")[0] not in (*FREE_KEYS, "predicted")), None)
        if key is None:
            return None
        differing = differing or key
    return differing


def _list_baseline_values(evidence: Evidence) -> tuple[str, ...]:
    """List the baseline's value of each factor. An interaction is measured from these values."""
    values = evidence.names.values
    return tuple(values.loc[evidence.arms[0]]) if evidence.arms[0] in values.index else ()


def _collect(evidence: Evidence, *, interactions: bool) -> InContext:
    return InContext(
        runs=evidence.tables["runs"],
        contrasts=[one for one in evidence.contrasts if interactions or one.reference != BOTH_ALONE],
        comparisons=evidence.tables["comparisons"],
        ceiling=evidence.ceiling,
        values=read_decision_values(evidence.tables, evidence.study.decision.metric),
    )
