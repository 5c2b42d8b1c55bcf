"""The change of a difference between contexts is a paired t-test of the seeds' differences."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ablate.records.tables import make_frame
from ablate.stats.comparison_tables import tabulate_comparisons
from ablate.stats.comparisons import judge
from ablate.stats.contexts import InContext, tabulate_contexts
from ablate.stats.contrasts import BOTH_ALONE, Contrast, make_contrasts
from ablate.stats.decision_values import DEFAULT, read_decision_values
from ablate.study.effort import Decision

DECISION = Decision(margin=0.01, alpha=0.05)
INTERACTION = Contrast(
    name="a × b", reference=BOTH_ALONE, weights={"a,b": 1.0, "a": -1.0, "b": -1.0, "baseline": 1.0}
)


def make_context(
    rng: np.random.Generator,
    effects: dict[str, float],
    seeds: int = 8,
    *,
    level: float = 0.8,
    ceiling: float = 0.1,
) -> InContext:
    """A context whose arms differ from the baseline by these effects, and by noise."""
    rows = []
    for arm, effect in {"baseline": 0.0, **effects}.items():
        for seed in range(seeds):
            accuracy = level + effect + rng.normal(0, 0.004)
            rows.append({"phase": "confirm", "arm": arm, "setting": "recipe", "seed": seed, "status": "complete", "test_accuracy": accuracy})  # fmt: skip
    runs = make_frame("runs", rows)
    contrasts = make_contrasts([(arm, "baseline") for arm in effects])
    if "a,b" in effects:
        contrasts.append(INTERACTION)
    judged = judge(runs, contrasts, DECISION, ceiling=ceiling)
    return InContext(
        runs=runs,
        contrasts=contrasts,
        comparisons=tabulate_comparisons(judged),
        ceiling=ceiling,
        values=read_decision_values({"runs": runs}, DEFAULT),
    )


def read_differences(context: InContext, arm: str) -> np.ndarray:
    by_seed = context.runs.pivot(index="seed", columns="arm", values="test_accuracy").astype(float)
    return (by_seed[arm] - by_seed["baseline"]).to_numpy()


def test_a_change_is_tested_as_scipy_tests_the_differences_of_the_seeds() -> None:
    rng = np.random.default_rng(3)
    contexts = {
        "chapter": make_context(rng, {"a": 0.02, "b": 0.0}),
        "modern": make_context(rng, {"a": 0.0, "b": 0.001}),
        "mnist": make_context(rng, {"a": 0.015, "b": 0.0}, seeds=6),
    }
    table = tabulate_contexts(contexts, DECISION).set_index(["context", "arm"])
    places = [("modern", "a"), ("modern", "b"), ("mnist", "a"), ("mnist", "b")]
    tested = []
    for name, arm in places:
        n = 6 if name == "mnist" else 8  # only seeds of both contexts are paired
        gaps = read_differences(contexts[name], arm)[:n] - read_differences(contexts["chapter"], arm)[:n]
        tested.append(stats.ttest_1samp(gaps, 0))
        row = table.loc[(name, arm)]
        assert row["change"] == pytest.approx(gaps.mean())
        interval = tested[-1].confidence_interval(0.95)
        assert (row["change_ci_low"], row["change_ci_high"]) == pytest.approx((interval.low, interval.high))
        assert row["change_pairs"] == n
    holm = multipletests([one.pvalue for one in tested], method="holm")[1]
    assert table.loc[places, "change_p_holm"].astype(float).tolist() == pytest.approx(holm.tolist(), rel=1e-6)
    assert table["change"].loc["chapter"].isna().all()
    assert table.loc[("modern", "a"), "change_verdict"] == "matters"


def test_a_change_of_an_interaction_is_tested_as_scipy_tests_it() -> None:
    rng = np.random.default_rng(5)
    contexts = {
        "chapter": make_context(rng, {"a": 0.02, "b": 0.03, "a,b": 0.01}),
        "modern": make_context(rng, {"a": 0.02, "b": 0.0, "a,b": 0.02}),
    }
    table = tabulate_contexts(contexts, DECISION).set_index(["context", "baseline"])
    row = table.loc[("modern", BOTH_ALONE)]
    chapter, modern = (
        read_differences(each, "a,b") - read_differences(each, "a") - read_differences(each, "b")
        for each in contexts.values()
    )
    tested = stats.ttest_1samp(modern - chapter, 0)
    interval = tested.confidence_interval(0.95)
    assert row["change"] == pytest.approx((modern - chapter).mean())
    assert (row["change_ci_low"], row["change_ci_high"]) == pytest.approx((interval.low, interval.high))
    assert (row["change_tests"], row["change_verdict"]) == (4, "matters")


def test_interactions_of_the_same_name_over_other_arms_are_not_compared() -> None:
    rng = np.random.default_rng(6)
    effects = {"a": 0.02, "b": 0.03, "a,b": 0.01}
    chapter, modern = make_context(rng, effects), make_context(rng, effects)
    halved = replace(INTERACTION, weights={arm: weight / 2 for arm, weight in INTERACTION.weights.items()})
    table = tabulate_contexts(
        {"chapter": chapter, "modern": replace(modern, contrasts=[*modern.contrasts[:-1], halved])}, DECISION
    ).set_index(["context", "baseline"])
    assert pd.isna(table.loc[("modern", BOTH_ALONE), "change_verdict"])


def test_with_equal_contexts_a_change_is_shown_in_about_five_percent() -> None:
    rng, shown = np.random.default_rng(0), 0
    for _ in range(200):
        contexts = {name: make_context(rng, {"a": 0.02}, seeds=5) for name in ("chapter", "modern")}
        table = tabulate_contexts(contexts, DECISION)
        shown += bool((table["change_p_holm"].dropna() < 0.05).any())
    assert stats.binomtest(shown, 200, 0.05).pvalue > 0.001


def test_a_context_with_runs_that_did_not_train_has_no_change() -> None:
    rng = np.random.default_rng(1)
    broken = make_context(rng, {"a": 0.02})
    broken.runs.loc[0, "test_accuracy"] = 0.1
    table = tabulate_contexts({"chapter": make_context(rng, {"a": 0.02}), "modern": broken}, DECISION)
    row = table[table["context"] == "modern"].iloc[0]
    assert row["change_verdict"] == "unstable"
    assert pd.isna(row["change"])


def test_an_arm_that_one_context_lacks_is_not_compared() -> None:
    rng = np.random.default_rng(2)
    contexts = {"chapter": make_context(rng, {"a": 0.0, "b": 0.0}), "modern": make_context(rng, {"a": 0.0})}
    table = tabulate_contexts(contexts, DECISION)
    assert table[["arm", "context"]].to_numpy().tolist() == [
        ["a", "chapter"], ["a", "modern"], ["b", "chapter"],
    ]  # fmt: skip
    assert tabulate_contexts({}, None).empty


def test_each_context_has_its_own_accuracy_of_guessing() -> None:
    rng = np.random.default_rng(4)
    contexts = {
        "ten classes": make_context(rng, {"a": 0.02}, level=0.86, ceiling=0.14),
        "two classes": make_context(rng, {"a": 0.0}, level=0.955, ceiling=0.942),
    }
    table = tabulate_contexts(contexts, DECISION).set_index("context")
    assert table.loc["two classes", "change_verdict"] == "matters"
    assert table.loc["two classes", "change"] == pytest.approx(-0.02, abs=0.01)
