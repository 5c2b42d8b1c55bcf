"""The page of exercises says what the reports say, and every mistake in its file is one line."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import pytest

from ablate.errors import AblateError
from ablate.records.tables import read_table, write_table
from ablate.report import writer
from ablate.report.contexts.evidence import gather_contexts
from ablate.report.contexts.writer import write_contexts
from ablate.report.costs import compare_speeds, list_speeds
from ablate.report.evidence import Evidence, gather
from ablate.report.exercises import (
    list_evidence,
    read_exercises,
    read_report,
    tabulate_answers,
    write_answers,
)
from ablate.report.predictions import tabulate_predictions
from ablate.report.statements import MOST_NAMED, list_statements, state_baseline
from ablate.study import study_file
from tests.commands import ROOT
from tests.report.test_contexts import make_study
from tests.report.test_writer import factorial_folder, leave_one_out_folder, write_folder

pytestmark = pytest.mark.usefixtures("undrawn")


def state_answer(evidence: Evidence) -> str:
    return "; ".join(list_statements(evidence))


def predict(folders: Iterable[Path]) -> list[str]:
    return tabulate_predictions(one for folder in folders for one in list_evidence(read_report(folder)))


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
    answers, _, predictions = table.partition("\n\n### What was predicted\n\n")
    assert predictions.startswith("2 differences were predicted")
    heading, _, _, _, plain, *of_contexts, later = answers.splitlines()
    assert heading == "## Answers"
    assert plain.startswith("| Does a\\|b matter? | [plain](plain/report.md) |  | 91.0% on digits; adam, 2 epochs, learning rate 0.003 (tuned); margin 1 point | a is 5.03 points more accurate than baseline on the test images (95% interval ")  # fmt: skip
    assert plain.endswith(
        "): matters, speed ×0.99<br>some runs did not train:<br>b trained in 1 of 3 seeds and the baseline in 3, speed ×0.99 |"
    )
    together, chapter, modern = of_contexts
    assert "**the answer depends on the context: a against baseline**" in together
    setting = "90.9% on digits; adam, 2 epochs, learning rate 0.003 (tuned); margin 1 point"
    assert chapter.startswith(
        f"|  |  | [chapter](small/chapter/report.md) | {setting} | a is 5.00 points more accurate"
    )
    assert modern.endswith(": practically equivalent, speed ×0.98 |")
    assert later == "|  | `later` |  |  | no report yet |"
    assert missing == 1


def test_a_row_names_every_arm_the_best_first(reports: Path, small) -> None:
    accuracies = {"baseline": [0.9, 0.91, 0.92], "a": [0.95, 0.961, 0.97], "c": [0.8, 0.812, 0.82]}
    writer.write(write_folder(reports / "later", study_file.dump(small("name=later")), accuracies))
    (reports / "exercises.yaml").write_text(FILE)
    table, _ = tabulate_answers(read_exercises(reports / "exercises.yaml"), reports, reports)
    *_, row = table.partition("\n\n### What was predicted")[0].splitlines()
    assert "a is 5.03 points more accurate" in row
    assert re.search(r"<br>c: −9.93 points \(−1\d\.\d\d to −9\.\d\d, 3 seeds\), matters", row)


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
    assert told == "some runs did not train:; a trained in 3 of 3 seeds and the baseline in 2, speed ×0.98"


@pytest.mark.parametrize("seeds", [5, 6])
def test_at_least_five_seeds_that_trained_are_compared(tmp_path: Path, small, seeds: int) -> None:
    base = [0.9, "diverged", 0.92, 0.91, 0.9, 0.91][:seeds]
    accuracies = {"baseline": base, "a": [0.95, 0.961, 0.971, 0.96, 0.951, 0.96][:seeds]}
    spec = small("name=plain", f"seeds={seeds}")
    writer.write(write_folder(tmp_path / "plain", study_file.dump(spec), accuracies))
    told = state_answer(gather(tmp_path / "plain"))
    often = f"some runs did not train:; a trained in {seeds} of {seeds} seeds and the baseline in {seeds - 1}"
    compared = r", \+5\.0\d points \(\+4\.\d\d to \+5\.\d\d\) in the 5 seeds where both trained, matters"
    assert re.fullmatch(rf"{often}{compared if seeds == 6 else ''}, speed ×0\.98", told)


def test_published_accuracies_are_compared_with_one_further_run() -> None:
    evidence = gather(ROOT / "reports" / "published" / "lenet_published")
    (told,) = [each for each in list_statements(evidence) if "further run" in each]
    row = evidence.tables["references"].iloc[0]
    assert f"test accuracy of {row.prediction_low:.3f} to {row.prediction_high:.3f} (95% interval)" in told
    assert "“PyTorch” 0.823 (inside)" in told


def test_costs_are_told_where_they_differ() -> None:
    told = state_answer(gather(ROOT / "reports" / "published" / "lenet_kernel_size" / "chapter"))
    assert re.search(r"kernel_size=3: .*, speed ×1\.0\d, parameters ×1\.32, FLOP ×0\.66", told)
    told = state_answer(gather(ROOT / "reports" / "published" / "lenet_pooling"))
    assert "speed ×" in told
    assert not re.search("parameters|FLOP", told)


def test_the_baseline_is_described_with_what_its_recipe_adds(tmp_path: Path, small) -> None:
    recipe = (
        "{epochs: 4, optimizer: sgd, momentum: 0.9, schedule: cosine, augmentation: crop, train_images: 700}"
    )
    spec = small("name=plain", f"recipe={recipe}", "tuning.trials=0")
    accuracies = {"baseline": [0.9, "diverged", 0.92], "a": [0.95, 0.961, 0.97]}
    path = write_folder(tmp_path / "plain", study_file.dump(spec), accuracies)
    writer.write(path)
    assert state_baseline(gather(path)) == (  # without a mean, because a run of the baseline diverged
        "on digits; sgd with momentum 0.9, 4 epochs, 700 images, schedule cosine, augmentation crop, "
        "learning rate 0.9"
    )


def change_timing(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change the timing blocks of a report folder, as if the machine had been slower, busier or not used."""
    path = folder / "tables" / "timing.csv"
    write_table(change(read_table("timing", path)), path)
    writer.write(folder)


def test_an_exercise_about_speed_is_answered_with_speeds_the_fastest_first(reports: Path, small) -> None:
    accuracies = {"baseline": [0.9, 0.91, 0.92], "slow": [0.95, 0.961, 0.97], "b": [0.5, "diverged", 0.92]}
    folder = write_folder(reports / "later", study_file.dump(small("name=later")), accuracies)
    change_timing(folder, lambda t: t.assign(seconds=t.seconds.where(t.arm != "slow", 2 * t.seconds)))
    (reports / "exercises.yaml").write_text(FILE.replace("    studies", "    about: speed\n    studies"))
    table, _ = tabulate_answers(read_exercises(reports / "exercises.yaml"), reports, reports)
    _, _, _, _, _, together, chapter, _, row = table.partition("\n\n### What was predicted")[0].splitlines()
    assert together.endswith(
        " | all |  | no arm trains faster or slower than the baseline in every context |"
    )
    assert re.search(
        r"\| a trains 0\.98 times as fast as baseline .*; test accuracy \+5\.00 points, matters \|$", chapter
    )
    assert re.search(
        r"\| b trains (0\.9|1\.0)\d times as fast as baseline \(95% interval \d\.\d\d to \d\.\d\d\); test accuracy unstable<br>"
        r"slow trains 0\.(4|5)\d times as fast as baseline \(.*\); test accuracy \+5\.03 points, matters \|$",
        row,
    )


def test_the_size_of_an_arm_is_told_with_its_speed() -> None:
    told = list_speeds(gather(ROOT / "reports" / "published" / "lenet_kernel_size" / "chapter"))
    assert re.search(
        r"^kernel_size=3 trains .* to 1\.\d\d\), parameters ×1\.32, FLOP ×0\.66; test accuracy −2", told[0]
    )


def test_an_arm_that_is_slower_in_every_context_is_named(reports: Path) -> None:
    for context in ("chapter", "modern"):
        slower = lambda t: t.assign(seconds=t.seconds.where(t.arm != "a", 2 * t.seconds))  # noqa: E731
        change_timing(reports / "small" / context, slower)
    contexts = gather_contexts(reports / "small").finished
    assert compare_speeds(contexts) == "slower in every context: a"
    change_timing(reports / "small" / "modern", lambda t: t.assign(disturbed=t.arm == "a"))
    contexts = gather_contexts(reports / "small").finished
    assert compare_speeds(contexts) == "not known in every context: a"


@pytest.mark.parametrize(
    ("blocks", "change", "told"),
    [
        (0, lambda timing: timing.iloc[:0], "the speed was not measured"),
        (
            4,
            lambda timing: timing.assign(disturbed=True),
            "the speeds were not compared",
        ),
        (
            4,
            lambda timing: timing.assign(seconds=timing.seconds * 3**timing.block),
            "the speeds are unreliable, because the speed of the baseline varied",
        ),
    ],
)
def test_a_speed_that_is_not_known_is_not_told(tmp_path: Path, small, blocks: int, change, told: str) -> None:
    accuracies = {"baseline": [0.9, 0.91, 0.92], "a": [0.95, 0.961, 0.97]}
    spec = small("name=plain", f"timing.blocks={blocks}")
    folder = write_folder(tmp_path / "plain", study_file.dump(spec), accuracies)
    change_timing(folder, change)
    (stated,) = list_speeds(gather(folder))
    assert stated.startswith(told)


def test_interactions_come_first(tmp_path: Path, small) -> None:
    path = factorial_folder(tmp_path / "small", small, 2)
    writer.write(path)
    first, *others = state_answer(gather(path)).split("; ")
    assert re.match(
        r"the effect of \S+ on the test accuracy is .* with \S+ than without it \(95% interval", first
    )
    assert "accurate than baseline" in others[0]


def test_of_many_interactions_the_first_are_told(tmp_path: Path, small) -> None:
    path = factorial_folder(tmp_path / "small", small, 4)
    writer.write(path)
    told = state_answer(gather(path))
    assert told.count("than without it") == MOST_NAMED
    assert "; and 1 more; " in told


def test_changes_that_hurt_most_when_they_are_missing_come_first(tmp_path: Path, small) -> None:
    path = leave_one_out_folder(tmp_path / "small", small)
    writer.write(path)
    told = state_answer(gather(path)).split("; ")
    against_full = [part for part in told if " against full: " in part]
    assert [part.partition(" against full: ")[0] for part in against_full] == [
        "without pooling",
        "without activation",
        "without dropout",
    ]
    assert not any("speed" in part for part in against_full)  # speeds are relative to the baseline


@pytest.mark.parametrize(
    ("arm", "status", "told"),
    [
        ("full", "diverged", "3. full trained in 2 of 3 seeds and without it in 3"),
        ("without dropout", "diverged", "3. full trained in 3 of 3 seeds and without it in 2"),
        ("pooling=max", "failed", "1. pooling=max: no verdict"),
    ],
)
def test_a_step_of_runs_that_failed_is_told(tmp_path: Path, small, arm: str, status: str, told: str) -> None:
    path = leave_one_out_folder(tmp_path / "small", small)
    table = path / "tables" / "runs.csv"
    runs = read_table("runs", table)
    fails = (runs["phase"] == "confirm") & (runs["arm"] == arm) & (status == "failed" or runs["seed"] == 1)
    runs.loc[fails, ["status", "test_accuracy"]] = [status, None]
    write_table(runs, table)
    writer.write(path)
    assert any(line.startswith(told) for line in list_statements(gather(path)))


def test_a_step_rests_on_the_seeds_of_the_comparison_that_it_turns_round() -> None:
    told = list_statements(gather(ROOT / "reports" / "published" / "lenet_visualiser" / "chapter"))
    pattern = r"^%s: [+−]0\.40 points \(.*, (\d+) seeds\)"
    seeds = {
        next(filter(None, (re.search(pattern % re.escape(name), line) for line in told)))[1]
        for name in ("4. output_activation=tanh", "full with output_activation=null against full")
    }
    assert seeds == {"8"}


def test_an_arm_that_has_a_learning_rate_of_its_own_says_so() -> None:
    published = ROOT / "reports" / "published"
    told = state_answer(gather(published / "lenet_channels" / "modern"))
    assert "channels=[3 8]: −1.38 points (−1.70 to −1.05, 24 seeds), matters, learning rate 0.012, " in told
    assert told.count("learning rate") == 1  # the other arm has the baseline's
    against_full = state_answer(gather(published / "lenet_visualiser" / "chapter"))
    assert "detectable, size unclear, learning rate 0.714" in against_full


def test_each_step_to_full_is_told_in_a_line_also_if_runs_did_not_train(tmp_path: Path, small) -> None:
    path = leave_one_out_folder(tmp_path / "small", small)
    table = path / "tables" / "runs.csv"
    runs = read_table("runs", table)
    fails = (runs["phase"] == "confirm") & (runs["arm"] == "pooling=max") & (runs["seed"] == 2)
    runs.loc[fails, ["status", "test_accuracy"]] = ["diverged", None]
    write_table(runs, table)
    writer.write(path)
    told = list_statements(gather(path))
    start = told.index("from baseline to full, one change at a time:")
    first, second, third = told[start + 1 : start + 4]
    assert first.startswith("1. pooling=max trained in 2 of 3 seeds and without it in 3, speed ×")
    assert second == "2. without dropout trained in 3 of 3 seeds and without it in 2"
    assert re.fullmatch(r"3\. full: [+−]0\.\d\d points \(.*, 3 seeds\), .*", third)
    assert not any(part.startswith("pooling=max") for part in told)  # the first step has told it


def test_predictions_are_counted_and_told_with_what_was_found(tmp_path: Path, small) -> None:
    make_study(
        tmp_path / "small",
        {"chapter": [0.05, 0.051, 0.049, 0.05], "modern": [0.0, 0.001, -0.001, 0.0005]},
    )
    accuracies = {"baseline": [0.9, 0.91, 0.92], "a": [0.95, 0.961, 0.97], "b": [0.5, "diverged", 0.92]}
    spec = small("name=plain", "predicted={a: [0, 0.05], b: [0, 0.1]}")
    writer.write(write_folder(tmp_path / "plain", study_file.dump(spec), accuracies))
    quiet = write_folder(tmp_path / "quiet", study_file.dump(small("name=quiet")), accuracies)
    writer.write(quiet)
    told, _, _, _, *rows = predict([tmp_path / "plain", quiet, tmp_path / "small", tmp_path / "missing"])
    assert told == (
        "4 differences were predicted before the first run. Came true: 1, because the whole confidence interval lies "
        "inside the predicted interval. Did not come true: 1, because it lies wholly outside. Open: 1, because it lies "
        "partly inside. Not known: 1, because some runs did not train. "
        "Nothing was predicted in quiet."
    )
    a, b, chapter, modern = rows
    assert re.fullmatch(
        r"\| plain \|  \| a \| \+0\.00 to \+5\.00 points \| \+5\.03 points \(\+4\.\d\d to \+5\.\d\d\) \| open \|",
        a,
    )
    assert b == "| plain |  | b | +0.00 to +10.00 points | some runs did not train | not known |"
    assert chapter.startswith("| small | chapter | a | +4.00 to +6.00 points | +5.00 points (")
    assert chapter.endswith(" | yes |")
    assert modern.endswith(" | **no, it is lower** |")
    assert predict([quiet, tmp_path / "missing"]) == []


def test_a_prediction_without_one_change_is_about_the_comparison_with_full(tmp_path: Path, small) -> None:
    path = leave_one_out_folder(tmp_path / "small", small)
    text = (
        path / "study.yaml"
    ).read_text() + "predicted: {without pooling: [-0.1, 0], without dropout: [0, 0.1]}\n"
    (path / "study.yaml").write_text(text)
    rows = predict([path])[4:]
    assert [row.split("|")[3].strip() for row in rows] == ["without pooling", "without dropout"]
    assert [row.split("|")[5].split()[0][:2] for row in rows] == ["−3", "+0"]


def test_headings_begin_a_table_and_an_answer_can_be_a_text(reports: Path) -> None:
    (reports / "exercises.yaml").write_text(
        FILE.replace("- ask", "- heading: First\n    ask")
        + "  - {heading: Then, ask: Look., answer: '[Maps](maps.png)'}\n"
    )
    table, _ = tabulate_answers(read_exercises(reports / "exercises.yaml"), reports, reports)
    assert table.startswith("## Answers\n\n### First\n\n| exercise | study |")
    assert table.partition("\n\n### What was predicted")[0].endswith(
        "### Then\n\n| exercise | study | context | baseline | answer |\n|---|---|---|---|---|\n| Look. |  |  |  | [Maps](maps.png) |"
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
