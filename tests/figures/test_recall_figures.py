"""The figure of recalls shows where an arm gains: the most different classes first, and says what it leaves out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ablate.figures import registry
from ablate.figures.recall_figures import (
    MOST_CLASSES,
    MOST_PANELS,
    draw_recall_differences,
    tabulate_recall_differences,
)
from ablate.records.tables import make_frame, write_table
from ablate.report import writer
from ablate.report.evidence import Evidence, gather
from ablate.study import study_file
from tests.commands import leave_undrawn
from tests.figures.test_styles import read_caption
from tests.report.test_writer import write_folder


@pytest.fixture
def study(tmp_path: Path, small) -> Callable[..., Evidence]:
    """A folder with this many arms and classes. Arm i gains i × class k thousandths in class k."""

    def write(arms: int, classes: int, *, diverged: bool = False) -> Evidence:
        names = ["baseline", *(f"arm {i}" for i in range(1, arms))]
        accuracies: dict[str, list[float | str]] = {
            name: [0.8 + 0.01 * i + 0.001 * (seed * i % 2) for seed in range(3)]
            for i, name in enumerate(names)
        }
        if diverged:
            accuracies[names[-1]][0] = "diverged"
        folder = write_folder(tmp_path / "small", study_file.dump(small()), accuracies)
        rows = (
            {"arm": name, "seed": seed, "label": f"class {k}", "recall": 0.5 + i * k / 1000 + 0.001 * (i * seed % 2), "test_images": 100}
            for i, name in enumerate(names)
            for seed in range(3)
            for k in range(classes)
        )  # fmt: skip
        write_table(make_frame("recalls", rows), folder / "tables/recalls.csv")
        return gather(folder)

    return write


def test_the_most_different_classes_come_first(study) -> None:
    evidence = study(2, 3)
    data = tabulate_recall_differences(evidence.study, evidence.tables).sort_values("place")
    assert data["class"].tolist() == ["class 2", "class 1", "class 0"]
    assert data["difference"].tolist() == pytest.approx([0.2 + 0.1 / 3, 0.1 + 0.1 / 3, 0.1 / 3])  # points
    figure = draw_recall_differences(
        data, evidence.study, registry.style_arms(evidence.study, evidence.tables)
    )
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["class 2", "class 1", "class 0"]
    assert axes.get_xlabel() == "difference in recall (percentage points)\nfrom baseline"
    caption = read_caption(evidence, "recall_differences")
    assert "not corrected for the number of classes" in caption
    assert caption.endswith("The classes with the largest differences come first.")


def test_recalls_are_percentage_points_whatever_metric_decides(study) -> None:
    evidence = study(2, 3)
    decision = evidence.study.decision.model_copy(update={"metric": "log_loss"})
    other = evidence.study.model_copy(update={"decision": decision})
    data = tabulate_recall_differences(other, evidence.tables)
    assert data["difference"].max() == pytest.approx(0.2 + 0.1 / 3)


def test_many_classes_and_comparisons_are_cut_and_the_caption_says_so(study) -> None:
    evidence = study(MOST_PANELS + 3, MOST_CLASSES + 5, diverged=True)
    data = tabulate_recall_differences(evidence.study, evidence.tables)
    assert list(dict.fromkeys(data["label"])) == [f"arm {i}" for i in range(2, MOST_PANELS + 2)]
    assert data["class"].nunique() == MOST_CLASSES
    figure = draw_recall_differences(
        data, evidence.study, registry.style_arms(evidence.study, evidence.tables)
    )
    assert len(figure.axes) == MOST_PANELS
    assert read_caption(evidence, "recall_differences").endswith(
        "These are the 20 of 25 classes with the largest differences. Each panel has a scale of its own. "
        "These are the 6 of 7 comparisons with the largest differences. Interactions, and comparisons with "
        "runs that did not train, have no panel."
    )


def test_a_folder_of_an_older_version_has_neither_table_nor_figure(study, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    study(2, 3)
    with pytest.MonkeyPatch.context() as patched:
        leave_undrawn(patched.setattr)
        writer.write(folder)
        assert (folder / "tables/recalls_by_class.csv").exists()
        (folder / "tables/recalls.csv").unlink()
        evidence = writer.write(folder)
    assert not (folder / "tables/recalls_by_class.csv").exists()
    assert tabulate_recall_differences(evidence.study, evidence.tables).empty
