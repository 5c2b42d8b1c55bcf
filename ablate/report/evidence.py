"""Evidence: everything that a report folder holds, with the tables computed from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from ablate.records import views
from ablate.records.folder import read_inputs
from ablate.records.provenance import Provenance
from ablate.records.run_records import CRASHED, TRAINED, Phase
from ablate.records.tables import make_frame
from ablate.records.views import Views
from ablate.stats.arm_names import ArmNames, read_arm_names
from ablate.stats.chance import are_unequal, compute_chance_ceiling
from ablate.stats.comparisons import compare, trace_path
from ablate.stats.contrasts import Contrast, list_interactions, make_contrasts, tabulate_settings
from ablate.stats.epochs import tabulate_differences_by_epoch, tabulate_validation
from ablate.stats.references import compare_references
from ablate.stats.searches import tabulate_candidates
from ablate.stats.summary import summarise
from ablate.study.spec import FULL, StudySpec


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything that pages and figures are made from."""

    study: StudySpec
    provenance: Provenance
    tables: dict[str, pd.DataFrame]
    arms: list[str]
    contrasts: list[Contrast]
    """All comparisons that the study declares. Holm's correction covers all of them."""
    views: Views
    """Feature maps, filters and confusions of the arms' networks. Empty if no network was inspected."""
    missing_runs: int
    """How many confirmation runs are still to be done."""
    missing_blocks: int
    """How many timing blocks are still to be done. Arms that cannot be timed do not count."""

    @cached_property
    def names(self) -> ArmNames:
        """The names of arms and comparisons for a reader of the report."""
        return read_arm_names(self.study, self.tables["runs"], self.arms[0])

    @property
    def preliminary(self) -> bool:
        """Whether runs or timing blocks are missing. A preliminary report has no verdict."""
        return self.missing_runs > 0 or self.missing_blocks > 0

    @property
    def ceiling(self) -> float:
        """The highest test accuracy that a network can plausibly reach by guessing."""
        return _compute_ceiling(self.provenance)

    @property
    def unequal_classes(self) -> bool:
        """Whether some class has many more test images than another, so that the accuracy can mislead."""
        return are_unequal(self.provenance.data.test_images_by_class)

    @property
    def failed_runs(self) -> int:
        """How many runs crashed. A diverged run is an outcome, not a failure."""
        return int(self.tables["runs"]["status"].isin(CRASHED).sum())

    @property
    def confirmed(self) -> pd.DataFrame:
        """The runs of the confirm phase. Their test accuracies decide the answer."""
        runs = self.tables["runs"]
        return runs[runs["phase"] == Phase.CONFIRM]


def gather(path: Path) -> Evidence:
    """Read the folder's study, provenance and input tables, and compute the derived tables.

    Raises:
        FolderError: an input table is missing or damaged.
    """
    study, provenance, given = read_inputs(path)
    arms = list(provenance.arms)
    confirmed = given["runs"][given["runs"]["phase"] == Phase.CONFIRM]
    timed = given["timing"]
    each_round = timed["arm"].nunique() + 1  # a block times the baseline twice: first and last
    # Reports show throughput as a ratio to the baseline. Without a trained baseline nothing is timed.
    trained = confirmed.loc[confirmed["status"].isin(TRAINED), "arm"]
    to_time = study.timing.blocks * each_round if arms[0] in set(trained) else 0
    contrasts = make_contrasts(provenance.contrasts)
    if study.design == "factorial":
        settings = tabulate_settings(confirmed, study.factors).reindex(arms)
        contrasts += list_interactions(settings)
    summary = summarise(
        given["runs"],
        given["timing"],
        arms,
        {arm: vars(cost) for arm, cost in provenance.arms.items()},
        study.decision,
        ceiling=_compute_ceiling(provenance),
    )
    comparisons = compare(
        given["runs"],
        contrasts,
        study.decision,
        ceiling=_compute_ceiling(provenance),
    )
    derived = {"arms": summary, "comparisons": comparisons}
    if study.references:
        derived["references"] = compare_references(
            given["runs"],
            arms[0],
            study.references,
            ceiling=_compute_ceiling(provenance),
            confidence=1 - study.decision.alpha,
        )
    if study.design == "leave_one_out":
        derived["path"] = trace_path(comparisons, summary, FULL)
    if searched := provenance.search:
        derived |= {
            "candidates": tabulate_candidates(
                given["runs"], searched, arms[0], chance=provenance.data.chance
            ),
            "importance": make_frame("importance", searched.importance),
        }
    return Evidence(
        study=study,
        provenance=provenance,
        tables={**given, **derived, **_tabulate_by_epoch(given, comparisons, study)},
        arms=arms,
        contrasts=contrasts,
        views=views.read(path / views.NAME) or Views(classes=provenance.data.classes),
        missing_runs=max(0, len(arms) * study.seeds - len(confirmed)),
        missing_blocks=max(0, to_time - len(timed)),
    )


def _tabulate_by_epoch(
    given: Mapping[str, pd.DataFrame], comparisons: pd.DataFrame, study: StudySpec
) -> dict[str, pd.DataFrame]:
    """Make the table of differences by epoch. Studies without validation images have no such table."""
    validation = tabulate_validation(given["runs"], given["epochs"])
    if validation.empty:
        return {}
    confidence = 1 - study.decision.alpha
    return {"differences_by_epoch": tabulate_differences_by_epoch(validation, comparisons, confidence)}


def _compute_ceiling(provenance: Provenance) -> float:
    data = provenance.data
    return compute_chance_ceiling(data.chance, data.test_images, data.test_images_by_class)
