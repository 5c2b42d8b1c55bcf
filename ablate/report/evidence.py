"""Read the evidence of a report: the content of a report folder, and the tables computed from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ablate.errors import FolderError
from ablate.formatting import list_rows
from ablate.metrics import METRICS, Metric
from ablate.records import views
from ablate.records.folder import read_inputs
from ablate.records.provenance import Provenance
from ablate.records.run_records import CRASHED, TRAINED, Phase
from ablate.records.tables import make_frame
from ablate.records.views import Views
from ablate.stats.arm_names import ArmNames, read_arm_names
from ablate.stats.chance import are_unequal, compute_ceiling
from ablate.stats.comparison_tables import (
    tabulate_comparisons,
    tabulate_looks,
    tabulate_stability,
    trace_path,
)
from ablate.stats.comparisons import Judgement, judge
from ablate.stats.contrasts import Contrast, list_interactions, make_contrasts, tabulate_settings
from ablate.stats.decision_values import DEFAULT, MissingMetricError, read_decision_values
from ablate.stats.epochs import tabulate_differences_by_epoch, tabulate_validation
from ablate.stats.looks import plan_looks
from ablate.stats.new_images import tabulate_new_images
from ablate.stats.recalls import tabulate_recalls_by_class
from ablate.stats.references import compare_references
from ablate.stats.searches import tabulate_candidates
from ablate.stats.summary import summarise
from ablate.study.seed_looks import SeedLooks
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
    family: int
    """The number of tests that Holm's correction counts: comparisons, and tests of how often arms train."""
    views: Views
    """Feature maps, filters and confusions of the arms' networks. Empty if no network was inspected."""
    missing_runs: int
    """The number of confirmation runs that are still to be done."""
    missing_blocks: int
    """The number of timing measurements still to be done. Arms that cannot be timed do not count."""

    @cached_property
    def names(self) -> ArmNames:
        """The names of arms and comparisons for a reader of the report."""
        return read_arm_names(self.study, self.tables["runs"], self.arms[0])

    @property
    def preliminary(self) -> bool:
        """Whether runs or timing blocks are missing. A preliminary report has no verdict."""
        return self.missing_runs > 0 or self.missing_blocks > 0

    @property
    def metric(self) -> Metric:
        """The metric on which the verdicts rest."""
        return METRICS[self.study.decision.metric]

    @property
    def decides_by_accuracy(self) -> bool:
        """Whether verdicts rest on accuracy. If not, validation accuracies say nothing about the answer."""
        return self.study.decision.metric == DEFAULT

    def find_rows(self, table: str, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Find the rows of a comparison in another table. `row` is the comparison's row in `comparisons`.

        The list is empty if the other table is missing or has no row for this comparison.
        """
        if table not in self._rows:
            by_pair: dict[tuple[str, str], list[dict[str, Any]]] = {}
            for one in list_rows(self.tables[table]) if table in self.tables else []:
                by_pair.setdefault((one["arm"], one["baseline"]), []).append(one)
            self._rows[table] = by_pair
        return self._rows[table].get((row["arm"], row["baseline"]), [])

    @cached_property
    def _rows(self) -> dict[str, dict[tuple[str, str], list[dict[str, Any]]]]:
        """Maps a table that `find_rows` has read to its rows by comparison. There can be hundreds of rows."""
        return {}

    def list_looks(self, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """List the looks (interim analyses) at one comparison. Empty if the study fixed the seeds."""
        return self.find_rows("looks", row)

    def count_seeds(self, row: Mapping[str, Any]) -> int:
        """Count the seeds of one comparison. An arm can have more, because another comparison needed them."""
        reverse = {"arm": row["baseline"], "baseline": row["arm"]}  # a step can be a comparison turned round
        looks = self.list_looks(row) or self.list_looks(reverse)
        return int(looks[-1]["look_seeds"]) if looks else self.study.most_seeds

    @property
    def ceiling(self) -> float:
        """The highest test accuracy that a network can plausibly reach by guessing."""
        return compute_ceiling(self.provenance.data)

    @property
    def unequal_classes(self) -> bool:
        """Whether some classes have so many more test images than others that the accuracy can mislead."""
        return are_unequal(self.provenance.data.test_images_by_class)

    @property
    def failed_runs(self) -> int:
        """The number of runs that crashed. A run that diverged is a result, and does not count."""
        return int(self.tables["runs"]["status"].isin(CRASHED).sum())

    @cached_property
    def confirmed(self) -> pd.DataFrame:
        """The runs of the confirm phase. Their test accuracies decide the answer."""
        runs = self.tables["runs"]
        return runs[runs["phase"] == Phase.CONFIRM]

    @cached_property
    def confirmed_by_arm(self) -> dict[str, list[dict[str, Any]]]:
        """Maps each arm to its rows of the `runs` table in the confirm phase."""
        by_arm: dict[str, list[dict[str, Any]]] = {}
        for run in list_rows(self.confirmed[["arm", "seed", "status", "test_accuracy"]]):
            by_arm.setdefault(run["arm"], []).append(run)
        return by_arm

    @cached_property
    def validation(self) -> pd.DataFrame:
        """The validation accuracies of the confirmed runs after each epoch: see `tabulate_validation`."""
        return tabulate_validation(self.tables["runs"], self.tables["epochs"])


def gather(path: Path, changed: StudySpec | None = None) -> Evidence:
    """Read a report folder's study, provenance and input tables, and compute the derived tables.

    If `changed` is given, it replaces the study of the folder. For example, it can have another margin.

    Raises:
        FolderError: an input table is missing or damaged.
    """
    study, provenance, given = read_inputs(path)
    study = changed or study
    arms = list(provenance.arms)
    confirmed = given["runs"][given["runs"]["phase"] == Phase.CONFIRM]
    contrasts = make_contrasts(provenance.contrasts)
    if study.design == "factorial":
        settings = tabulate_settings(confirmed, study.factors).reindex(arms)
        contrasts += list_interactions(settings)
    judgement = judge(
        given["runs"],
        contrasts,
        study.decision,
        ceiling=compute_ceiling(provenance.data),
        looks=plan_looks(study.seeds, study.decision.alpha),
        values=_read_values(path, given, study.decision.metric),
    )
    seeds, timed = confirmed["arm"].value_counts(), given["timing"]
    wanted = dict.fromkeys(arms, study.fewest_seeds) | judgement.wanted_seeds
    return Evidence(
        study=study,
        provenance=provenance,
        tables={**given, **_derive_tables(study, provenance, given, judgement)},
        arms=arms,
        contrasts=contrasts,
        family=max((result.family for result in judgement.latest), default=1),
        views=views.read(path / views.NAME) or Views(classes=provenance.data.classes),
        missing_runs=sum(max(0, wanted[arm] - int(seeds.get(arm, 0))) for arm in arms),
        missing_blocks=max(0, _count_blocks(study, arms[0], confirmed, timed) - len(timed)),
    )


def _read_values(path: Path, given: dict[str, pd.DataFrame], metric: str) -> pd.Series | None:
    """Read each run's value of the metric on which the verdicts rest, by arm and seed.

    Return None for the accuracy, which the `runs` table has already.
    """
    if metric == DEFAULT:
        return None
    try:
        return read_decision_values(given, metric)
    except MissingMetricError as error:
        raise FolderError(f"{path}: decision.metric: {error}") from None


def _count_blocks(study: StudySpec, baseline: str, confirmed: pd.DataFrame, timed: pd.DataFrame) -> int:
    """Count the rows that the `timing` table will have when the study is finished."""
    each_round = timed["arm"].nunique() + 1  # a block times the baseline twice: first and last
    # Reports show throughput as a ratio to the baseline's. If no baseline run trained, nothing is timed.
    trained = confirmed.loc[confirmed["status"].isin(TRAINED), "arm"]
    return study.timing.blocks * each_round if baseline in set(trained) else 0


def _derive_tables(
    study: StudySpec, provenance: Provenance, given: Mapping[str, pd.DataFrame], judgement: Judgement
) -> dict[str, pd.DataFrame]:
    """Compute all tables that follow from the input tables."""
    runs, arms, ceiling = given["runs"], list(provenance.arms), compute_ceiling(provenance.data)
    costs = {arm: vars(cost) for arm, cost in provenance.arms.items()}
    summary = summarise(runs, given["timing"], arms, costs, study.decision, ceiling=ceiling)
    comparisons, stability = tabulate_comparisons(judgement), tabulate_stability(judgement)
    derived = {"arms": summary, "comparisons": comparisons}
    if not stability.empty:
        derived["stability"] = stability
    if isinstance(study.seeds, SeedLooks):
        derived["looks"] = tabulate_looks(judgement)
    if study.references:
        confidence = 1 - study.decision.alpha
        # A search's last finalist has the highest validation accuracy. Test images did not choose it.
        compared = arms[-1] if provenance.search else arms[0]
        derived["references"] = compare_references(
            runs, compared, study.references, ceiling=ceiling, confidence=confidence
        )
    if study.design == "leave_one_out":
        derived["path"] = trace_path(comparisons, summary, FULL)
    if searched := provenance.search:
        derived |= {
            "candidates": tabulate_candidates(runs, searched, arms[0], chance=provenance.data.chance),
            "importance": make_frame("importance", searched.importance),
        }
    derived |= _tabulate_predictions(given, comparisons, judgement, study)
    return derived | _tabulate_by_epoch(given, comparisons, study)


def _tabulate_predictions(
    given: Mapping[str, pd.DataFrame], comparisons: pd.DataFrame, judgement: Judgement, study: StudySpec
) -> dict[str, pd.DataFrame]:
    """Make the tables that need the predictions of runs. Older folders lack the inputs of these tables."""
    made = {}
    if "recalls" in given:
        confidence = 1 - study.decision.alpha
        made["recalls_by_class"] = tabulate_recalls_by_class(given["recalls"], comparisons, confidence)
    if "agreement" in given and study.decision.metric == DEFAULT:  # `agreement` is about accuracy
        made["new_images"] = tabulate_new_images(judgement, given["agreement"], study.decision)
    return {name: table for name, table in made.items() if not table.empty}


def _tabulate_by_epoch(
    given: Mapping[str, pd.DataFrame], comparisons: pd.DataFrame, study: StudySpec
) -> dict[str, pd.DataFrame]:
    """Make the table of differences by epoch. Studies without validation images have no such table."""
    validation = tabulate_validation(given["runs"], given["epochs"])
    if validation.empty or study.decision.metric != DEFAULT:  # curves of other metrics are not kept
        return {}
    confidence = 1 - study.decision.alpha
    return {"differences_by_epoch": tabulate_differences_by_epoch(validation, comparisons, confidence)}
