"""Two folders are compared by the statistics of a report, timings never across hardware."""

from pathlib import Path

import numpy as np
import pytest

from ablate.records.tables import read_table, write_table
from ablate.report.comparison import compare_folders, find_shared_arms, format_cells
from ablate.report.evidence import Evidence, gather
from ablate.study import study_file
from tests.report.test_writer import write_folder

SEEDS = 8


@pytest.fixture
def made(tmp_path: Path, small):
    """`made("one", base=0.9, arm=0.93)`: a folder with such means, its noise from the name."""

    def make(
        name: str,
        noise: float = 0.001,
        pace: float = 1.0,
        overrides: tuple[str, ...] = (),
        changes=None,
        **means,
    ) -> Evidence:
        rng = np.random.default_rng(len(name))
        shared = rng.normal(size=SEEDS) * 0.01
        accuracies = {
            arm: (mean + (shared + rng.normal(size=SEEDS)) * noise).tolist()
            if isinstance(mean, float)
            else mean
            for arm, mean in means.items()
        }
        spec = small(f"seeds={SEEDS}", *overrides)
        path = write_folder(tmp_path / name, study_file.dump(spec), accuracies, **(changes or {}))
        timing = path / "tables" / "timing.csv"
        table = read_table("timing", timing)
        slower = table["arm"] != "base"
        table.loc[slower, "seconds"] = table.loc[slower, "seconds"] * pace
        write_table(table, timing)
        return gather(path)

    return make


def test_the_same_runs_are_reproduced_exactly(made) -> None:
    one = made("one", base=0.9, arm=0.93)
    found = compare_folders(one, one)
    assert found.answer.startswith("reproduced exactly")
    assert not found.regression
    assert [change.verdict for change in found.changes] == ["cannot tell apart"] * 2


def test_accuracies_within_the_margin_are_reproduced(made) -> None:
    found = compare_folders(made("first", base=0.9, arm=0.93), made("second!", base=0.902, arm=0.929))
    assert found.answer == "reproduced: the accuracy of every arm changed by less than ±1 point"
    assert not found.regression


def test_an_arm_that_fell_is_a_regression_and_one_that_rose_is_not(made) -> None:
    before = made("first", base=0.9, arm=0.93)
    fell = compare_folders(before, made("second!", base=0.9, arm=0.9))
    assert fell.regression
    assert fell.answer == "less accurate, or fewer runs train: arm"
    (change,) = (c for c in fell.changes if c.arm == "arm")
    assert change.difference == pytest.approx(-0.03, abs=0.002)
    rose = compare_folders(before, made("third!!", base=0.9, arm=0.96))
    assert not rose.regression
    assert rose.answer == "changed, but not for the worse: arm"


def test_an_arm_that_now_diverges_is_a_regression(made) -> None:
    before = made("first", base=0.9, arm=0.93)
    broken = made("second!", base=0.9, arm=[0.93] * (SEEDS - 1) + ["diverged"])
    assert compare_folders(before, broken).regression
    assert not compare_folders(broken, before).regression


def test_noise_settles_nothing(made) -> None:
    found = compare_folders(
        made("first", base=0.9, arm=0.93, noise=0.05), made("second!", base=0.9, arm=0.93, noise=0.05)
    )
    assert found.answer.startswith("inconclusive: these seeds show neither a change nor its absence")
    assert not found.regression


def test_an_arm_that_became_slower_beside_the_baseline_is_a_regression(made) -> None:
    before = made("first", base=0.9, arm=0.93)
    slower = compare_folders(before, made("second!", base=0.9, arm=0.93, pace=1.3))
    assert slower.regression
    assert slower.answer.endswith("; slower relative to the baseline: arm")
    (change,) = (c for c in slower.changes if c.arm == "arm")
    assert change.throughput_ratio == pytest.approx(1 / 1.3, rel=0.1)
    assert format_cells(change)[3].startswith("× 0.7")
    assert not compare_folders(before, made("third!!", base=0.9, arm=0.93, pace=0.7)).regression


@pytest.mark.parametrize(
    "changed", [{"device_name": "another"}, {"cores": 64}, {"timing_threads": 1}, {"device": "cuda"}]
)
def test_timings_are_not_compared_across_hardware(made, changed: dict[str, object]) -> None:
    found = compare_folders(
        made("first", base=0.9, arm=0.93), made("second!", base=0.9, arm=0.93, pace=2.0, changes=changed)
    )
    assert all(change.throughput_ratio is None for change in found.changes)
    assert not found.regression
    assert any(note.startswith("throughput is not compared") for note in found.notes)


def test_other_conditions_and_arms_of_one_folder_only_are_named(made) -> None:
    found = compare_folders(
        made("first", base=0.9, arm=0.93, gone=0.9),
        made("second!", overrides=("recipe.epochs=5",), base=0.9, arm=0.93),
    )
    assert "conditions differ: recipe.epochs is 2 in the first folder and 5 in the second" in found.notes
    assert "only in the first folder: gone" in found.notes
    assert [change.arm for change in found.changes] == ["base", "arm"]


def test_folders_without_a_common_seed_are_not_compared(made) -> None:
    first, second = made("one", baseline=0.9, arm=0.93), made("other", baseline=0.9, arm=0.93)
    second.tables["runs"]["seed"] += 100
    vars(second).pop("confirmed", None)  # is computed from the runs once
    found = compare_folders(first, second)
    assert found.answer == "not compared: the two folders have no seed in common"
    assert not found.regression
    assert any("no run of the second folder has a seed of the first folder" in note for note in found.notes)
    assert not any("no seed" in note for note in compare_folders(first, first).notes)


def test_folders_without_a_common_arm_have_nothing_to_compare(made) -> None:
    found = compare_folders(made("first", base=0.9), made("second!", other=0.9))
    assert found.answer == "the two folders share no arm"


def test_an_arm_of_the_same_name_but_another_network_is_not_compared(made) -> None:
    before = made("first", base=0.9, arm=0.93)
    other = made(
        "second!",
        changes={"networks": {"base": before.provenance.networks["base"], "arm": {"model": "mlp"}}},
        base=0.9,
        arm=0.8,
    )
    found = compare_folders(before, other)
    assert not found.regression
    assert [change.arm for change in found.changes] == ["base"]
    assert "not compared, because the two folders have different networks under one name: arm" in found.notes


@pytest.mark.parametrize(
    ("override", "compared"),
    [
        ("factors={pooling: [max]}", ["base", "arm"]),
        (
            "factors={input_norm: [true]}",
            ["base", "arm"],
        ),  # a factor adds arms, and these arms keep its default
        ("baseline={input_norm: true}", []),
    ],
)
def test_a_keyword_of_a_later_version_makes_another_network_only_if_the_study_sets_it(
    made, override: str, compared: list[str]
) -> None:
    before = made("first", base=0.9, arm=0.93)
    later = {arm: {**keywords, "input_norm": False} for arm, keywords in before.provenance.networks.items()}
    after = made("second!", overrides=(override,), changes={"networks": later}, base=0.9, arm=0.93)
    for one, other in ((before, after), (after, before)):
        assert find_shared_arms(one, other) == compared


def test_a_new_keyword_of_an_own_network_makes_another_network(made) -> None:
    before = made("first", base=0.9, arm=0.93)
    later = {arm: {**keywords, "width": 8} for arm, keywords in before.provenance.networks.items()}
    model = later["base"]["model"]
    after = made("second!", changes={"networks": later, "code": {model: "abc"}}, base=0.9, arm=0.93)
    assert find_shared_arms(before, after) == []


def test_a_fall_alike_in_every_seed_is_a_fall(made) -> None:
    level = [0.9, 0.91, 0.92, 0.93, 0.9, 0.91, 0.92, 0.93]
    before = made("first", base=level, arm=level)
    fell = compare_folders(before, made("second!", base=level, arm=[value - 0.05 for value in level]))
    assert fell.regression
    assert fell.answer.startswith("less accurate, or fewer runs train")
    little = compare_folders(before, made("third!!", base=level, arm=[value - 0.005 for value in level]))
    assert little.answer.startswith("reproduced: the accuracy of every arm")


def test_missing_accuracies_reproduce_nothing(made) -> None:
    before = made("first", base=0.9, arm=[0.9] * (SEEDS - 2) + ["diverged"] * 2)
    after = made("second!", base=0.9, arm=[0.9] * (SEEDS - 2) + ["oom"] * 2)
    assert not compare_folders(before, after).answer.startswith("reproduced exactly")


def test_fewer_seeds_that_diverge_are_no_regression_but_a_fall_of_the_others_is(made) -> None:
    before = made("first", base=0.9, arm=[0.93] * (SEEDS - 2) + ["diverged"] * 2)
    assert not compare_folders(
        before, made("second!", base=0.9, arm=[0.93] * (SEEDS - 1) + ["diverged"])
    ).regression
    assert compare_folders(
        before, made("third!!", base=0.9, arm=[0.7] * (SEEDS - 1) + ["diverged"])
    ).regression
    assert compare_folders(before, made("fourth!!!", base=0.9, arm=["failed"] * SEEDS)).regression
