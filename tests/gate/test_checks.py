"""Two folders meet requirements, miss them, or leave them open, and the gate says which and why."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ablate.errors import AblateError
from ablate.gate.checks import Check, Demand, Gate, check_folders
from ablate.gate.rules import Outcome, Reason, Requirement
from ablate.gate.wording import explain_check, name_requirement, state_gate

NO_WORSE = Demand(require=Requirement.NO_WORSE)
LEVEL = [0.9, 0.91, 0.92, 0.93, 0.9, 0.91, 0.92, 0.93]


@pytest.fixture
def gate(evidence):
    """`gate(demand, {...arms of A...}, {...arms of B...})`: the gate on two such folders."""

    def check(demand: Demand, before: dict, after: dict) -> Gate:
        return check_folders(evidence("a", **before), evidence("b", **after), demand)

    return check


def only(found: Gate, arm: str = "arm") -> Check:
    (check,) = (check for check in found.checks if check.arm == arm)
    return check


@pytest.mark.parametrize(
    ("requirement", "after", "code"),
    [
        ("no-worse", 0.93, 0), ("no-worse", 0.96, 0), ("no-worse", 0.90, 1),
        ("equivalent", 0.93, 0), ("equivalent", 0.96, 1), ("equivalent", 0.90, 1), ("reproduced", 0.93, 0),
    ],
)  # fmt: skip
def test_a_requirement_on_every_arm_decides_the_exit_code(
    gate, requirement: str, after: float, code: int
) -> None:
    found = gate(
        Demand(require=Requirement(requirement)), {"base": 0.9, "arm": 0.93}, {"base": 0.9, "arm": after}
    )
    assert found.exit_code == code
    assert found.outcome == {0: Outcome.HOLDS, 1: Outcome.FAILS}[code]


def test_better_is_asked_of_one_arm(gate) -> None:
    demand = Demand(require=Requirement.BETTER, arms=("arm",))
    found = gate(demand, {"base": 0.9, "arm": 0.93}, {"base": 0.9, "arm": 0.96})
    assert found.exit_code == 0
    assert state_gate(found) == "holds: better: arm"


def test_one_arm_that_cannot_be_seen_keeps_the_gate_from_green(gate) -> None:
    found = gate(NO_WORSE, {"base": 0.9, "arm": 0.93, "gone": 0.9}, {"base": 0.9, "arm": 0.93, "new": 0.9})
    assert found.exit_code == 3
    gone = only(found, "gone")
    assert gone.reason == Reason.NO_COMMON_ARM
    assert (
        explain_check(gone, "points") == "Only A has this arm. To leave it out, name the other arms by --arm."
    )
    assert found.notes == ["Only B has new. An arm that only B has is not checked."]


def test_noise_is_not_green_and_the_seeds_it_takes_are_told(gate) -> None:
    found = gate(NO_WORSE, {"base": 0.9, "arm": 0.93, "noise": 9.0}, {"base": 0.9, "arm": 0.93, "noise": 9.0})
    assert found.exit_code == 3
    check = only(found)
    assert check.need is not None
    assert check.need.number > 8
    assert not check.need.as_measured
    assert (
        f"About {check.need.number} seeds would settle the requirement if there is no true difference."
        in explain_check(check, "points")
    )


def test_what_the_need_promises_is_what_that_many_seeds_show(evidence) -> None:
    """With the counted seeds and no true difference, about four of five gates are green."""
    a, b = (evidence(name, noise=6.0, arm=0.93) for name in "ab")
    check = only(check_folders(a, b, NO_WORSE))
    assert check.need is not None
    rng = np.random.default_rng(0)
    spread = float(
        np.std([x - y for x, y in zip(*(e.confirmed["test_accuracy"] for e in (a, b)), strict=True)], ddof=1)
    )
    drawn = rng.normal(0, spread, (4000, check.need.number))
    from scipy import stats

    reach = stats.t.ppf(0.95, check.need.number - 1) * drawn.std(axis=1, ddof=1) / np.sqrt(check.need.number)
    assert 0.77 < (drawn.mean(axis=1) - reach > -0.01).mean() < 0.88


def test_a_study_that_is_not_finished_shows_nothing(gate) -> None:
    found = gate(NO_WORSE, {"arm": [0.9, 0.91]}, {"arm": [0.9, 0.91]})
    assert only(found).reason == Reason.UNFINISHED


def test_a_loss_alike_in_every_seed_needs_no_spread(gate) -> None:
    alike = gate(NO_WORSE, {"arm": LEVEL}, {"arm": [value - 0.05 for value in LEVEL]})
    assert only(alike).reason == Reason.WORSE


def test_a_small_loss_alike_in_every_seed_is_known_to_one_test_image(gate) -> None:
    found = gate(NO_WORSE, {"arm": LEVEL}, {"arm": [value - 0.008 for value in LEVEL]})
    assert only(found).outcome == Outcome.CANNOT_TELL  # one image of 360 is 0.28 points, and the margin is 1


def test_a_loss_that_may_be_smaller_than_the_margin_is_told_from_a_larger_one(evidence) -> None:
    before = evidence("a", base=0.9, arm=0.93)
    for after, told in (
        (0.922, "its loss may be larger than the margin"),
        (0.90, "worse by more than"),
    ):
        check = only(check_folders(before, evidence("b", base=0.9, arm=after), NO_WORSE))
        assert check.reason == Reason.WORSE
        assert told in explain_check(check, "points")


def test_the_same_runs_hold_but_are_not_better(evidence) -> None:
    one = evidence("a", base=0.9, arm=[0.9] * 6 + ["diverged"] * 2)
    for requirement, outcome in (("reproduced", Outcome.HOLDS), ("better", Outcome.FAILS)):
        found = check_folders(one, one, Demand(require=Requirement(requirement)))
        assert {check.outcome for check in found.checks} == {outcome}
        assert {check.reason for check in found.checks} == {Reason.SAME}


@pytest.mark.parametrize(
    ("after", "outcome", "reason"),
    [
        ([0.93] * 7 + ["diverged"], Outcome.CANNOT_TELL, Reason.SOME_DID_NOT_TRAIN),
        (["diverged"] * 7 + [0.93], Outcome.FAILS, Reason.TRAINS_LESS_OFTEN),
        ([0.93] * 7 + ["oom"], Outcome.CANNOT_TELL, Reason.CRASHED),
    ],
)
def test_runs_that_fail_are_no_means(gate, after: list, outcome: Outcome, reason: Reason) -> None:
    check = only(gate(NO_WORSE, {"base": 0.9, "arm": 0.93}, {"base": 0.9, "arm": after}))
    assert (check.outcome, check.reason) == (outcome, reason)


@pytest.mark.parametrize(
    ("overrides", "changes", "reason", "told"),
    [
        (("recipe.epochs=5",), {}, Reason.OTHER_SETTINGS, "recipe.epochs is 2 in A and 5 in B"),
        (("validation=100",), {}, Reason.OTHER_DATA, "validation is 0 in A and 100 in B"),
        ((), {"data": {"dataset": "digits", "test_images": 360, "classes": list("0123456789"), "chance": 0.1, "sha256": {"pixels": "xyz"}}}, Reason.OTHER_DATA, "the checksum of pixels differs"),
    ],
)  # fmt: skip
def test_other_data_and_settings_are_not_compared(evidence, overrides, changes, reason, told: str) -> None:
    before = evidence("a", base=0.9)
    found = check_folders(before, evidence("b", *overrides, changes=changes, base=0.9), NO_WORSE)
    assert found.exit_code == 3
    assert found.checks[0].reason == reason
    assert told in found.checks[0].detail


def test_settings_may_differ_if_that_is_asked_for_but_reproduce_nothing(evidence) -> None:
    a, b = evidence("a", base=0.9), evidence("b", "recipe.epochs=5", base=0.9)
    asked = Demand(require=Requirement.NO_WORSE, settings_may_differ=True)
    assert check_folders(a, b, asked).exit_code == 0
    with pytest.raises(
        AblateError, match="--require reproduced and --settings-may-differ exclude each other"
    ):
        check_folders(a, b, Demand(require=Requirement.REPRODUCED, settings_may_differ=True))


@pytest.mark.parametrize(("pace", "code"), [(0.8, 0), (1.5, 1), (1.05, 3)])
def test_throughput_is_held_against_its_bound(gate, pace: float, code: int) -> None:
    found = gate(
        Demand(throughput=0.95), {"base": 0.9, "arm": 0.93}, {"base": 0.9, "arm": 0.93, "pace": pace}
    )
    assert found.exit_code == code
    assert [check.arm for check in found.checks] == ["arm"]
    assert found.notes[-1].endswith("A change that slows all arms alike is therefore not seen here.")


def test_disturbed_timings_and_other_hardware_are_not_green(evidence) -> None:
    a, b = evidence("a", base=0.9, arm=0.9), evidence("b", base=0.9, arm=0.9)
    other = evidence("c", changes={"device_name": "another"}, base=0.9, arm=0.9)
    timing = b.tables["timing"].assign(disturbed=pd.array([True] * len(b.tables["timing"]), dtype="boolean"))
    disturbed = replace(b, tables={**b.tables, "timing": timing})
    for second, reason in ((other, Reason.OTHER_HARDWARE), (disturbed, Reason.TOO_FEW_BLOCKS)):
        found = check_folders(a, second, Demand(throughput=0.95))
        assert found.exit_code == 3
        assert only(found).reason == reason


def test_parameters_are_counted_in_every_arm(evidence) -> None:
    few, more = evidence("a", arm=0.9), evidence("b", parameters=61_707, arm=0.9)
    assert check_folders(more, few, Demand(parameters=1.0)).exit_code == 0
    found = check_folders(few, more, Demand(parameters=1.0))
    assert found.exit_code == 1
    told = explain_check(found.checks[0], "points")
    assert told == "B has 61,707 parameters and A has 61,706. The ratio is × 1.00002, and the bound is × 1."


def test_a_loss_counts_the_other_way_round(evidence) -> None:
    """A log loss that fell is a gain, and the sign of the difference stays that of the loss."""
    found = {}
    for name, mean in (("a", 0.5), ("b", 0.4)):
        one = evidence(name, base=0.9)
        losses = one.confirmed[["phase", "arm", "setting", "seed"]].assign(
            test_log_loss=mean + np.arange(8) % 3 / 100
        )
        if name == "a":
            losses["test_log_loss"] += np.arange(8) % 2 / 100
        found[name] = replace(one, tables={**one.tables, "metrics": losses})
    demand = Demand(require=Requirement.BETTER, metric="log_loss")
    check = check_folders(found["a"], found["b"], demand).checks[0]
    assert check.outcome == Outcome.HOLDS
    assert check.estimate == pytest.approx(-0.105)
    assert check_folders(found["b"], found["a"], demand).exit_code == 1


def test_unknown_arms_and_metrics_are_refused(evidence) -> None:
    a = evidence("a", base=0.9)
    with pytest.raises(AblateError, match="--arm bse: did you mean 'base'"):
        check_folders(a, a, Demand(require=Requirement.NO_WORSE, arms=("bse",)))
    with pytest.raises(AblateError, match="--metric log_los: did you mean 'log_loss'"):
        check_folders(a, a, Demand(require=Requirement.NO_WORSE, metric="log_los"))
    with pytest.raises(AblateError, match="no run has the metric log_loss: choose one of accuracy"):
        check_folders(a, a, Demand(require=Requirement.NO_WORSE, metric="log_loss"))


def test_each_requirement_is_named_with_its_bound(evidence) -> None:
    a = evidence("a", base=0.9, arm=0.9)
    found = check_folders(
        a, a, Demand(require=Requirement.NO_WORSE, throughput=0.9, parameters=1.5, arms=("arm",))
    )
    names = [name_requirement(found, check) for check in found.checks]
    assert names == [
        "no worse in accuracy (margin 1 point)",
        "throughput at least × 0.9",
        "parameters at most × 1.5",
    ]
