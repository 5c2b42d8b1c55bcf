"""State the answer of a study with contexts: a headline, and the answers of all contexts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablate.formatting import (
    format_count,
    format_difference,
    format_interval,
    format_list,
    format_margin,
    format_p,
    list_rows,
)
from ablate.report.answer import name_most_accurate_arm
from ablate.report.contexts.evidence import ContextsEvidence
from ablate.report.evidence import Evidence
from ablate.report.expectations import judge_prediction
from ablate.report.stability import find_trained_difference
from ablate.report.statements import state_baseline
from ablate.report.verdicts import explain_verdict
from ablate.stats.contrasts import BOTH_ALONE
from ablate.stats.verdicts import NO_SPREAD, UNTRAINED, Verdict
from ablate.study.spec import format_value

DIFFERS = (Verdict.MATTERS, Verdict.SIZE_UNCLEAR)
"""The verdicts of a significant change. They mean that the difference depends on the context."""


@dataclass(frozen=True, kw_only=True)
class AnswerInContext:
    """The answer of one context to a comparison."""

    context: str
    verdict: str
    difference: str
    """The difference with its unit. A dash if it is not reported.

    If runs did not train, it is the difference over the seeds in which all arms trained, and says so.
    """
    interval: str
    sentence: str
    expected: str
    """Says whether the difference lies in its predicted interval. Empty without a prediction."""


@dataclass(frozen=True, kw_only=True)
class ContextsFinding:
    """The answers of all contexts to one comparison, and whether they depend on the context."""

    subject: str
    is_interaction: bool
    """Whether it is about two factors. If not, it compares two arms."""
    depends: bool
    """Whether a change between two contexts is significant."""
    trains_in_some: bool
    """Whether all runs of the comparison trained in some contexts only."""
    is_alike: bool
    """Whether every context has this comparison, all signs agree, and every change was tested."""
    answers: Sequence[AnswerInContext]
    changes: Sequence[str]
    """A sentence about each change between the first context and another one."""


def list_contexts_findings(evidence: ContextsEvidence) -> list[ContextsFinding]:
    """List the findings in the order of the first finished context."""
    if not evidence.finished:
        return []
    first = next(iter(evidence.finished))
    findings = []
    for (arm, baseline), of_pair in evidence.table.groupby(["arm", "baseline"], sort=False):
        rows = list_rows(of_pair)
        findings.append(
            ContextsFinding(
                subject=_name_subject(str(arm), str(baseline), evidence),
                is_interaction=baseline == BOTH_ALONE,
                depends=any(row["change_verdict"] in DIFFERS for row in rows),
                trains_in_some=len({row["verdict"] in UNTRAINED for row in rows}) == 2,
                is_alike=_is_alike(rows, len(evidence.finished)),
                answers=[_answer(row, evidence.finished[row["context"]]) for row in rows],
                changes=[
                    _explain_change(row, first, evidence) for row in rows if row["change_verdict"] is not None
                ],
            )
        )
    return findings


def _name_subject(arm: str, baseline: str, evidence: ContextsEvidence) -> str:
    """Name a comparison with its factor values, if they are the same in every context."""
    having = (each for each in evidence.finished.values() if {arm, baseline} <= set(each.arms))
    named = {each.names.name_contrast(arm, baseline) for each in having}
    if len(named) == 1:
        return named.pop()
    first = next(iter(evidence.finished.values()))
    # Without factor values in the table of names, no value is added.
    return replace(first.names, values=first.names.values.iloc[:0]).name_contrast(arm, baseline)


def state_contexts_headline(evidence: ContextsEvidence, findings: Sequence[ContextsFinding]) -> str:
    """State in one line whether the answer depends on the context.

    Searches find other networks in each context. Then the line names the most accurate one of each context.
    """
    if evidence.waiting:
        done = f"{len(evidence.study.contexts) - len(evidence.waiting)} of {len(evidence.study.contexts)}"
        return f"preliminary: {done} contexts are finished; {format_list(evidence.waiting)} will follow"
    if evidence.searched:
        found = ((context, name_most_accurate_arm(each)) for context, each in evidence.finished.items())
        told = [f"{best or 'not known'} in {context}" for context, best in found]
        return f"the highest mean test accuracy belongs to {format_list(told)}"
    names = format_list(list(evidence.finished))
    told = []
    ordered = sorted(findings, key=lambda finding: not finding.is_interaction)
    if depending := [finding.subject for finding in ordered if finding.depends]:
        told.append(f"the answer depends on the context: {_shorten(depending)}")
    told += _list_broken(ordered)
    if told:
        return "; ".join(told)
    verdicts = {answer.verdict for finding in findings for answer in finding.answers}
    if len(verdicts) == 1 and all(finding.is_alike for finding in findings):
        return f"the verdict is the same in every context ({names}): {next(iter(verdicts))}"
    if any(finding.changes for finding in findings):
        return f"the seeds do not show that a comparison depends on the context ({names})"
    return f"no comparison of these contexts with each other is possible ({names})"


def _list_broken(findings: Sequence[ContextsFinding]) -> Iterator[str]:
    """Name the contexts in which some runs did not train, with the comparisons that did train elsewhere."""
    broken: dict[tuple[str, ...], list[str]] = {}
    for finding in findings:
        if finding.trains_in_some:
            where = tuple(answer.context for answer in finding.answers if answer.verdict in UNTRAINED)
            broken.setdefault(where, []).append(finding.subject)
    for where, subjects in broken.items():
        yield f"some runs did not train in {format_list(list(where))}: {_shorten(subjects)}"


def _is_alike(rows: Sequence[Mapping[str, Any]], contexts: int) -> bool:
    signs = {row["difference"] > 0 for row in rows if row["difference"]}
    tested = all(row["change"] is not None for row in rows[1:])
    return len(rows) == contexts and len(signs) < 2 and tested


def _shorten(names: Sequence[str]) -> str:
    return format_list(list(names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def list_remarks_on_contexts(evidence: ContextsEvidence) -> list[str]:
    """List sentences about what the page does not compare, and why."""
    told = [f"{name}: {reason}." for name, reason in evidence.unusable.items()]
    told += [
        f"{missing} was not on the machine. The fallback of the study file replaced it."
        for missing in evidence.fallbacks
    ]
    told += evidence.obstacles
    interactions = evidence.table[evidence.table["baseline"] == BOTH_ALONE]
    several = len(evidence.finished) > 1 and not evidence.obstacles
    if several and len(interactions) and interactions["change_verdict"].isna().all():
        told.append(
            "Interactions are not compared between these contexts, because the contexts differ in the values "
            "of the factors."
        )
    return told + list(_list_missing_comparisons(evidence))


def _list_missing_comparisons(evidence: ContextsEvidence) -> Iterator[str]:
    """Yield a sentence for each context with comparisons that the first finished context lacks."""
    pairs = {
        name: list(zip(table["arm"], table["baseline"], strict=True))
        for name, each in evidence.finished.items()
        for table in [each.tables["comparisons"]]
    }
    first = next(iter(pairs.values()), [])
    for name, of_context in pairs.items():
        if own := [arm for arm, other in of_context if (arm, other) not in first]:
            yield f"Only {name} has these comparisons, which are not shown here: {_shorten(own)}."


def describe_contexts(evidence: ContextsEvidence) -> list[tuple[str, str]]:
    """Say for each context what it changes in the study file."""
    return [
        (name, _list_keys(changes) or _describe_unchanged(evidence.contexts.get(name)))
        for name, changes in evidence.study.contexts.items()
    ]


def _describe_unchanged(evidence: Evidence | None) -> str:
    """Describe a context that changes nothing in the study file."""
    unchanged = "the study file without changes"
    return unchanged if evidence is None else f"{unchanged} (baseline: {state_baseline(evidence)})"


def _list_keys(changes: Mapping[str, Any], prefix: str = "") -> str:
    """List the keys of nested mappings with their values: `recipe.epochs: 20, baseline.activation: relu`."""
    told = []
    for key, value in changes.items():
        if key in ("predicted", "fallback", "question"):
            continue  # they change no run
        if isinstance(value, Mapping) and not {"low", "high"} & value.keys():
            told.append(_list_keys(value, f"{prefix}{key}."))
        elif isinstance(value, Mapping):
            told.append(f"{prefix}{key}: {value.get('low')} to {value.get('high')}")
        else:
            told.append(f"{prefix}{key}: {_spell(value)}")
    return ", ".join(filter(None, told))


def _spell(value: Any) -> str:
    """Write a value as the study file does."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_spell(inner)}" for key, inner in value.items())
    if isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        return "; ".join(map(_spell, value))
    return format_value(value)


def _answer(row: Mapping[str, Any], evidence: Evidence) -> AnswerInContext:
    unit, confidence = evidence.metric.unit, 1 - evidence.study.decision.alpha
    (own,) = evidence.find_rows("comparisons", row)
    shown = find_trained_difference(own, evidence) or row
    has_interval = shown["ci_low"] is not None
    where = f" {shown['where']}" if "where" in shown else ""
    return AnswerInContext(
        context=row["context"],
        verdict=row["verdict"],
        difference="–"
        if shown["difference"] is None
        else format_difference(shown["difference"], unit, signed=True) + where,
        interval=format_interval(shown["ci_low"], shown["ci_high"], confidence, unit)
        if has_interval
        else "–",
        sentence=explain_verdict(own, evidence),
        expected=judge_prediction(own, evidence),
    )


def _explain_change(row: Mapping[str, Any], first: str, evidence: ContextsEvidence) -> str:
    """Explain whether the difference in a context differs from the difference in the first context."""
    study, unit, context = evidence.finished[first].study, evidence.metric.unit, row["context"]
    decision, verdict, tests = study.decision, row["change_verdict"], row["change_tests"]
    if verdict in UNTRAINED:
        return f"{context} and {first} cannot be compared: in one of them, some runs did not train."
    if row["change"] is None or verdict == Verdict.NO_VERDICT:
        return (
            f"{context} and {first} cannot be compared: too few seeds have runs of all arms in both contexts."
        )
    size = format_difference(abs(row["change"]), unit)
    what = "interaction" if row["baseline"] == BOTH_ALONE else "difference"
    seeds = max(evidence.finished[name].count_seeds(row) for name in (first, context))
    shared = row["change_pairs"] < seeds
    told = (
        f"{'In the seeds that both contexts share, the' if shared else 'The'} {what} is "
        f"{size} {'higher' if row['change'] >= 0 else 'lower'} in {context} than in {first}"
    )
    if verdict in NO_SPREAD:
        return f"{told}, the same in all {row['change_pairs']} seeds."
    interval = format_interval(row["change_ci_low"], row["change_ci_high"], 1 - decision.alpha, unit)
    corrected = f" after Holm's correction for {format_count(tests, 'test')}" if tests > 1 else ""
    tested = (
        f"{told} ({interval}; {format_p(row['change_p_holm'])}{corrected}; "
        f"{format_count(row['change_pairs'], 'paired seed')})."
    )
    if verdict in DIFFERS:
        return f"{tested} So the {what} depends on the context."
    if verdict == Verdict.EQUIVALENT:
        confidence = round(1 - 2 * decision.alpha / tests, 4)
        shown = format_interval(
            row["change_equivalence_ci_low"], row["change_equivalence_ci_high"], confidence, unit
        )
        margin = format_margin(decision.margin, unit)
        return f"{tested} Any change is smaller than the margin of ±{margin} ({shown})."
    return f"{tested} These seeds do not show whether the {what} depends on the context."
