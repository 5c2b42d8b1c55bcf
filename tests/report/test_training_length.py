"""A report says what half the training would have answered, and warns if the curves are not flat yet."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from ablate.figures import points, registry
from ablate.figures.kind import draw_kinds
from ablate.records.tables import make_frame, read_table, write_table
from ablate.report import writer
from ablate.report.cautions import list_cautions
from ablate.report.conditions import list_conditions
from ablate.report.evidence import Evidence, gather
from ablate.report.training_length import compare_verdicts_at_half, warn_of_short_training
from ablate.study import study_file
from tests.commands import leave_undrawn
from tests.figures.test_styles import read_caption
from tests.report.test_writer import write_folder

FLAT = [0.5, 0.7, 0.78, 0.8, 0.8, 0.8]
SEEDS = 3
KINDS = [kind for kind in registry.FIGURES if kind.name == "differences_by_epoch"]
CurvesByArm = dict[str, Sequence[float]]


@pytest.fixture
def study(tmp_path: Path, small) -> Callable[..., Evidence]:
    """A folder whose arms have these validation accuracies by epoch, in the mean over the seeds.

    The last accuracy is also the mean test accuracy, unless `tested` has another one or a status by arm.
    """

    def write(
        curves: CurvesByArm, *overrides: str, tested: dict[str, list[float | str]] | None = None
    ) -> Evidence:
        noise = np.random.default_rng(0).normal(size=(len(curves), SEEDS, 100)) * 0.0005
        accuracies: dict[str, list[float | str]] = {
            arm: [float(curve[-1] + noise[i, seed, len(curve) - 1]) for seed in range(SEEDS)]
            for i, (arm, curve) in enumerate(curves.items())
        }
        accuracies |= tested or {}
        folder = write_folder(tmp_path / "small", study_file.dump(small(*overrides)), accuracies)
        path = folder / "tables" / "epochs.csv"
        common = {"phase": "confirm", "setting": "learning_rate=0.003", "train_loss": 1.0}
        rows = [
            {**common, "arm": arm, "seed": seed, "epoch": epoch + 1, "validation_accuracy": mean + noise[i, seed, epoch]}
            for i, (arm, curve) in enumerate(curves.items())
            for seed in range(SEEDS)
            for epoch, mean in enumerate(curve)
        ]  # fmt: skip
        write_table(make_frame("epochs", rows), path)
        return gather(folder)

    return write


def raised(by: float, *late: float) -> list[float]:
    """The flat curve with a constant difference, and other accuracies at its end."""
    return [accuracy + by for accuracy in FLAT[: len(FLAT) - len(late)]] + list(late)


def draw(evidence: Evidence) -> Figure:
    (kind,) = KINDS
    data = kind.data(evidence.study, evidence.tables)
    return kind.draw(data, evidence.study, registry.style_arms(evidence.study, evidence.tables))


def read_difference(evidence: Evidence, epoch: int) -> str:
    """The difference after this epoch, from the table, as a sentence has it."""
    table = evidence.tables["differences_by_epoch"].set_index("epoch")
    return f"{table['difference'][epoch] * 100:+.2f} points".replace("-", "−")


def test_half_the_training_would_have_given_the_same_verdict(study) -> None:
    evidence = study({"baseline": FLAT, "pooling=max": raised(0.05)})
    sentence = (
        "After half the training (3 of 6 epochs) the verdict on the validation images would have been "
        f"“matters” (difference {read_difference(evidence, 3)}). After the whole training it is “matters” "
        f"(difference {read_difference(evidence, 6)})."
    )
    assert list(compare_verdicts_at_half(evidence)) == [sentence]
    assert sentence in list_conditions(evidence)


def test_half_the_training_would_have_given_another_verdict(study) -> None:
    evidence = study({"baseline": FLAT, "pooling=max": raised(0, 0.83, 0.85, 0.85)})
    (sentence,) = compare_verdicts_at_half(evidence)
    assert sentence == (
        "After half the training (3 of 6 epochs) the verdict on the validation images would have been "
        f"“practically equivalent” (difference {read_difference(evidence, 3)}). After the whole training it is "
        f"“matters” (difference {read_difference(evidence, 6)})."
    )


def test_a_mean_of_untrained_runs_is_not_told(study) -> None:
    evidence = study({"baseline": FLAT, "pooling=max": [0.1, 0.1, 0.1, 0.8, 0.85, 0.85]})
    (sentence,) = compare_verdicts_at_half(evidence)
    assert sentence.endswith("would have been “not trained”. After the whole training it is “matters”.")


def test_the_sentence_names_the_changed_verdicts_of_several_comparisons(study) -> None:
    curves = {"baseline": FLAT, "a": raised(0.05), "b": raised(0, 0.83, 0.85, 0.85)}
    (sentence,) = compare_verdicts_at_half(study(curves))
    assert sentence == (
        "After half the training (3 of 6 epochs) 1 of 2 verdicts on the validation images would have been "
        "different: b against baseline (“practically equivalent” instead of “matters”)."
    )


def test_the_sentence_says_that_no_verdict_of_several_would_have_changed(study) -> None:
    (sentence,) = compare_verdicts_at_half(study({"baseline": FLAT, "a": raised(0.05), "b": raised(0.08)}))
    assert sentence == (
        "After half the training (3 of 6 epochs) all 2 verdicts on the validation images would have been the "
        "same as after the whole training."
    )


@pytest.mark.parametrize(
    ("override", "said"),
    [("recipe.schedule=cosine", True), ("factors={schedule: [constant, linear]}", True), ("recipe.warmup_epochs=1", False)],
)  # fmt: skip
def test_the_verdict_at_half_says_that_a_schedule_depends_on_the_number_of_epochs(
    study, override: str, said: bool
) -> None:
    arm = "schedule=linear" if "factors" in override else "pooling=max"
    (sentence,) = compare_verdicts_at_half(study({"baseline": FLAT, arm: raised(0.05)}, override))
    assert ("follows a schedule over all epochs" in sentence) is said


def test_the_only_trained_comparison_of_several_is_named(study) -> None:
    curves = {"baseline": FLAT, "a": raised(0.05), "b": FLAT}
    (sentence,) = compare_verdicts_at_half(study(curves, tested={"b": [0.8, "diverged", 0.8]}))
    assert "the verdict of a against baseline on the validation images would have been “matters”" in sentence


def test_the_sentence_says_that_the_answer_is_about_other_images(study) -> None:
    curves = {"baseline": FLAT, "a": raised(0.05)}
    (sentence,) = compare_verdicts_at_half(study(curves, tested={"a": [0.8, 0.801, 0.8]}))
    assert sentence.endswith(
        "The answer of this report rests on the test images, so its verdicts can differ from those on the validation images."
    )


SILENT: dict[str, tuple[CurvesByArm, dict[str, list[float | str]]]] = {
    "three epochs": ({"baseline": FLAT[:3], "a": [0.5, 0.7, 0.9]}, {}),
    "a run that diverged": ({"baseline": FLAT, "a": FLAT}, {"a": [0.8, "diverged", 0.8]}),
    "arms with different numbers of epochs": ({"baseline": FLAT, "a": [*FLAT, 0.8, 0.8]}, {}),
    "a run that is missing": ({"baseline": FLAT, "a": raised(0.0, 0.82, 0.9)}, {"a": [0.9, 0.9]}),
}


@pytest.mark.parametrize("case", SILENT)
def test_nothing_is_said_of_half_the_training_with(study, case: str) -> None:
    curves, tested = SILENT[case]
    evidence = study(curves, tested=tested)
    assert list(compare_verdicts_at_half(evidence)) == []
    assert not any("the difference" in line for line in warn_of_short_training(evidence))
    assert "differences_by_epoch" in evidence.tables


def test_a_study_without_validation_has_neither_table_nor_figure_nor_sentence(study) -> None:
    evidence = study({"baseline": [float("nan")] * 6, "a": [float("nan")] * 6}, tested={"baseline": [0.8] * 3, "a": [0.9] * 3})  # fmt: skip
    assert "differences_by_epoch" not in evidence.tables
    assert points.tabulate_differences_by_epoch(evidence.study, evidence.tables).empty
    assert [*compare_verdicts_at_half(evidence), *warn_of_short_training(evidence)] == []


def test_a_table_of_no_comparison_gives_no_figure(study) -> None:
    evidence = study({"baseline": FLAT, "a": FLAT}, tested={"a": [0.8, "diverged", 0.8]})
    assert evidence.tables["differences_by_epoch"].empty
    assert points.tabulate_differences_by_epoch(evidence.study, evidence.tables).empty


def test_a_report_warns_of_a_difference_that_still_grows(study) -> None:
    evidence = study({"baseline": FLAT, "pooling=max": raised(0.02, 0.825, 0.829)})
    (sentence,) = warn_of_short_training(evidence)
    gaps = evidence.tables["differences_by_epoch"].set_index("epoch")["difference"]
    assert sentence == (
        "Between epochs 4 and 6 the difference on the validation images still grew by "
        f"{(gaps[6] - gaps[4]) * 100:.2f} points: longer training may change the answer."
    )
    assert sentence in list_cautions(evidence)


@pytest.mark.parametrize(
    ("late", "told"),
    [
        ((0.815, 0.81), r"shrank by 0\.9\d points"),
        ((0.80, 0.79), r"turned from \+1\.9\d points to −0\.9\d points"),
    ],
)
def test_a_report_tells_how_a_difference_changed(study, late: tuple[float, float], told: str) -> None:
    (sentence,) = warn_of_short_training(study({"baseline": FLAT, "pooling=max": raised(0.02, *late)}))
    assert re.search(told, sentence)


def test_a_report_warns_of_several_differences_in_one_sentence(study) -> None:
    curves = {
        "baseline": FLAT,
        "a": raised(0.02, 0.82, 0.828),
        "b": raised(0.02, 0.82, 0.811),
        "c": raised(0.02),
    }
    (sentence,) = warn_of_short_training(study(curves))
    head, a, b = (
        sentence.removesuffix(" Longer training may change the answer.").replace(": ", "; ").split("; ")
    )
    assert head == "Between epochs 4 and 6 differences on the validation images still changed"
    assert a.startswith("a against baseline grew by 0.")
    assert b.startswith("b against baseline shrank by 0.")


def test_a_report_warns_of_arms_whose_accuracy_still_rises(study) -> None:
    late = [0.82, 0.84]
    (sentence,) = warn_of_short_training(study({"baseline": raised(0, *late), "a": raised(0, *late), "b": raised(0, *late)}))  # fmt: skip
    assert re.fullmatch(
        r"Between epochs 4 and 6 the accuracy on the validation images still rose by more than the margin of "
        r"1 point: baseline by \d\.\d\d points; a by \d\.\d\d points; b by \d\.\d\d points\. The training was "
        r"too short to show how accurate these arms can become\.",
        sentence,
    )


def test_level_curves_give_no_warning(study) -> None:
    assert list(warn_of_short_training(study({"baseline": FLAT, "a": raised(0.05)}))) == []


def test_figure_table_and_file_have_the_same_numbers(
    study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_undrawn(monkeypatch.setattr)
    evidence = study({"baseline": FLAT, "a": raised(0.05), "b": raised(-0.02)})
    table = evidence.tables["differences_by_epoch"]
    axes = draw(evidence).axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 6]
    for line, (_, rows) in zip(lines, table.groupby("arm"), strict=True):
        assert line.get_xdata().tolist() == rows["epoch"].tolist()
        assert line.get_ydata().tolist() == pytest.approx((rows["difference"] * 100).tolist())
    bands = [band.get_paths()[0].vertices[:, 1] for band in axes.collections]
    for band, (_, rows) in zip(bands, table.groupby("arm"), strict=True):
        assert (band.min(), band.max()) == pytest.approx(
            (rows["ci_low"].min() * 100, rows["ci_high"].max() * 100)
        )
    writer.write(tmp_path / "small")
    stored = read_table("differences_by_epoch", tmp_path / "small" / "tables" / "differences_by_epoch.csv")
    pd.testing.assert_frame_equal(stored, table)
    assert "pairs" in (tmp_path / "small" / "report.html").read_text().split("What the columns")[1]


def test_the_scale_shows_the_margin_and_the_second_half_of_the_epochs(study) -> None:
    evidence = study({"baseline": FLAT, "a": [0.1, 0.2, 0.79, 0.81, 0.81, 0.81]})
    axes = draw(evidence).axes[0]
    low, high = axes.get_ylim()
    table = evidence.tables["differences_by_epoch"]
    late = table[table["epoch"] >= 3]
    assert low < min(-1, late["ci_low"].min() * 100) < max(1, late["ci_high"].max() * 100) < high
    assert low > -5  # the first epochs, 40 points below, do not flatten the rest


def test_the_caption_says_which_comparisons_are_left_out_and_why(study) -> None:
    curves = {"baseline": FLAT, "a": FLAT, "broken": FLAT, "stuck": [0.1] * 6, "longer": [*FLAT, 0.8]}
    caption = read_caption(study(curves, tested={"broken": [0.8, "diverged", 0.8]}), "differences_by_epoch")
    assert caption.endswith(
        "Not drawn, because some of the runs did not train: broken against baseline. "
        "Not drawn, because an arm is no better than guessing: stuck against baseline. "
        "Not drawn, because the two arms were trained for different numbers of epochs: longer against baseline."
    )


def test_many_comparisons_have_panels_of_their_own_and_the_most_changed_are_chosen(study) -> None:
    late = {f"arm{i}": raised(0, 0.8, 0.8 + i / 1000) for i in range(15)}
    evidence = study({"baseline": FLAT, **late})
    figure = draw(evidence)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [f"arm{i}" for i in range(3, 15)]
    data = points.tabulate_differences_by_epoch(evidence.study, evidence.tables)
    assert list(dict.fromkeys(data["label"])) == titles
    assert (
        "outside it. Each panel has a scale of its own. These are the 12 of 15 comparisons whose difference changed most in the last third of the epochs."
        in read_caption(evidence, "differences_by_epoch")
    )


@pytest.mark.parametrize(("arms", "panels"), [(6, 1), (7, 7)])
def test_up_to_six_comparisons_share_a_panel(study, arms: int, panels: int) -> None:
    evidence = study({"baseline": FLAT, **{f"arm{i}": raised(i / 100) for i in range(arms)}})
    assert len(draw(evidence).axes) == panels


@pytest.mark.parametrize("arms", [6, 7])
@pytest.mark.parametrize("name", ["x" * 300, "$x_$" + "ab," * 90])
def test_long_names_leave_room_for_the_panels(study, arms: int, name: str) -> None:
    """Otherwise matplotlib warns that the axes collapsed, and a warning fails the test."""
    evidence = study({f"{name}0": FLAT})
    labels = [f"{i}{name}" for i in range(arms)]
    rows = [
        {"arm": f"{name}0", "label": label, "beside": name, "epoch": epoch, "difference": 1.0, "ci_low": 0.0, "ci_high": 2.0}
        for label in labels
        for epoch in (1, 2)
    ]  # fmt: skip
    styles = registry.style_arms(evidence.study, evidence.tables)
    KINDS[0].draw(pd.DataFrame(rows), evidence.study, styles).draw_without_rendering()


def test_equal_tables_give_equal_figures(study) -> None:
    evidence = study({"baseline": FLAT, "a": raised(0.05)})
    styles = registry.style_arms(evidence.study, evidence.tables)
    first, second = (list(draw_kinds(KINDS, evidence.study, evidence.tables, styles)) for _ in range(2))
    assert (first[0].png, first[0].svg) == (second[0].png, second[0].svg)
