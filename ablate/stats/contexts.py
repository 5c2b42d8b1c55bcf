"""Contexts: test whether the difference between two arms depends on the context in which they were trained.

An arm is a variant of the network. A context trains the same arms with another recipe or on other images. The
arms' difference in one context minus their difference in another context is a change. The mean of the change
over seeds is tested like any other contrast. Statisticians call this change an interaction of the arm and the
context.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ablate.formatting import list_rows
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
    values: pd.Series
    """The value of the metric that decides the verdicts for each confirmed run, by `(arm, seed)`."""


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
        name: {(row["arm"], row["baseline"]): row for row in list_rows(context.comparisons)}
        for name, context in contexts.items()
    }
    changes = {} if decision is None else _judge_changes(contexts, by_pair, decision)
    rows = []
    for pair in by_pair[first]:
        for name, of_context in by_pair.items():
            if pair in of_context:
                rows.append({**of_context[pair], "context": name, **changes.get((name, *pair), {})})
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
        pd.concat([_take_above_chance(name, each) for name, each in contexts.items()]),
        contrasts,
        decision,
        ceiling=0.0,
        values=pd.concat(
            [
                each.values.rename(lambda arm, name=name: _spell(name, arm), level="arm")
                for name, each in contexts.items()
            ]
        ),
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


def _take_above_chance(name: str, context: InContext) -> pd.DataFrame:
    """Return the runs of a context with the difference of their accuracies to that of guessing.

    Contexts can differ in the accuracy of guessing. A run stayed at chance if its difference is not positive.
    """
    runs = context.runs
    above = runs["test_accuracy"] - context.ceiling
    return runs.assign(arm=[_spell(name, arm) for arm in runs["arm"]], test_accuracy=above)


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
