"""Contexts: test whether a contrast of arms depends on the context in which they were trained.

An arm is a variant of the network. A contrast is a difference between two arms or an interaction of two
factors. A context trains the same arms with another recipe or on other images. The contrast in one context
minus the contrast in another context is a change. The mean of the change over seeds is tested like any other
contrast. Statisticians call this change an interaction with the context.
"""

from collections.abc import Mapping, Sequence
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
    contrasts: Sequence[Contrast]
    """What the context tests, in terms of its own arms."""
    comparisons: pd.DataFrame
    """The `comparisons` table. It has a row for each contrast."""
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
    changes = {} if decision is None else _judge_changes(contexts, decision)
    rows = []
    for pair in by_pair[first]:
        for name, of_context in by_pair.items():
            if pair in of_context:
                rows.append({**of_context[pair], "context": name, **changes.get((name, *pair), {})})
    return make_frame("contexts", rows)


def _judge_changes(
    contexts: Mapping[str, InContext], decision: Decision
) -> dict[tuple[str, str, str], dict[str, object]]:
    """Test whether each contrast changes from the first context to each of the other contexts.

    Contrasts of the same name are compared if they have the same weights. With other weights, they would be
    means over other arms.

    The test pairs the runs that have the same seed. The test is valid even if these runs have nothing else in
    common.
    """
    first, *others = contexts
    by_name = {
        context: {(contrast.name, contrast.reference): contrast for contrast in each.contrasts}
        for context, each in contexts.items()
    }
    changes = {
        (other, *key): _make_contrast(first, contrast, other, by_name[other][key])
        for other in others
        for key, contrast in by_name[first].items()
        if key in by_name[other] and by_name[other][key].weights == contrast.weights
    }
    if not changes:
        return {}
    judgement = judge(
        pd.concat([_take_above_chance(name, each) for name, each in contexts.items()]),
        list(changes.values()),
        decision,
        ceiling=0.0,
        values=pd.concat(
            [
                each.values.rename(lambda arm, name=name: _spell(name, arm), level="arm")
                for name, each in contexts.items()
            ]
        ),
    )
    return {key: _make_change(result) for key, result in zip(changes, judgement.latest, strict=True)}


def _make_contrast(first: str, there: Contrast, other: str, here: Contrast) -> Contrast:
    """Subtract a contrast in the first context from the same contrast in another context."""
    return Contrast(
        name=_spell(other, f"{here.name} − {here.reference}"),
        reference=_spell(first, f"{there.name} − {there.reference}"),
        weights={_spell(other, arm): weight for arm, weight in here.weights.items()}
        | {_spell(first, arm): -weight for arm, weight in there.weights.items()},
    )


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

    A change compares the same arms in two contexts. If some of their runs did not train, the change has no
    mean.
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
