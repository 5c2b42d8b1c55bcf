"""The answer and the conditions under which it holds, in sentences. No layout, no torch."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ablate.formatting import points, rows, spoken
from ablate.records.provenance import Finalist
from ablate.report.evidence import Evidence
from ablate.report.sentences import cost, sentence
from ablate.stats import chance, comparisons
from ablate.stats.contrasts import BOTH_ALONE, factor_settings
from ablate.stats.intervals import prediction_interval
from ablate.study.spec import FULL, StudySpec, ValueWhen, as_written

VERDICT_TONE = {
    comparisons.MATTERS: "strong",
    comparisons.EQUIVALENT: "calm",
    comparisons.SIZE_UNCLEAR: "strong",
}
SETTLED = (comparisons.MATTERS, comparisons.SIZE_UNCLEAR)
"""Verdicts that say that there is a difference."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One contrast's answer: the verdict, what happened, and what it costs."""

    subject: str
    verdict: str
    tone: str
    sentence: str
    cost: str | None


def headline(evidence: Evidence) -> str:
    """The answer in one line."""
    compared = rows(evidence.tables["comparisons"])
    if evidence.preliminary:
        return f"preliminary: {len(evidence.confirmed)} of {len(evidence.arms) * evidence.study.seeds} runs"
    if not compared:
        return "the search found nothing to set beside the baseline"
    if len(compared) == 1:
        (row,) = compared
        return f"{row['arm']}: {row['verdict']}{_by(row)}"
    verdicts = [row["verdict"] for row in compared]
    told = ", ".join(f"{verdicts.count(verdict)} × {verdict}" for verdict in dict.fromkeys(verdicts))
    means = evidence.tables["arms"].set_index("arm")["test_accuracy_mean"].dropna()
    if means.empty:
        return f"verdicts: {told}"
    best = str(means.astype(float).idxmax())
    return f"most accurate: {best} ({means[best]:.1%}); verdicts: {told}"


def missing(evidence: Evidence) -> str:
    """What a preliminary report still lacks, in a sentence; empty of one that is complete."""
    wanted = len(evidence.arms) * evidence.study.seeds
    if evidence.missing_runs:
        return f"{evidence.missing_runs} of {wanted} runs to confirm are missing."
    if evidence.missing_blocks:
        return "All runs are confirmed; their throughput is not measured to the end."
    return ""


def findings(evidence: Evidence) -> list[Finding]:
    """One finding a contrast, in the study's order; none before the study is complete."""
    if evidence.preliminary:
        return []
    by_arm = evidence.tables["arms"].set_index("arm")
    found = []
    for row in rows(evidence.tables["comparisons"]):
        together = row["baseline"] == BOTH_ALONE
        beside = "" if row["baseline"] == evidence.arms[0] or together else f" against {row['baseline']}"
        found.append(
            Finding(
                subject=f"{row['arm']}{beside}",
                verdict=row["verdict"],
                tone=VERDICT_TONE.get(row["verdict"], "open"),
                sentence=sentence(row, evidence),
                cost=None
                if beside or together  # the throughput ratio is to the baseline, to no other arm
                else cost(by_arm.loc[row["arm"]], by_arm.loc[row["baseline"]], evidence),
            )
        )
    return found


def remarks(evidence: Evidence) -> list[str]:
    """What the arms say together that no single contrast does: rankings that change, steps that pay."""
    if evidence.preliminary:
        return []
    if evidence.study.design == "factorial":
        return list(_changing_leaders(evidence))
    if evidence.study.design == "leave_one_out":
        return [_steps(evidence)]
    if evidence.study.design == "search" and len(evidence.arms) == 1:
        tried = evidence.tables["runs"]
        statuses = tried.loc[tried["phase"] == "search", "status"].value_counts()
        told = ", ".join(f"{count} {status}" for status, count in statuses.items())
        return [
            f"The search found no finalist: of its candidates ({told}) none but the baseline was better than "
            "twice guessing. Try other ranges, more epochs or more candidates."
        ]
    return []


def _changing_leaders(evidence: Evidence) -> Iterator[str]:
    """For every factor whose most accurate value depends on another factor, which wins where.

    By means over seeds, all other factors at the baseline's value, and only where an interaction was found.
    """
    means = evidence.tables["arms"].set_index("arm")["test_accuracy_mean"].dropna().astype(float)
    factors = list(evidence.study.factors)
    settings = factor_settings(evidence.confirmed, factors)
    settings = settings.loc[[arm for arm in evidence.arms if arm in means.index and arm in settings.index]]
    if evidence.arms[0] not in settings.index:
        return
    own = settings.loc[evidence.arms[0]]
    for factor in factors:
        for other in factors:
            if factor == other:
                continue
            rest = [name for name in factors if name not in (factor, other)]
            plane = settings[(settings[rest] == own[rest]).all(axis=1)]
            leaders = {
                value: settings.loc[means[cell.index].idxmax(), factor]
                for value, cell in plane.groupby(other, sort=False)
                if len(cell) > 1
            }
            if len(set(leaders.values())) > 1 and _interact(evidence, factor, other):
                told = ", ".join(
                    f"with {spoken(other)} {value} {leader}" for value, leader in leaders.items()
                )
                yield f"Which {spoken(factor)} is most accurate depends on {spoken(other)}: {told}."


def _interact(evidence: Evidence, one: str, other: str) -> bool:
    """Whether any interaction of two factors was found: without it, changing leaders are noise."""
    compared = rows(evidence.tables["comparisons"])
    found = (row["arm"] for row in compared if row["baseline"] == BOTH_ALONE and row["verdict"] in SETTLED)
    pairs = ({half.partition("=")[0] for half in name.split(" × ")} for name in found)
    return {one, other} in pairs


def _steps(evidence: Evidence) -> str:
    """The way from the baseline to the full arm, with what each step added."""
    told = [
        f"{row['arm']}{_by(row).removeprefix(',')} ({row['verdict']})"
        for row in rows(evidence.tables["path"])
    ]
    return f"Step by step from {evidence.arms[0]} to {FULL}: {', then '.join(told)}."


def conditions(evidence: Evidence) -> list[str]:
    """Under which conditions every verdict holds."""
    study, provenance = evidence.study, evidence.provenance
    images = provenance.data.test_images
    baseline = evidence.tables["arms"]["test_accuracy_mean"].iloc[0]
    open_to_change = {*study.factor_names, *study.tuning.ranges}
    network = _listed(study.baseline, open_to_change)
    recipe = _listed(study.recipe.model_dump(exclude_none=True), open_to_change)
    told = [
        f"Compared: {_factors(evidence)}. Network: {study.model}"
        f"{f' with {network}' if network else ''}; what is not named keeps its default.",
        f"Training: {recipe}; {_tuned(evidence)}.",
        *([f"The full arm has {_full(study)}."] if study.design == "leave_one_out" else []),
        *(
            f"{name.capitalize()} is {found.arm.replace(',', ', ')}."
            for name, found in _finalists(evidence).items()
        ),
    ]
    held_out = (
        f"{study.validation:,} training images held out for validation"
        if study.validation
        else ("all training images used, none held out")
    )
    error = (
        f" One accuracy on so many images has a standard error of "
        f"±{points(chance.accuracy_standard_error(float(baseline), images))} of its own, "
        "which pairing does not remove: the answer is about these images."
        if pd.notna(baseline)
        else ""
    )
    others = provenance.test_set_readers
    readers = f"{len(others) or 'No'} other {'study' if len(others) == 1 else 'studies'}"
    told.append(
        f"Data: {study.dataset}, {held_out}; the verdict is on these {images:,} test images.{error} "
        f"{readers} in the same folder {'has' if len(others) == 1 else 'have'} read them."
    )
    told.append(
        f"Machine: {provenance.machine.device} ({provenance.machine.device_name}); throughput with "
        f"{provenance.machine.timing_threads} threads, the plain torch loop, alone on the machine. The clock "
        "covers fetching a batch of resident images, forward, backward, optimiser step and running metrics; "
        "it leaves out loading, decoding and evaluation."
    )
    return told


def references(evidence: Evidence) -> list[dict[str, Any]]:
    """Each published figure, our interval for one further run, and whether it lies inside."""
    runs = evidence.tables["runs"]
    everyone = runs[(runs["phase"] == "confirm") & (runs["arm"] == evidence.arms[0])]
    ours = everyone[everyone["status"] == "complete"]
    found = []
    for reference in evidence.study.references:
        values = ours[reference.metric].dropna().astype(float).tolist()
        if ((everyone["status"] == "diverged") | (everyone["test_accuracy"] <= evidence.ceiling)).any():
            break  # an interval of survivors, or of two kinds of outcome, is none for one further run
        further = prediction_interval(values, 1 - evidence.study.decision.alpha)
        if further is not None:
            found.append(
                {
                    "name": reference.name,
                    "metric": reference.metric.replace("_", " "),
                    "value": f"{reference.value:.3f}",
                    "source": reference.source,
                    "interval": f"{further.low:.3f} to {further.high:.3f}",
                    "mean": f"{further.mean:.3f}",
                    "inside": further.low <= reference.value <= further.high,
                }
            )
    return found


def _by(row: Mapping[str, Any]) -> str:
    """`, +2.13 points`, where there is a mean difference."""
    return "" if row["difference"] is None else f", {points(row['difference'], signed=True)}"


def _finalists(evidence: Evidence) -> Mapping[str, Finalist]:
    return evidence.provenance.search.finalists if evidence.provenance.search else {}


def _full(study: StudySpec) -> str:
    given = (
        (name, value.value if isinstance(value, ValueWhen) else value)
        for name, (value,) in study.factors.items()
    )
    return ", ".join(f"{spoken(name)} {as_written(value)}" for name, value in given)


def _factors(evidence: Evidence) -> str:
    """`pooling (baseline: avg)`, for every factor."""
    runs = evidence.tables["runs"]
    baseline = runs[runs["arm"] == evidence.arms[0]]
    told = []
    for name in evidence.study.factor_names:
        values = baseline[name].dropna() if name in baseline else baseline["arm"].head(0)
        told.append(spoken(name) + (f" ({evidence.arms[0]}: {values.iloc[0]})" if len(values) else ""))
    return ", ".join(told)


def _listed(settings: Mapping[str, Any], leave_out: Container[str]) -> str:
    return ", ".join(f"{spoken(k)} {as_written(v)}" for k, v in settings.items() if k not in leave_out)


def _tuned(evidence: Evidence) -> str:
    study, tuned = evidence.study, evidence.tables["tuning"]
    if not study.tuning.active:
        return "nothing was tuned"
    parts = []
    for name, ranges in study.tuning.ranges.items():
        of_name = tuned[tuned["parameter"] == name]
        if len(ranges) > 1 and not of_name.empty:
            spans = (
                f"{span.low:g} to {span.high:g}" + (f" where {_listed(span.when, ())}" if span.when else "")
                for span in ranges
            )
            parts.append(f"{spoken(name)} tuned for every arm over {', or '.join(spans)}")
        elif not of_name.empty:
            (span,) = ranges
            beyond = ", widened since a best lay at an edge" if of_name["extended"].any() else ""
            parts.append(f"{spoken(name)} tuned alike for every arm ({span.low:g} to {span.high:g}{beyond})")
    return ", ".join(parts) or ("tuning still under way" if evidence.preliminary else "nothing was tuned")
