"""Several looks at the results: the claims stay calibrated, and the simulation stops where a study would."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from scipy import stats as reference

from ablate.records.tables import make_frame
from ablate.stats import comparison_tables, comparisons, stopping
from ablate.stats.contrasts import make_contrasts
from ablate.stats.family import FamilyTest, correct
from ablate.stats.looks import Look, plan_looks
from ablate.stats.stopping import Reach, Step, simulate
from ablate.stats.verdicts import Verdict
from ablate.study.effort import Decision
from ablate.study.seed_looks import SeedLooks

DECISION = Decision(margin=0.01, alpha=0.05)
SEEDS = SeedLooks(at_least=5, at_most=40)
LOOKS = plan_looks(SEEDS, DECISION.alpha)


def make_runs(**accuracies: Sequence[float]) -> pd.DataFrame:
    return make_frame(
        "runs",
        [
            {"phase": "confirm", "arm": arm, "setting": "recipe", "seed": seed, "status": "complete", "test_accuracy": value}
            for arm, values in accuracies.items()
            for seed, value in enumerate(values)
        ],
    )  # fmt: skip


def judge(runs: pd.DataFrame, looks: Sequence[Look] = LOOKS, arms: Sequence[str] = ("arm",)):
    contrasts = make_contrasts((arm, "base") for arm in arms)
    return comparisons.judge(runs, contrasts, DECISION, ceiling=0.11, looks=looks)


@pytest.mark.parametrize("spending", ["linear", "obrien_fleming"])
@pytest.mark.parametrize(("first", "last"), [(3, 4), (5, 40), (10, 1000)])
def test_the_looks_grow_from_the_least_to_the_most_seeds_and_spend_all_of_alpha(
    spending: str, first: int, last: int
) -> None:
    looks = plan_looks(SeedLooks(at_least=first, at_most=last, spending=spending), 0.05)
    counts = [look.seeds for look in looks]
    assert (counts[0], counts[-1]) == (first, last)
    assert counts == sorted(set(counts))
    assert sum(look.share for look in looks) == pytest.approx(1)
    assert min(look.share for look in looks) > 0


def test_obrien_fleming_spends_what_lan_and_demets_published() -> None:
    looks = plan_looks(SeedLooks(looks=(20, 40, 60, 80, 100), spending="obrien_fleming"), 0.05)
    spent = np.cumsum([look.share * 0.05 for look in looks])
    # Lan & DeMets (1983); the same numbers are in Jennison & Turnbull (2000), section 7.2.
    assert spent == pytest.approx([0.00001, 0.0019, 0.0114, 0.0284, 0.05], abs=2e-4)


def test_a_simulated_study_stops_where_a_real_one_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "SIMULATED_STUDIES", 12)
    effect, spread = 0.012, 0.009
    simulated = simulate(effect, spread, LOOKS, DECISION, 1)
    values = np.random.default_rng(0).normal(effect, spread, size=(12, 40))
    assert len(set(simulated.seeds)) > 2
    for gaps, seeds, mean in zip(values, simulated.seeds, simulated.means, strict=True):
        (result,) = judge(make_runs(base=[0.8] * 40, arm=(0.8 + gaps).tolist())).latest
        assert result.look.seeds == seeds
        assert result.row["difference"] == pytest.approx(mean, abs=1e-8)


@pytest.mark.parametrize("spread", [0.006, 0.012])
@pytest.mark.parametrize("effect", [0.0, 0.01, 0.02])
def test_the_interval_stays_valid_although_the_study_may_stop(effect: float, spread: float) -> None:
    done = simulate(effect, spread, LOOKS, DECISION, 1)
    misses = np.mean(np.abs(done.means - effect) > done.reaches * done.errors)
    assert misses <= DECISION.alpha + 3 * np.sqrt(0.05 * 0.95 / len(done.means))


def test_an_interval_that_ignores_the_looks_is_wrong_too_often() -> None:
    """The law above can fail: with all of alpha at every look, a difference of zero is missed too often."""
    greedy = [Look(seeds=look.seeds, share=1.0) for look in LOOKS]
    decision = Decision(margin=0.0001, alpha=0.05)  # so that studies stop at the first apparent difference
    done = simulate(0.0, 0.006, greedy, decision, 1)
    assert np.mean(np.abs(done.means) > done.reaches * done.errors) > 0.1
    honest = simulate(0.0, 0.006, LOOKS, decision, 1)
    assert np.mean(np.abs(honest.means) > honest.reaches * honest.errors) < 0.05


def test_a_decided_comparison_needs_no_more_seeds_and_the_others_go_on() -> None:
    rng = np.random.default_rng(2)
    base = 0.8 + rng.normal(scale=0.001, size=40)
    clear, unclear = base + 0.05 + rng.normal(scale=0.004, size=40), base + rng.normal(0.009, 0.012, size=40)
    runs = make_runs(base=base.tolist(), clear=clear[:5].tolist(), unclear=unclear[:5].tolist())
    first = judge(runs, arms=("clear", "unclear"))
    steps = {result.contrast.name: result.step for result in first.latest}
    assert steps == {"clear": Step.DECIDED, "unclear": Step.GO_ON}
    assert first.wanted_seeds == {"base": 8, "clear": 5, "unclear": 8}
    # More runs of the decided arm change nothing in its result.
    more = make_runs(base=base.tolist(), clear=clear.tolist(), unclear=unclear.tolist())
    later = {result.contrast.name: result for result in judge(more, arms=("clear", "unclear")).latest}
    assert later["clear"].row == first.latest[0].row
    assert later["unclear"].look.seeds > 5


def test_what_an_earlier_look_has_shown_keeps_an_honest_p_value() -> None:
    gaps = 0.013 + 0.004 * np.array([1, -1] * 20)  # different from zero at once, beyond the margin later
    judgement = judge(make_runs(base=[0.8] * 40, arm=(0.8 + gaps).tolist()))
    first, second = judgement.history[:2]
    assert (first.verdict, first.step) == (Verdict.SIZE_UNCLEAR, Step.GO_ON)
    p = reference.ttest_1samp(gaps[:8], 0).pvalue
    assert second.row["p_holm"] == pytest.approx(p / LOOKS[1].share)
    assert 0 < second.row["p_holm"] < first.row["p_holm"]


def test_a_look_waits_for_all_its_runs() -> None:
    rng = np.random.default_rng(1)
    gaps = rng.normal(0.009, 0.012, size=8)
    whole = judge(make_runs(base=[0.8] * 5, arm=(0.8 + gaps[:5]).tolist()))
    partly = judge(make_runs(base=[0.8] * 8, arm=(0.8 + gaps[:7]).tolist()))
    assert partly.latest[0].row == whole.latest[0].row
    assert partly.wanted_seeds == whole.wanted_seeds == {"arm": 8, "base": 8}


def test_a_comparison_that_more_seeds_would_hardly_decide_stops() -> None:
    rng = np.random.default_rng(3)
    gaps = rng.normal(size=24)
    gaps = 0.01 + 0.012 * (gaps - gaps.mean()) / gaps.std(ddof=1)  # exactly the margin: never definite
    (result,) = judge(make_runs(base=[0.8] * 24, arm=(0.8 + gaps).tolist())).latest
    assert result.step == Step.FUTILE
    assert result.verdict in (Verdict.SIZE_UNCLEAR, Verdict.INCONCLUSIVE)
    assert result.look.seeds < 40


def test_an_arm_that_does_not_train_is_decided_when_the_seeds_show_it() -> None:
    judgement = judge(make_runs(base=[0.8, 0.81] * 20, arm=[0.1] * 40))
    assert {result.verdict for result in judgement.history} == {Verdict.NOT_TRAINED}
    # 2/2⁸ is above the level of the second look, 0.05 · 0.075, and 2/2¹⁴ is below that of the third.
    assert [result.step for result in judgement.history] == [Step.GO_ON, Step.GO_ON, Step.DECIDED]
    (nothing,) = judge(make_runs(base=[0.1] * 5, arm=[0.1] * 5)).latest
    assert (nothing.verdict, nothing.step) == (Verdict.NOT_TRAINED, Step.DECIDED)


def test_equal_differences_stop_a_study_only_if_they_are_zero() -> None:
    base = [0.8, 0.81, 0.82, 0.83, 0.84]
    (same,) = judge(make_runs(base=base, arm=base)).latest
    assert (same.verdict, same.step) == (Verdict.CANNOT_TELL_APART, Step.DECIDED)
    (shifted,) = judge(make_runs(base=base, arm=[value + 0.01 for value in base])).latest
    assert (shifted.verdict, shifted.step) == (Verdict.NOT_TESTED, Step.GO_ON)


def test_the_tables_show_every_look() -> None:
    rng = np.random.default_rng(4)
    judgement = judge(make_runs(base=[0.8] * 40, arm=(0.8 + rng.normal(0.01, 0.012, size=40)).tolist()))
    table = comparison_tables.tabulate_looks(judgement)
    assert table["look_seeds"].tolist() == [look.seeds for look in LOOKS[: len(table)]]
    assert set(table["step"][:-1]) == {Step.GO_ON}
    assert table["step"].iloc[-1] != Step.GO_ON


def test_a_test_that_cannot_be_significant_costs_the_others_nothing() -> None:
    tests = [FamilyTest(p_value=0.02), FamilyTest(p_value=1.0, least_p_value=0.5)]
    assert correct(tests, 0.05) == [pytest.approx(0.02), None]
    # 2/2⁶ is below a half of 0.05, so now the second test counts.
    assert correct([tests[0], FamilyTest(p_value=2**-5, least_p_value=2**-5)], 0.06) == [
        pytest.approx(0.02),
        None,
    ]
    assert correct([tests[0], FamilyTest(p_value=2**-6, least_p_value=2**-6)], 0.05) == [
        pytest.approx(2 * 2**-6),
        pytest.approx(2 * 2**-6),
    ]


def count_fixed_seeds(effect: float, spread: float, share_right: float) -> int:
    """The fewest seeds with which a study of a fixed number is as often right as a study with looks."""
    rng = np.random.default_rng(9)
    values = rng.normal(effect, spread, size=(20_000, 60))
    for seeds in range(3, 61):
        mean = np.abs(values[:, :seeds].mean(axis=1))
        error = values[:, :seeds].std(axis=1, ddof=1) / np.sqrt(seeds)
        reach = Reach.compute(seeds, DECISION.alpha)
        inside = mean + reach.equivalence * error < DECISION.margin
        beyond = mean - reach.difference * error > DECISION.margin
        if np.mean(beyond if effect else inside) >= share_right:
            return seeds
    raise AssertionError("no number of seeds is enough")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_looks_save_a_third_of_the_seeds_at_equal_error_and_power() -> None:
    savings = {}
    for spread in (0.006, 0.009, 0.012):
        for effect in (0.0, 0.02):
            done = simulate(effect, spread, LOOKS, DECISION, 1)
            share = {look.seeds: look.share for look in LOOKS}
            reach = np.array([Reach.compute(n, DECISION.alpha * share[n]).equivalence for n in done.seeds])
            beyond = np.abs(done.means) - done.reaches * done.errors > DECISION.margin
            inside = np.abs(done.means) + reach * done.errors < DECISION.margin
            fixed = count_fixed_seeds(effect, spread, float(np.mean(beyond if effect else inside)))
            savings[spread, effect] = 1 - done.seeds.mean() / fixed
    print(savings)
    assert np.mean(list(savings.values())) >= 0.35


def test_the_levels_of_the_looks_add_up_to_alpha_for_t_tests_of_few_seeds() -> None:
    """The union bound, computed exactly: each look's t-test rejects a true null at its own level."""
    levels = [
        2 * reference.t.sf(Reach.compute(look.seeds, DECISION.alpha * look.share).difference, look.seeds - 1)
        for look in LOOKS
    ]
    assert sum(levels) == pytest.approx(DECISION.alpha)
