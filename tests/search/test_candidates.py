"""The search: its proposals depend only on study and results, and it stops runs below the median."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ablate.design.designs import lay_out
from ablate.design.runs import Arm, Run, name_setting
from ablate.records.run_records import EpochPoint, RunRecord
from ablate.report import writer
from ablate.report.evidence import gather
from ablate.report.references import describe_references
from ablate.search.candidates import (
    Candidate,
    TriedCandidate,
    choose_finalists,
    compute_least_accuracy,
    draw_candidate,
    make_run,
    name_finalists,
)
from ablate.search.sampler import estimate_importance, propose
from ablate.study import study_file
from ablate.study.spec import Range, StudySpec
from tests.conftest import SMALL
from tests.experiment.test_conduct import Stub, conduct, runs_csv

pytestmark = pytest.mark.usefixtures("undrawn")

SPACE = (
    "design=search",
    "search={candidates: 24, generation: 6, finalists: 3}",
    "factors={pooling: [avg, max], conv_layers: [2, 3], kernel_size: [5, 3, {value: [5, 3, 5], when: {conv_layers: 3}}],"
    " dense_layers: [3, 2, 1], dilation: [1, 4]}",
    "recipe.epochs=6",
    "timing.blocks=0",
)


@pytest.fixture
def spec(small) -> StudySpec:
    return small(*SPACE)


def record(
    candidate: Candidate, accuracy: float | None, curve: tuple[float, ...] = (), status="complete"
) -> RunRecord:
    return RunRecord(
        phase="search",
        arm=candidate.arm.name,
        setting=name_setting(candidate.setting),
        seed=10_000,
        values={},
        status=status,
        engine="stub",
        validation_accuracy=accuracy,
        epochs=tuple(
            EpochPoint(epoch=i + 1, train_loss=1.0, train_accuracy=0.5, validation_accuracy=value)
            for i, value in enumerate(curve)
        ),
    )


def score(candidate: Candidate) -> float:
    settings = candidate.arm.factors
    return (
        0.8
        + 0.05 * (settings["pooling"] == "max")
        + 0.02 * settings["dense_layers"]
        - abs(candidate.setting["learning_rate"] - 0.004)
    )


def search(spec: StudySpec, of: Callable[[Candidate], float] = score) -> list[TriedCandidate]:
    tried: list[TriedCandidate] = []
    for generation in range(4):
        for candidate in propose(spec, list(tried), generation, 6):
            tried.append(
                TriedCandidate(
                    candidate=candidate, record=record(candidate, of(candidate)), generation=generation
                )
            )
        tried.sort(key=lambda one: one.generation)
    return tried


def names(tried: list[TriedCandidate]) -> list[tuple[str, float]]:
    return [(one.candidate.arm.name, one.candidate.setting["learning_rate"]) for one in tried]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> list[TriedCandidate]:
    """The candidates of a whole search, for all tests that read them."""
    path = tmp_path_factory.mktemp("searched") / "small.yaml"
    path.write_text(SMALL)
    return search(study_file.read(path, SPACE))


def test_the_same_study_and_scores_propose_the_same_candidates(spec, searched) -> None:
    assert names(search(spec)) == names(searched)


def test_another_study_or_other_scores_propose_other_candidates(spec, searched, small) -> None:
    assert names(searched) != names(search(small(*SPACE, "name=other")))
    worse = search(spec, lambda candidate: 1 - score(candidate))
    assert names(searched)[:6] == names(worse)[:6]
    assert names(searched)[6:] != names(worse)[6:]


def test_the_baseline_with_the_recipes_own_setting_is_the_first_candidate(spec) -> None:
    first = propose(spec, [], 0, 6)[0]
    assert first.arm.name == "baseline"
    assert first.setting == {"learning_rate": 0.003}


def test_no_candidate_is_tried_twice_and_every_candidate_can_be_built(searched) -> None:
    assert len(set(names(searched))) == len(searched) == 24
    for one in searched:
        settings = one.candidate.arm.factors
        assert settings["kernel_size"] != [5, 3, 5] or settings["conv_layers"] == 3
        assert one.candidate.flops_per_example > 0
    # A 5×5 window dilated by 4 covers 17×17, too much for the second layer. Such draws are repeated.
    assert not any(
        t.candidate.arm.factors["dilation"] == 4 and t.candidate.arm.factors["kernel_size"] == 5
        for t in searched
    )


@pytest.mark.thorough
def test_a_search_ends_when_all_candidates_of_a_small_space_have_been_tried(small) -> None:
    spec = small("design=search", "factors={pooling: [avg, max]}", "tuning={trials: 0}")
    found = propose(spec, [], 0, 6)
    assert [candidate.arm.name for candidate in found] == ["baseline", "pooling=max"]
    tried = [TriedCandidate(candidate=c, record=record(c, 0.9), generation=0) for c in found]
    assert propose(spec, tried, 1, 6) == []


class First:
    """Always draws the first choice and the middle of a range."""

    def __init__(self) -> None:
        self.choices: dict[str, list[str]] = {}

    def choice(self, name: str, labels: list[str]) -> int:
        self.choices[name] = labels
        return len(labels) - 1

    def number(self, name: str, span: Range) -> float:
        return (span.low + span.high) / 2


def test_a_conditional_value_is_a_choice_only_where_its_condition_holds(small) -> None:
    draw = First()
    candidate = draw_candidate(small(*SPACE, "factors.dilation=[1]"), draw)
    assert candidate is not None
    assert draw.choices["kernel_size"] == ["5", "3", "[5 3 5]"]
    assert candidate.arm.name == "pooling=max,conv_layers=3,kernel_size=[5 3 5],dense_layers=1"
    draw = First()
    draw_candidate(small(*SPACE, "factors.dilation=[1]", "factors.conv_layers=[3, 2]"), draw)
    assert draw.choices["kernel_size"] == ["5", "3"]


def candidate(flops: int, name: str, arm: Arm) -> Candidate:
    return Candidate(arm=replace(arm, name=name), setting={}, flops_per_example=flops)


@pytest.fixture
def arm(spec) -> Arm:
    return lay_out(spec).arms[0]


def test_a_candidate_is_stopped_only_by_comparison_with_candidates_that_cost_no_more(arm) -> None:
    curve = (0.1, 0.5, 0.7, 0.8, 0.85, 0.9)
    large = [
        TriedCandidate(
            candidate=candidate(100, f"large{i}", arm),
            record=record(candidate(100, f"large{i}", arm), 0.9, curve),
            generation=0,
        )
        for i in range(5)
    ]
    assert (
        make_run(candidate(50, "small", arm), large).floor == ()
    )  # among large candidates it would be stopped for being small
    assert make_run(candidate(100, "equal", arm), large).floor == (0.0, 0.0, 0.7, 0.8, 0.85, 0.9)


def test_a_median_needs_four_curves_and_uses_those_that_reached_the_epoch(arm) -> None:
    whole = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    tried = [
        TriedCandidate(
            candidate=candidate(1, f"c{i}", arm),
            record=record(candidate(1, f"c{i}", arm), 0.5, whole[:reached]),
            generation=0,
        )
        for i, reached in enumerate((6, 6, 6, 4, 3))
    ]
    assert make_run(candidate(1, "new", arm), tried).floor == (0.0, 0.0, 0.3, 0.4)
    assert make_run(candidate(1, "new", arm), tried[:3]).floor == ()


def test_finalists_are_spread_over_the_whole_front(spec, arm) -> None:
    points = {
        "tiny": (1, 0.7),
        "small": (2, 0.8),
        "beaten": (3, 0.75),
        "middle": (4, 0.85),
        "large": (9, 0.9),
        "huge": (20, 0.89),
    }
    tried = [
        TriedCandidate(
            candidate=candidate(flops, name, arm),
            record=record(candidate(flops, name, arm), accuracy),
            generation=0,
        )
        for name, (flops, accuracy) in points.items()
    ]
    best = [
        TriedCandidate(
            candidate=candidate(1, "baseline", arm),
            record=record(candidate(1, "baseline", arm), 0.99),
            generation=0,
        )
    ]
    stopped = [
        TriedCandidate(
            candidate=candidate(1, "stopped", arm),
            record=record(candidate(1, "stopped", arm), 0.98, status="pruned"),
            generation=0,
        )
    ]
    found = choose_finalists(spec, [*tried, *best, *stopped])
    assert [one.arm.name for one in found] == ["tiny", "middle", "large"]
    assert list(name_finalists(found)) == ["finalist 1", "finalist 2", "finalist 3"]
    assert [one.arm.name for one in choose_finalists(spec, tried[:1])] == ["tiny"]
    assert choose_finalists(spec, best) == []


def test_an_arm_can_become_a_finalist_only_with_its_best_setting(spec, arm) -> None:
    tried = []
    for rate, accuracy in ((0.1, 0.8), (0.2, 0.85), (0.3, 0.7)):
        one = replace(candidate(1, "same", arm), setting={"learning_rate": rate})
        tried.append(TriedCandidate(candidate=one, record=record(one, accuracy), generation=0))
    assert [one.setting for one in choose_finalists(spec, tried)] == [{"learning_rate": 0.2}]


def test_the_importance_is_highest_for_the_factor_that_decides_the_score(spec, searched) -> None:
    shares = {row["factor"]: row for row in estimate_importance(spec, searched)}
    assert max(shares, key=lambda name: shares[name]["fanova"]) == "pooling"
    assert sum(row["fanova"] for row in shares.values()) == pytest.approx(1)
    assert sum(row["ped_anova"] for row in shares.values()) == pytest.approx(1)
    assert estimate_importance(spec, searched[:4]) == []


class Searching(Stub):
    """Runs that take no time. Their scores depend on their settings, and they stop below their floor."""

    def record(self, run: Run) -> RunRecord:
        made = super().record(run)
        if run.phase != "search":
            return made
        accuracy = 0.6 + 0.1 * (run.arm.factors["pooling"] == "max") + run.setting.get("learning_rate", 0.0)
        curve = tuple(accuracy * (i + 1) / 6 for i in range(6))
        stopped = next((i for i, low in enumerate(run.floor) if curve[i] < low and i < 5), None)
        status = "complete" if stopped is None else "pruned"
        reached = curve if stopped is None else curve[: stopped + 1]
        one = Candidate(arm=run.arm, setting=run.setting, flops_per_example=1)
        return record(one, reached[-1], reached, status=status)


@pytest.mark.drawn
@pytest.mark.thorough
def test_a_search_tries_candidates_confirms_finalists_and_writes_a_report(small, tmp_path: Path) -> None:
    spec = small(*SPACE, "timing.blocks=2")
    _, folder = conduct(spec, tmp_path / "small", Searching())
    evidence = writer.write(folder.path)
    assert evidence.arms[0] == "baseline"
    assert set(evidence.arms[1:]) <= {"finalist 1", "finalist 2", "finalist 3"}
    table = evidence.tables["candidates"]
    assert len(table) == 24
    assert table["finalist"].sum() == len(evidence.arms) - 1
    assert (table["status"] == "pruned").any()
    assert table.loc[table["finalist"], "status"].eq("complete").all()
    assert table["hypervolume"].is_monotonic_increasing
    text = (folder.path / "report.md").read_text()
    assert "Finalist 1 is " in text
    assert (folder.path / "figures" / "candidates.png").exists()
    assert (folder.path / "figures" / "importance.png").exists()


SHORT = (*SPACE, "search={candidates: 12, generation: 4, finalists: 2}")
"""A search that is long enough to be interrupted anywhere, and to stop candidates below the median."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of runs of a search that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.yaml").write_text(SMALL)
    return runs_csv(conduct(study_file.read(folder / "small.yaml", SHORT), folder / "whole", Searching())[1])


@pytest.mark.parametrize("stop_after", [pytest.param(5, marks=pytest.mark.thorough), 16])
def test_an_interrupted_search_ends_with_the_same_result_and_repeats_no_run(
    small, whole: bytes, tmp_path: Path, stop_after: int
) -> None:
    spec = small(*SHORT)
    first, second = Searching(stop_after=stop_after), Searching()
    with pytest.raises(KeyboardInterrupt):
        conduct(spec, tmp_path / "parts", first)
    _, parts = conduct(spec, tmp_path / "parts", second)
    assert runs_csv(parts) == whole
    assert not set(first.ran) & set(second.ran)


def test_without_tuning_candidates_and_finalists_have_the_recipes_own_setting(small, tmp_path: Path) -> None:
    spec = small(*SHORT, "tuning.trials=0")
    _, folder = conduct(spec, tmp_path / "small", Searching())
    evidence = writer.write(folder.path)
    assert set(evidence.tables["runs"]["setting"]) == {"recipe"}
    assert len(evidence.arms) > 1


def test_published_values_are_compared_with_the_finalist_of_the_highest_validation_accuracy(
    small, tmp_path: Path
) -> None:
    references = "references=[{name: Known, metric: test_accuracy, value: 0.5, source: x}]"
    _, folder = conduct(small(*SHORT, references), tmp_path / "small", Searching())
    evidence = gather(folder.path)
    table = evidence.tables["candidates"]
    best = table[table["finalist"]].sort_values("validation_accuracy").iloc[-1]
    compared = evidence.tables["references"]["arm"].item()
    assert evidence.provenance.search is not None
    assert evidence.provenance.search.finalists[compared].arm == best["arm"]
    assert describe_references(evidence)[0]["arm"] == evidence.names.name_arm(compared)


def test_a_finalist_is_never_named_without_what_it_is(small, tmp_path: Path) -> None:
    _, folder = conduct(small(*SHORT), tmp_path / "small", Searching())
    names = gather(folder.path).names
    many = names.values.copy()
    many.loc[names.baseline] = "other"  # each finalist now differs from the baseline in all five factors
    names = replace(names, values=many)
    for arm in many.index.drop(names.baseline):
        assert names.name_arm(arm).count("=") == 5
        assert names.name_arm(names.baseline, arm) == names.baseline


def test_runs_that_were_stopped_early_do_not_count_for_the_importance(spec, searched) -> None:
    """Half the candidates, those with kernel size 5, start slowly but end as well as the others."""

    def tried_of(status: str) -> list[TriedCandidate]:
        found = []
        for one in searched:
            slow = one.candidate.arm.factors["kernel_size"] == 5
            accuracy = 0.3 if slow and status == "pruned" else score(one.candidate)
            made = record(one.candidate, accuracy, status=status if slow else "complete")
            found.append(replace(one, record=made))
        return found

    shares = {row["factor"]: row["fanova"] for row in estimate_importance(spec, tried_of("pruned"))}
    assert shares.get("kernel_size", 0.0) < 0.2
    assert max(shares, key=lambda name: shares[name]) == "pooling"


@pytest.mark.parametrize(("classes", "least"), [(2, 0.75), (3, 2 / 3), (10, 0.2), (100, 0.02)])
def test_a_finalist_is_clearly_more_accurate_than_guessing_and_can_be(classes: int, least: float) -> None:
    assert compute_least_accuracy(classes) == pytest.approx(least)


def test_a_candidate_no_better_than_guessing_is_not_a_finalist(spec, arm) -> None:
    tried = [
        TriedCandidate(
            candidate=candidate(flops, name, arm),
            record=record(candidate(flops, name, arm), accuracy),
            generation=0,
        )
        for name, flops, accuracy in (("guessing", 1, 0.15), ("trained", 2, 0.8))
    ]
    assert [one.arm.name for one in choose_finalists(spec, tried)] == ["trained"]
