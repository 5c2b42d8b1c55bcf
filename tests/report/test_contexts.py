"""The page of a study with contexts says what each context answers and whether the answers differ."""

import re
import shutil
from pathlib import Path

import pytest

from ablate.errors import FolderError
from ablate.figures.context_figures import CONTEXTS as DRAWN
from ablate.records.folder import list_contexts
from ablate.records.tables import read_table
from ablate.report import writer
from ablate.report.contexts.answer import (
    describe_contexts,
    list_contexts_findings,
    state_contexts_headline,
)
from ablate.report.contexts.evidence import gather_contexts
from ablate.report.contexts.writer import write_contexts
from ablate.report.evidence import gather
from ablate.study import study_file
from tests.commands import ROOT
from tests.conftest import SMALL
from tests.report.test_writer import Page, write_folder

pytestmark = pytest.mark.usefixtures("undrawn")

CONTEXTS = """
contexts:
  chapter: {predicted: {a: [0.04, 0.06]}}
  modern: {recipe: {epochs: 3, schedule: cosine}, predicted: {a: [0.02, 0.03]}}
"""
BASE = [0.9, 0.91, 0.92, 0.905]
GAINS = [0.05, 0.051, 0.049, 0.05]


def make_study(
    path: Path, gains: dict[str, list[float | str]], arms: dict[str, str] | None = None, seeds: int = 3
) -> Path:
    """The folder of a study with two contexts, in which arm `a` gains so much in every seed, or diverges.

    `arms` gives the arm of a context another name.
    """
    path.mkdir()
    (path / "study.yaml").write_text(SMALL.replace("seeds: 3", f"seeds: {seeds}") + CONTEXTS)
    for name, of_context in gains.items():
        values = [
            gain if isinstance(gain, str) else base + gain
            for base, gain in zip(BASE, of_context, strict=True)
        ]
        accuracies = {"baseline": BASE, (arms or {}).get(name, "a"): values}
        spec = study_file.read(path / "study.yaml", [f"context={name}"])
        writer.write(write_folder(path / name, study_file.dump(spec), accuracies))
    return path


def test_an_answer_that_depends_on_the_context_is_the_headline(tmp_path: Path) -> None:
    path = make_study(
        tmp_path / "small", {"chapter": [0.05, 0.051, 0.049, 0.05], "modern": [0.0, 0.001, -0.001, 0.0005]}
    )
    write_contexts(path)
    page = Page((path / "report.html").read_text())
    assert "The answer depends on the context: a against baseline" in page.text
    assert "The difference is 4.99 points lower in modern than in chapter" in page.text
    assert "So the difference depends on the context." in page.text
    assert "This came true: the whole confidence interval lies inside the predicted interval." in page.text
    assert "This did not come true: the confidence interval lies below the predicted interval." in page.text
    assert "recipe.epochs: 3, recipe.schedule: cosine" in page.text
    assert {"chapter/report.html", "modern/report.html"} <= set(page.fetched)
    assert all((path / link).exists() for link in page.fetched)
    markdown = (path / "report.md").read_text()
    assert "| [chapter](chapter/report.md) | matters | +5.00 points |" in markdown
    table = read_table("contexts", path / "tables" / "contexts.csv")
    assert table["change_verdict"].dropna().tolist() == ["matters"]


def test_equal_answers_are_called_the_same(tmp_path: Path) -> None:
    gains = [0.05, 0.051, 0.049, 0.05]
    path = make_study(
        tmp_path / "small", {"chapter": gains, "modern": [gain + 0.0002 for gain in reversed(gains)]}
    )
    write_contexts(path)
    text = Page((path / "report.html").read_text()).text
    assert "The verdict is the same in every context (chapter and modern): matters" in text
    assert "Any change is smaller than the margin of ±1 point" in text


def test_an_arm_that_is_another_network_in_each_context_is_named_without_values(tmp_path: Path) -> None:
    path = make_study(tmp_path / "small", {"chapter": GAINS, "modern": GAINS})
    for context, pooling in {"chapter": "max", "modern": "none"}.items():
        runs = path / context / "tables" / "runs.csv"
        table = read_table("runs", runs)
        table["pooling"] = table["arm"].map({"baseline": "avg", "a": pooling})
        table.to_csv(runs, index=False)
    text = read_page(path)
    assert "a against baseline" in text
    for pooling in ("max", "none"):
        assert f"a (pooling={pooling}) is 5.00 points more accurate" in text
        assert f"a (pooling={pooling}) against" not in text


def test_the_headline_of_searches_names_the_best_network_of_each_context() -> None:
    evidence = gather_contexts(ROOT / "reports" / "published" / "lenet_best")
    headline = state_contexts_headline(evidence, list_contexts_findings(evidence))
    assert set(evidence.finished) == {"fashion_mnist", "mnist"}
    for context, each in evidence.finished.items():
        best = each.tables["arms"].sort_values("test_accuracy_mean").iloc[-1]
        told = f"{each.names.name_arm(best['arm'])} ({best['test_accuracy_mean']:.1%})"
        assert f"{told} in {context}" in headline


def test_an_interaction_that_depends_on_the_context_comes_first_in_the_headline() -> None:
    evidence = gather_contexts(ROOT / "reports" / "published" / "lenet_activation_init")
    findings = list_contexts_findings(evidence)
    headline = state_contexts_headline(evidence, findings)
    named = "interaction of activation=relu and init=kaiming_uniform"
    assert headline.startswith(f"the answer depends on the context: {named}, init=kaiming_uniform against")
    (told,) = [finding.changes for finding in findings if finding.subject == named]
    assert re.fullmatch(
        r"The interaction is 3\.\d\d points higher in modern than in chapter \(95% interval .*; 24 paired seeds\)\. "
        r"So the interaction depends on the context\.",
        told[0],
    )


def test_an_unfinished_context_is_named(tmp_path: Path) -> None:
    path = make_study(tmp_path / "small", {"chapter": [0.05, 0.051, 0.049, 0.05]})
    write_contexts(path)
    text = Page((path / "report.html").read_text()).text
    assert "Preliminary: 1 of 2 contexts are finished; modern will follow." in text
    assert "modern (not finished)" in text


def test_a_command_for_one_folder_names_the_folders_of_the_contexts(tmp_path: Path) -> None:
    path = make_study(tmp_path / "small", {"chapter": [0.05, 0.051, 0.049, 0.05]})
    assert list_contexts(path) == [path / "chapter"]
    with pytest.raises(
        FolderError, match=r"has a report folder for each context: name one of .*small/chapter"
    ):
        gather(path)


def read_page(path: Path) -> str:
    write_contexts(path)
    return Page((path / "report.html").read_text()).text


def test_an_arm_that_trains_in_one_context_only_is_the_headline(tmp_path: Path) -> None:
    path = make_study(tmp_path / "small", {"chapter": ["diverged"] * 4, "modern": GAINS})
    text = read_page(path)
    assert "Some runs did not train in chapter: a against baseline" in text
    assert "Not drawn, because some of the runs did not train: a in chapter." in text
    assert "modern and chapter cannot be compared: in one of them, some runs did not train." in text


def test_the_figure_says_in_which_context_runs_did_not_train(tmp_path: Path) -> None:
    path = make_study(tmp_path / "small", {"chapter": ["diverged"] * 4, "modern": GAINS})
    evidence = gather_contexts(path)
    figure = DRAWN.draw(
        DRAWN.data(evidence.first_study, {"contexts": evidence.table}), evidence.first_study, {}
    )
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["chapter: some runs did not train"]
    assert axes.get_xlabel() == "difference from baseline in test accuracy (percentage points), 95 % interval"


def test_a_change_over_some_of_the_seeds_says_so(tmp_path: Path) -> None:
    path = make_study(tmp_path / "small", {"chapter": GAINS, "modern": [0.01, 0.012, 0.011, "oom"]}, seeds=4)
    assert (
        "In the seeds that both contexts share, the difference is 3.90 points lower in modern"
        in read_page(path)
    )


def test_a_context_that_changes_nothing_is_described_by_its_recipe() -> None:
    (_, told), *_ = describe_contexts(gather_contexts(ROOT / "reports" / "published" / "lenet_channels"))
    assert told.startswith("the study file without changes (baseline: 79.5% on fashion_mnist; sigmoid, sgd, ")


def test_an_unstable_context_shows_the_difference_of_the_seeds_that_trained(tmp_path: Path) -> None:
    gains = {"chapter": [0.05, "diverged", 0.049, 0.052], "modern": ["diverged"] * 3 + [0.05]}
    path = make_study(tmp_path / "small", gains, seeds=4)
    text = read_page(path)
    assert re.search(
        r"chapter\s*unstable\s*\+5\.03 points where both trained \(95% interval \+4\.\d\d to ", text
    )
    assert re.search(r"modern\s*unstable\s*–", text)  # one pair is too few


def test_a_context_in_which_no_run_ended_with_an_accuracy_is_shown_as_not_trained(tmp_path: Path) -> None:
    path = make_study(tmp_path / "small", {"chapter": GAINS, "modern": ["diverged"] * 4})
    runs = path / "modern" / "tables" / "runs.csv"
    runs.write_text(
        re.sub(
            r"^(confirm,baseline,.*),complete,.*$",
            r"\1,diverged,0.003,,,,,",
            runs.read_text(),
            flags=re.MULTILINE,
        )
    )
    assert "modern and chapter cannot be compared: in one of them, some runs did not train." in read_page(
        path
    )


def test_opposite_differences_are_not_called_the_same(tmp_path: Path) -> None:
    path = make_study(tmp_path / "small", {"chapter": GAINS, "modern": [-gain for gain in GAINS]})
    assert "The answer depends on the context" in read_page(path)


def test_an_arm_that_the_first_context_lacks_is_named(tmp_path: Path) -> None:
    path = make_study(tmp_path / "small", {"chapter": GAINS, "modern": GAINS}, {"modern": "b"})
    text = read_page(path)
    assert "Only modern has these comparisons, which are not shown here: b." in text
    assert "No comparison of these contexts with each other is possible" in text


def test_a_damaged_or_foreign_context_is_named_and_the_page_is_written(tmp_path: Path) -> None:
    path = make_study(tmp_path / "small", {"chapter": GAINS, "modern": GAINS})
    (path / "modern" / "tables" / "runs.csv").unlink()
    text = read_page(path)
    assert "Preliminary: 1 of 2 contexts are finished; modern will follow." in text
    assert "runs.csv: is missing" in text
    shutil.rmtree(path)
    path = make_study(tmp_path / "small", {"chapter": GAINS, "modern": GAINS})
    (path / "study.yaml").write_text(SMALL + CONTEXTS.replace("epochs: 3", "epochs: 30"))
    text = read_page(path)
    assert "modern: its results come from another version of the study file (recipe.epochs differs)." in text
    assert "Preliminary: 1 of 2 contexts are finished" in text
