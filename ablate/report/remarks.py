"""Write remarks on all arms together, for example that a best value depends on another factor."""

from collections.abc import Iterator

from ablate.formatting import format_difference, format_list, list_rows, spell_keyword
from ablate.records.run_records import Phase
from ablate.report.evidence import Evidence
from ablate.stats.contrasts import BOTH_ALONE, tabulate_settings
from ablate.stats.verdicts import Verdict
from ablate.study.spec import FULL

SETTLED = (Verdict.MATTERS, Verdict.SIZE_UNCLEAR)
"""The verdicts that say that there is a difference."""


def list_remarks(evidence: Evidence) -> list[str]:
    """List sentences about all arms together. An unfinished study has no such sentences."""
    if evidence.preliminary:
        return []
    if evidence.study.design == "factorial":
        return list(_find_changing_leaders(evidence))
    if evidence.study.design == "leave_one_out":
        return [_describe_steps(evidence)]
    if evidence.study.design == "search" and len(evidence.arms) == 1:
        tried = evidence.tables["runs"]
        statuses = tried.loc[tried["phase"] == Phase.SEARCH, "status"].value_counts()
        told = ", ".join(f"{count} {status}" for status, count in statuses.items())
        return [
            "The search found no finalist: apart from the baseline, no candidate was more than twice as "
            f"accurate as guessing (candidates: {told}). Try other ranges, more epochs or more candidates."
        ]
    return []


def _find_changing_leaders(evidence: Evidence) -> Iterator[str]:
    """Yield a sentence for every factor whose most accurate value depends on another factor.

    The sentence names the most accurate value at each value of the other factor. Accuracies are means over
    seeds, with all further factors at the baseline's value. A pair of factors without a significant
    interaction is skipped.
    """
    means = evidence.tables["arms"].set_index("arm")["test_accuracy_mean"].dropna().astype(float)
    factors = list(evidence.study.factors)
    settings = tabulate_settings(evidence.confirmed, factors)
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
                told = [f"{leader} at {spell_keyword(other)} {value}" for value, leader in leaders.items()]
                yield (
                    f"The most accurate {spell_keyword(factor)} depends on the {spell_keyword(other)}: "
                    f"{format_list(told)}."
                )


def _interact(evidence: Evidence, one: str, other: str) -> bool:
    """Whether a test found an interaction of the two factors.

    Without an interaction, noise can be the reason why the most accurate value of a factor changes.
    """
    compared = list_rows(evidence.tables["comparisons"])
    names = (row["arm"] for row in compared if row["baseline"] == BOTH_ALONE and row["verdict"] in SETTLED)
    pairs = ({half.partition("=")[0] for half in name.split(" × ")} for name in names)
    return {one, other} in pairs


def _describe_steps(evidence: Evidence) -> str:
    """Describe the steps from the baseline to the full arm, with the difference of each step."""
    told = []
    for row in list_rows(evidence.tables["path"]):
        gap = (
            ""
            if row["difference"] is None
            else f" {format_difference(row['difference'], evidence.metric.unit, signed=True)}"
        )
        told.append(f"{evidence.names.name_change(row['arm'], row['baseline'])}{gap} ({row['verdict']})")
    return f"From {evidence.arms[0]} to {FULL}, one change at a time: {', then '.join(told)}."
