"""One arm looks alike in all figures of a report, and figures say what they leave out."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from ablate.figures import points, registry
from ablate.figures.canvas import (
    create_grid,
    create_panel,
    format_accuracy_axis,
    make_styles,
    render,
    wrap_label,
)
from ablate.figures.cost_figures import draw_accuracy_throughput
from ablate.records.tables import make_frame
from ablate.report.cautions import list_tuning_rows
from ablate.report.evidence import Evidence, gather
from ablate.study import study_file
from tests.report.test_writer import add_pooling, factorial_folder, write_folder

HOSTILE = "<b>*x*</b>"


def draw(evidence: Evidence) -> dict[str, Figure]:
    """The drawings of a report by name, before they become files."""
    styles = registry.style_arms(evidence.study, evidence.tables)
    drawn = {}
    for kind in registry.FIGURES:
        data = kind.data(evidence.study, evidence.tables)
        if not data.empty:
            drawn[kind.name] = kind.draw(data, evidence.study, styles)
    return drawn


def read_caption(evidence: Evidence, name: str) -> str:
    (kind,) = (kind for kind in registry.FIGURES if kind.name == name)
    return " ".join([kind.caption, *kind.notes(evidence.study, evidence.tables)])


def list_colours(axes: Axes) -> set[str]:
    return {to_hex(line.get_color()) for line in axes.lines}


@pytest.fixture
def unstable(tmp_path: Path, small) -> Evidence:
    """A study whose second arm diverged once, so that it has no mean."""
    accuracies: dict[str, list[float | str]] = {
        "baseline": [0.9, 0.91, 0.92],
        HOSTILE: [0.9, "diverged", 0.93],
        "steady": [0.95, 0.94, 0.96],
    }
    return gather(write_folder(tmp_path / "small", study_file.dump(small()), accuracies))


def test_an_arm_has_one_colour_in_all_figures_even_if_another_arm_is_missing_in_some(
    unstable: Evidence,
) -> None:
    styles = registry.style_arms(unstable.study, unstable.tables)
    steady, unsteady = to_hex(styles["steady"].colour), to_hex(styles[HOSTILE].colour)
    drawn = draw(unstable)
    for name in ("differences", "paired_seeds", "accuracy_throughput", "timing_blocks"):
        assert steady in list_colours(drawn[name].axes[0]), name
    for name in ("differences", "accuracy_throughput"):
        assert unsteady not in list_colours(drawn[name].axes[0]), name
    for name in ("paired_seeds", "timing_blocks", "training_curves"):
        assert unsteady in list_colours(drawn[name].axes[0]), name


def test_no_two_of_a_hundred_arms_have_colour_and_marker_in_common() -> None:
    styles = make_styles({str(i): "" for i in range(100)})
    assert len({(style.colour, style.marker) for style in styles.values()}) == 100


def test_captions_name_the_arms_and_runs_that_are_not_drawn_and_why(unstable: Evidence) -> None:
    assert read_caption(unstable, "accuracy_throughput").endswith(
        f"Not drawn, because some of their runs did not train: {HOSTILE}."
    )
    assert read_caption(unstable, "differences").endswith(
        f"Not drawn, because some of the runs did not train: {HOSTILE}."
    )
    assert read_caption(unstable, "paired_seeds").endswith(
        f"Runs that diverged or crashed are not drawn: 1 of {HOSTILE}."
    )


def test_a_preliminary_report_names_arms_without_runs_and_gives_no_verdict(tmp_path: Path, small) -> None:
    accuracies: dict[str, list[float | str]] = {"baseline": [0.9, 0.91], "a": [0.95, 0.94], "b": [0.9]}
    path = write_folder(tmp_path / "small", study_file.dump(small()), accuracies)
    runs_path = path / "tables" / "runs.csv"
    runs = pd.read_csv(runs_path, dtype=str, keep_default_na=False)
    runs[(runs["phase"] != "confirm") | (runs["arm"] != "b")].to_csv(runs_path, index=False)
    evidence = gather(path)
    drawn = draw(evidence)
    ticks = [label.get_text() for label in drawn["paired_seeds"].axes[0].get_xticklabels()]
    assert ticks == ["baseline", "a", "b"]
    assert read_caption(evidence, "differences").endswith(
        "Not drawn, because fewer than two pairs of runs are complete: b."
    )
    assert read_caption(evidence, "accuracy_throughput").endswith(
        "Not drawn, because none of their runs is complete: b."
    )


def test_captions_say_nothing_more_where_nothing_is_missing(tmp_path: Path, small) -> None:
    accuracies: dict[str, list[float | str]] = {"baseline": [0.9, 0.91, 0.92], "a": [0.95, 0.94, 0.96]}
    evidence = gather(write_folder(tmp_path / "small", study_file.dump(small()), accuracies))
    for kind in registry.FIGURES:
        if not kind.data(evidence.study, evidence.tables).empty:
            assert not list(kind.notes(evidence.study, evidence.tables)), kind.name


def test_the_interactions_figure_leaves_a_gap_for_an_unstable_arm_and_names_it(tmp_path: Path, small) -> None:
    path = factorial_folder(tmp_path / "small", small, 3)
    runs_path = path / "tables" / "runs.csv"
    runs = pd.read_csv(runs_path, dtype=str, keep_default_na=False)
    arm = "batch_size=17"
    lost = (runs["phase"] == "confirm") & (runs["arm"] == arm) & (runs["seed"] == "1")
    runs.loc[lost, ["status", "test_accuracy"]] = ["diverged", ""]
    runs.to_csv(runs_path, index=False)
    evidence = gather(path)
    drawn = points.tabulate_interactions(evidence.study, evidence.tables)
    assert drawn.loc[drawn["accuracy"].isna(), "arm"].tolist() == [arm]
    (axes,) = draw(evidence)["interactions"].axes
    first = next(
        line for line in axes.lines if line.get_label() == "_nolegend_" or len(line.get_ydata()) == 3
    )
    assert pd.isna(first.get_ydata()).tolist() == [False, True, False]
    caption = read_caption(evidence, "interactions")
    assert caption.endswith(f"Not drawn, because some of their runs did not train: {arm}.")


@pytest.mark.drawn
def test_a_caption_with_an_arms_name_is_text_in_page_and_markdown(unstable: Evidence, tmp_path: Path) -> None:
    from ablate.report import writer

    writer.write(tmp_path / "small")
    assert "not train: &lt;b&gt;*x*&lt;/b&gt;." in (tmp_path / "small" / "report.html").read_text()
    assert r"not train: &lt;b&gt;\*x\*&lt;/b&gt;." in (tmp_path / "small" / "report.md").read_text()


def test_figures_name_the_baseline_by_its_factor_values(tmp_path: Path, small) -> None:
    accuracies: dict[str, list[float | str]] = {
        "baseline": [0.9, 0.91, 0.92],
        "pooling=max": [0.95, 0.94, 0.96],
    }
    path = write_folder(tmp_path / "small", study_file.dump(small()), accuracies)
    add_pooling(path)
    drawn = draw(gather(path))
    name = "baseline (pooling=avg)"
    ticks = [label.get_text() for label in drawn["paired_seeds"].axes[0].get_xticklabels()]
    assert ticks == [name, "pooling=max"]
    for figure in ("accuracy_throughput", "timing_blocks", "tuning_curves"):
        legend = drawn[figure].axes[0].get_legend()
        assert [text.get_text() for text in legend.get_texts()] == [name, "pooling=max"]
    assert name in [text.get_text() for text in drawn["training_curves"].legends[0].get_texts()]
    axis = drawn["differences"].axes[0].get_xlabel().replace("\n", " ")
    assert axis == f"difference in test accuracy (percentage points) from {name}"


def test_the_ring_of_the_tuning_figure_and_the_rank_of_the_report_show_one_value(unstable: Evidence) -> None:
    curves = points.tabulate_tuning_curves(unstable.study, unstable.tables)
    for row in list_tuning_rows(unstable):
        of_arm = curves[curves["arm"] == row["arm"]]
        tried = sorted(set(of_arm["value"]))
        (chosen,) = set(of_arm.loc[of_arm["chosen"], "value"])
        assert row["place"] == f"{tried.index(chosen) + 1} of {len(tried)}"


def test_a_figure_of_many_arms_has_no_legend_and_says_so(tmp_path: Path, small) -> None:
    evidence = gather(factorial_folder(tmp_path / "small", small, 4))
    drawn = draw(evidence)
    for name in ("accuracy_throughput", "timing_blocks", "tuning_curves", "training_curves"):
        assert not drawn[name].legends, name
        assert not drawn[name].axes[0].get_legend(), name
        assert "The 16 arms are too many for a legend; the tables have their" in read_caption(evidence, name)
    best = evidence.tables["arms"].set_index("arm")["test_accuracy_mean"].astype(float).idxmax()
    line = read_caption(evidence, "accuracy_throughput").split("from left to right: ")[1]
    assert line.startswith(best)
    labels = drawn["paired_seeds"].axes[0].get_xticklabels()
    assert {label.get_rotation() for label in labels} == {90.0}


@pytest.mark.parametrize("text", ["a,b", "a, b"])
def test_a_label_has_one_space_after_a_comma(text: str) -> None:
    assert wrap_label(text) == "a, b"


def test_the_throughput_axis_never_starts_below_zero(small) -> None:
    """As in a study of convolutional networks: one arm is six times as fast as another."""
    arms = [
        {"arm": "slow", "is_baseline": True, "examples_per_second": 1_900.0, "test_accuracy_mean": 0.85},
        {"arm": "fast", "is_baseline": False, "examples_per_second": 12_100.0, "test_accuracy_mean": 0.81},
    ]
    data = points.tabulate_accuracy_throughput(small(), {"arms": make_frame("arms", arms)})
    left, right = (
        draw_accuracy_throughput(data, small(), make_styles({"slow": "a", "fast": "b"})).axes[0].get_xlim()
    )
    assert 0 <= left < 1_900 < 12_100 < right


@pytest.mark.parametrize("limits", [(0.65, 0.825), (0.86, 0.869), (0.08, 0.91)])
def test_the_labels_of_an_accuracy_axis_are_not_rounded(limits: tuple[float, float]) -> None:
    figure, axes = create_panel()
    axes.set_ylim(*limits)
    format_accuracy_axis(axes)
    figure.draw_without_rendering()
    shown = [float(label.get_text().rstrip("%")) for label in axes.get_yticklabels()]
    assert shown == pytest.approx((axes.get_yticks() * 100).tolist())


def test_a_png_looks_the_same_with_at_most_256_colours() -> None:
    figure, axes = create_grid(1, 1, width=3, height=2)
    axes[0].fill_between(range(9), range(9), alpha=0.3)
    axes[0].imshow([[0, 1], [2, 3]], cmap="viridis", extent=(0, 4, 0, 4))
    png, _ = render(figure)
    small = Image.open(io.BytesIO(png))
    figure.savefig(drawn := io.BytesIO(), format="png", dpi=160)
    whole = np.asarray(Image.open(drawn).convert("RGB"), int)
    assert small.mode == "P"
    assert small.info["dpi"] == pytest.approx((160, 160), abs=0.1)
    assert np.abs(np.asarray(small.convert("RGB"), int) - whole).mean() < 0.2
