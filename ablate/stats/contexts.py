"""Contexts: test whether the difference between two arms depends on the context in which they were trained.

An arm is a variant of the network. A context trains the same arms with another recipe or on other images. The
arms' difference in one context minus their difference in another context is a change. The mean of the change
over seeds is tested like any other contrast. Statisticians call this change an interaction of the arm and the
context.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ablate.records.tables import make_frame
from ablate.stats.comparisons import judge
from ablate.stats.contrasts import Contrast
from ablate.stats.look_tests import Result
from ablate.study.effort import Decision


@dataclass(frozen=True, kw_only=True)
class InContext:
    """The results of one context."""

    runs: pd.DataFrame
    """The `runs` table."""
    comparisons: pd.DataFrame
    """The `comparisons` table."""
    ceiling: float
    """The highest test accuracy that guessing can reach."""
    values: pd.Series | None = None
    """Each run's value of the metric that decides the verdicts. If None, the accuracy decides."""


def tabulate_contexts(contexts: Mapping[str, InContext], decision: Decision | None) -> pd.DataFrame:
    """Make the `contexts` table: each comparison in each context, and its change from the first context.

    Args:
        contexts: the finished contexts by name. A comparison that the first context lacks is left out.
        decision: the margin and the significance level alpha for the changes. If None, no change is tested.
    """
    if not contexts:
        return make_frame("contexts", [])
    first = next(iter(contexts))
    by_pair = {
        name: {(row["arm"], row["baseline"]): row for row in context.comparisons.to_dict("records")}
        for name, context in contexts.items()
    }
    changes = {} if decision is None else _judge_changes(contexts, by_pair, decision)
    rows = []
    for pair in by_pair[first]:
        for name, of_context in by_pair.items():
            if pair in of_context:
                row = {key: None if pd.isna(value) else value for key, value in of_context[pair].items()}
                rows.append({**row, "context": name, **changes.get((name, *pair), {})})
    return make_frame("contexts", rows)


def _judge_changes(
    contexts: Mapping[str, InContext],
    by_pair: Mapping[str, Mapping[tuple[str, str], object]],
    decision: Decision,
) -> dict[tuple[str, str, str], dict[str, object]]:
    """Test whether each comparison changes from the first context to each of the other contexts.

    The test pairs the runs that have the same seed. The test is valid even if these runs have nothing else in
    common.
    """
    first, *others = contexts
    keys = [
        (name, *pair)
        for name in others
        for pair in by_pair[first]
        if pair in by_pair[name] and set(pair) <= set(contexts[name].runs["arm"])
    ]
    contrasts = [_make_contrast(first, *key) for key in keys]
    if not contrasts:
        return {}
    judgement = judge(
        pd.concat(
            [
                each.runs.assign(arm=each.runs["arm"].map(lambda arm, name=name: _spell(name, arm)))
                for name, each in contexts.items()
            ]
        ),
        contrasts,
        decision,
        ceiling=max(each.ceiling for each in contexts.values()),
        values=_join_values(contexts),
    )
    return {key: _make_change(result) for key, result in zip(keys, judgement.latest, strict=True)}


def _make_contrast(first: str, other: str, arm: str, baseline: str) -> Contrast:
    weights = {
        _spell(other, arm): 1.0,
        _spell(other, baseline): -1.0,
        _spell(first, arm): -1.0,
        _spell(first, baseline): 1.0,
    }
    pair = f"{arm} − {baseline}"
    return Contrast(name=_spell(other, pair), reference=_spell(first, pair), weights=weights)


def _spell(context: str, arm: str) -> str:
    """Make a name for an arm in one context. The name is unique, because no context's name has a colon."""
    return f"{context}: {arm}"


def _join_values(contexts: Mapping[str, InContext]) -> pd.Series | None:
    joined = [
        each.values.rename(lambda arm, name=name: _spell(name, arm), level="arm")
        for name, each in contexts.items()
        if each.values is not None
    ]
    return pd.concat(joined) if joined else None


def _make_change(result: Result) -> dict[str, object]:
    """Make the columns that describe a change from the first context to another one.

    A change compares two arms in two contexts. If some of these runs did not train, the change has no mean.
    """
    row = {} if result.broken else result.row
    columns = {
        "change": "difference",
        "change_ci_low": "ci_low",
        "change_ci_high": "ci_high",
        "change_equivalence_ci_low": "equivalence_ci_low",
        "change_equivalence_ci_high": "equivalence_ci_high",
        "change_p_holm": "p_holm",
    }
    return {
        **{column: row.get(source) for column, source in columns.items()},
        "change_pairs": len(result.values),
        "change_tests": result.family,
        "change_verdict": result.verdict,
    }
