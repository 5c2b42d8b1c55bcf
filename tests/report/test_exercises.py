"""The page of exercises says what the reports say, and every mistake in its file is one line."""

import re
from pathlib import Path

import pytest

from ablate.errors import AblateError
from ablate.report import writer
from ablate.report.contexts.writer import write_contexts
from ablate.report.evidence import gather
from ablate.report.exercises import read_exercises, tabulate_answers, write_answers
from ablate.report.one_line import state_answer
from ablate.study import study_file
from tests.commands import ROOT
from tests.report.test_contexts import make_study
from tests.report.test_writer import write_folder

pytestmark = pytest.mark.usefixtures("undrawn")

FILE = """
title: Answers
exercises:
  - ask: Does a|b matter?
    studies: [plain, small, later]
"""


@pytest.fixture
def reports(tmp_path: Path, small) -> Path:
    accuracies = {"baseline": [0.9, 0.91, 0.92], "a": [0.95, 0.961, 0.97], "b": [0.1, "diverged", 0.92]}
    writer.write(write_folder(tmp_path / "plain", study_file.dump(small("name=plain")), accuracies))
    write_contexts(
        make_study(
            tmp_path / "small",
            {"chapter": [0.05, 0.051, 0.049, 0.05], "modern": [0.0, 0.001, -0.001, 0.0005]},
        )
    )
    return tmp_path


def test_a_row_is_the_answer_of_a_study_or_of_a_context(reports: Path) -> None:
    (reports / "exercises.yaml").write_text(FILE)
    table, missing = tabulate_answers(read_exercises(reports / "exercises.yaml"), reports, reports)
    heading, _, _, _, plain, *of_contexts, later = table.strip().splitlines()
    assert heading == "## Answers"
    assert plain.startswith("| Does a\\|b matter? | [plain](plain/report.md) |  | a is 5.03 points more accurate than baseline on the test images (95% interval ")  # fmt: skip
    assert plain.endswith("): matters, speed ×0.99; some runs did not train: b |")
    together, chapter, modern = of_contexts
    assert "**the answer depends on the context: a against baseline**" in together
    assert chapter.startswith("|  |  | [chapter](small/chapter/report.md) | a is 5.00 points more accurate")
    assert modern.endswith(": practically equivalent, speed ×0.98 |")
    assert later == "|  | `later` |  | no report yet |"
    assert missing == 1


def test_a_row_names_every_arm_the_best_first(reports: Path, small) -> None:
    accuracies = {"baseline": [0.9, 0.91, 0.92], "a": [0.95, 0.961, 0.97], "c": [0.8, 0.812, 0.82]}
    writer.write(write_folder(reports / "later", study_file.dump(small("name=later")), accuracies))
    (reports / "exercises.yaml").write_text(FILE)
    table, _ = tabulate_answers(read_exercises(reports / "exercises.yaml"), reports, reports)
    *_, row = table.strip().splitlines()
    assert "a is 5.03 points more accurate" in row
    assert re.search(r"; c: −9.93 points \(−1\d\.\d\d to −9\.\d\d\), matters", row)


def test_arms_of_one_seed_have_no_interval(tmp_path: Path, small) -> None:
    accuracies = {"baseline": [0.9], "a": [0.95], "c": [0.8]}
    writer.write(
        write_folder(tmp_path / "plain", study_file.dump(small("name=plain", "seeds=1")), accuracies)
    )
    told = state_answer(gather(tmp_path / "plain"))
    assert (
        "a is 5.00 points more accurate than baseline on the test images (no interval from one pair)" in told
    )
    assert "; c: −10.00 points (no interval from one pair), no verdict" in told


def test_a_baseline_that_fails_is_named(tmp_path: Path, small) -> None:
    accuracies = {"baseline": [0.9, "diverged", 0.92], "a": [0.95, 0.961, 0.97]}
    writer.write(write_folder(tmp_path / "plain", study_file.dump(small("name=plain")), accuracies))
    told = state_answer(gather(tmp_path / "plain"))
    assert told == "some runs of the baseline did not train, so there is no difference for a"


def test_headings_begin_a_table_and_an_answer_can_be_a_text(reports: Path) -> None:
    (reports / "exercises.yaml").write_text(
        FILE.replace("- ask", "- heading: First\n    ask")
        + "  - {heading: Then, ask: Look., answer: '[Maps](maps.png)'}\n"
    )
    table, _ = tabulate_answers(read_exercises(reports / "exercises.yaml"), reports, reports)
    assert table.startswith("## Answers\n\n### First\n\n| exercise | study |")
    assert table.strip().endswith(
        "### Then\n\n| exercise | study | context | answer |\n|---|---|---|---|\n| Look. |  |  | [Maps](maps.png) |"
    )


def test_the_answers_replace_the_earlier_ones_and_nothing_else(reports: Path) -> None:
    (reports / "exercises.yaml").write_text(FILE)
    exercises, page = read_exercises(reports / "exercises.yaml"), reports / "page.md"
    page.write_text("# Page\n<!-- answers: begin -->\nold\n<!-- answers: end -->\nafter\n")
    write_answers(exercises, reports, page)
    first = page.read_text()
    write_answers(exercises, reports, page)
    assert page.read_text() == first
    assert first.startswith("# Page\n<!-- answers: begin -->\n## Answers\n")
    assert first.endswith("<!-- answers: end -->\nafter\n")
    assert "old" not in first
    page.write_text("# Page\n")
    with pytest.raises(AblateError, match="has no lines '<!-- answers: begin -->'"):
        write_answers(exercises, reports, page)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("studies:", "study:", r"exercises\.yaml:5: exercises\.0\.study: extra inputs"),
        ("title: Answers", "titel: Answers", r"title: field required"),
        ("[plain, small, later]", "[]", r"exercises\.0: value error, name studies or write an answer"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    (tmp_path / "exercises.yaml").write_text(FILE.replace(old, new))
    with pytest.raises(AblateError, match=told):
        read_exercises(tmp_path / "exercises.yaml")


@pytest.mark.thorough
def test_the_published_answers_are_those_of_the_published_reports() -> None:
    reports = ROOT / "reports"
    table, _ = tabulate_answers(read_exercises(reports / "exercises.yaml"), reports / "published", reports)
    assert f"<!-- answers: begin -->\n{table}<!-- answers: end -->" in (reports / "README.md").read_text()


def test_every_study_of_ours_answers_an_exercise() -> None:
    named = {
        name for one in read_exercises(ROOT / "reports" / "exercises.yaml").exercises for name in one.studies
    }
    assert named == {path.stem for path in (ROOT / "studies").glob("*.yaml")}
