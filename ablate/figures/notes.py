"""Write sentences of captions that depend on the tables: what a figure leaves out, and why."""

from collections.abc import Iterable, Iterator

import pandas as pd

from ablate.figures.canvas import MOST_ARMS
from ablate.figures.points import (
    MOST_TOGETHER,
    Tables,
    read_names,
    tabulate_differences,
    tabulate_differences_by_epoch,
    tabulate_interactions,
)
from ablate.formatting import keep_first
from ablate.records.run_records import TRAINED, Phase, Status
from ablate.stats.contrasts import BOTH_ALONE
from ablate.stats.epochs import count_epochs, tabulate_validation
from ablate.stats.verdicts import Verdict
from ablate.study.spec import StudySpec

MOST_NAMED = 8
"""A caption names at most this many arms one by one."""
NOT_TRAINED = "because some of their runs did not train"
WITHOUT_INTERVAL = {
    Verdict.UNSTABLE: "because some of the runs did not train",
    Verdict.NOT_TRAINED: "because an arm is no better than guessing",
}
"""Maps a verdict to the reason why a comparison with this verdict has no interval."""
TOO_FEW_PAIRS = "because fewer than two pairs of runs are complete"
NO_RUN = "because none of their runs is complete"
NOT_TIMED = "because their throughput was not measured"


def explain_differences(study: StudySpec, tables: Tables) -> Iterator[str]:
    """Say what an interaction is, and which comparisons have no interval."""
    if set(tabulate_differences(study, tables)["arm"]) - set(tables["arms"]["arm"]):
        yield (
            "The interaction of A and B is the effect of B on the accuracy with A, minus its effect "
            "without A."
        )
    names = read_names(study, tables)
    compared = tables["comparisons"]
    missing = compared[compared[["difference", "ci_low", "ci_high"]].isna().any(axis=1)]
    for verdict, rows in missing.groupby("verdict", sort=False):
        told = [
            names.name_arm(arm, other) if other == names.baseline else names.name_contrast(arm, other)
            for arm, other in zip(rows["arm"], rows["baseline"], strict=True)
        ]
        yield say_not_drawn(told, explain_missing_interval(verdict))


def explain_differences_by_epoch(study: StudySpec, tables: Tables) -> Iterator[str]:
    """Say which comparisons the figure leaves out, and why."""
    drawn = tabulate_differences_by_epoch(study, tables)
    shown, known = drawn["label"].nunique(), tables["differences_by_epoch"].dropna(subset=["ci_low"])
    among = set(zip(known["arm"], known["baseline"], strict=True))
    if shown > MOST_TOGETHER:
        yield "Each panel has a scale of its own."
    if shown < len(among):
        yield (
            f"These are the {shown} of {len(among)} comparisons whose difference changed most in the last "
            "third of the epochs. The table differences_by_epoch has all comparisons."
        )
    names, by_reason = read_names(study, tables), dict[str, list[str]]()
    epochs = count_epochs(tabulate_validation(tables["runs"], tables["epochs"]))
    for row in tables["comparisons"].itertuples():
        if (row.arm, row.baseline) in among:
            continue
        if row.baseline == BOTH_ALONE:
            reason = "because an interaction involves four arms or more"
        elif row.verdict in WITHOUT_INTERVAL:
            reason = WITHOUT_INTERVAL[row.verdict]
        elif epochs.get(row.arm) != epochs.get(row.baseline):
            reason = "because the two arms were trained for different numbers of epochs"
        else:
            reason = TOO_FEW_PAIRS
        by_reason.setdefault(reason, []).append(names.name_contrast(row.arm, row.baseline))
    for reason, told in by_reason.items():
        yield say_not_drawn(told, reason)


def list_runs_without_accuracy(study: StudySpec, tables: Tables) -> Iterator[str]:
    """Say for each arm how many of its confirmed runs diverged or crashed."""
    runs = tables["runs"]
    lost = runs[(runs["phase"] == Phase.CONFIRM) & (runs["status"] != Status.COMPLETE)]
    counts = lost["arm"].value_counts()
    names = read_names(study, tables)
    told = [f"{counts[arm]} of {names.name_arm(arm)}" for arm in tables["arms"]["arm"] if arm in counts]
    if told:
        yield f"Runs that diverged or crashed are not drawn: {_shorten(told)}."


def list_interactions_without_mean(study: StudySpec, tables: Tables) -> Iterator[str]:
    """Say which arms of the interactions figure have no mean accuracy."""
    points = tabulate_interactions(study, tables)
    yield from _group_missing(study, tables, points.loc[points["accuracy"].isna(), "arm"].unique())


def list_arms_without_mark(study: StudySpec, tables: Tables) -> Iterator[str]:
    """Say which arms have no mark. If there is no legend, also list the arms on the Pareto front."""
    arms = tables["arms"]
    yield from explain_missing_legend(study, tables)
    if len(arms) > MOST_ARMS:
        names = read_names(study, tables)
        front = arms[arms["pareto"].fillna(value=False).astype(bool)].sort_values("examples_per_second")
        told = [names.name_arm(arm) for arm in front["arm"]]
        yield f"The arms on the grey line, from left to right: {_shorten(told)}."
    missing = arms[arms[["test_accuracy_mean", "examples_per_second"]].isna().any(axis=1)]
    yield from _group_missing(study, tables, missing["arm"])


def explain_missing_legend(study: StudySpec, tables: Tables) -> Iterator[str]:
    """Say why a figure of many arms has no legend."""
    if len(tables["arms"]) > MOST_ARMS:
        yield f"The {len(tables['arms'])} arms are too many for a legend; the tables have their values."


def _group_missing(study: StudySpec, tables: Tables, arms: Iterable[str]) -> Iterator[str]:
    """Yield one sentence for each reason why arms are not drawn."""
    names = read_names(study, tables)
    means = tables["arms"].set_index("arm")["test_accuracy_mean"]
    runs = tables["runs"]
    trained = set(runs.loc[(runs["phase"] == Phase.CONFIRM) & runs["status"].isin(TRAINED), "arm"])
    by_reason: dict[str, list[str]] = {}
    for arm in arms:
        without = NOT_TRAINED if pd.isna(means[arm]) else NOT_TIMED
        reason = without if arm in trained else NO_RUN
        by_reason.setdefault(reason, []).append(names.name_arm(arm))
    for reason, told in by_reason.items():
        yield say_not_drawn(told, reason)


def explain_missing_interval(verdict: str) -> str:
    """Return the reason why a comparison with this verdict has no interval."""
    return WITHOUT_INTERVAL.get(Verdict(verdict), TOO_FEW_PAIRS)


def say_not_drawn(told: list[str], reason: str) -> str:
    """Say which arms or comparisons are not drawn. Of many, the first ones are named."""
    return f"Not drawn, {reason}: {_shorten(told)}."


def _shorten(told: list[str]) -> str:
    """Join names into one text. Of many names, write the first ones and the number of the others."""
    return "; ".join(keep_first(told, MOST_NAMED))
