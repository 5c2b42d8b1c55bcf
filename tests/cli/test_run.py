"""`ablate run` and what reads its folder, as a person meets them: real processes, the digits for data."""

import random
import shutil
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from ablate.design.runs import make_slug
from ablate.records.predictions import read_labels, read_predictions
from ablate.stats.metric_values import compute_metrics
from tests.commands import ablate, count_trials, start
from tests.conftest import SMALL


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the small study has been run to its end with two jobs."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.yaml").write_text(SMALL)
    done = ablate("run", "small.yaml", "--jobs", 2, cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "stdout").write_text(done.stdout)
    return folder


def runs_csv(folder: Path) -> bytes:
    return (folder / "reports" / "small" / "tables" / "runs.csv").read_bytes()


def test_a_study_leaves_everything_that_a_report_promises(finished: Path) -> None:
    report = finished / "reports" / "small"
    assert {path.name for path in report.iterdir() if not path.name.startswith(".")} == {
        "report.html", "report.md", "tables", "figures", "study.yaml", "environment.json", "study.db", "checkpoints", "predictions", "inside.npz",
    }  # fmt: skip
    tables = {path.stem for path in (report / "tables").iterdir()}
    assert tables - {"stability"} == {  # which only a study with runs that did not train has
        "runs",
        "epochs",
        "arms",
        "comparisons",
        "differences_by_epoch",
        "tuning",
        "timing",
        "confusion",
        "metrics",
        "recalls",
    }
    assert {path.name for path in (report / "checkpoints").iterdir()} == {"baseline.pt", "pooling-max.pt"}
    answer = (finished / "stdout").read_text()
    assert answer.startswith("pooling=max against baseline (pooling=avg): ")
    assert "report: reports/small/report.html" in answer


def test_a_checkpoint_is_the_network_that_was_scored(finished: Path, digits) -> None:
    import torch

    from ablate import models

    network = models.build(
        "lenet", {"pooling": "max"}, input_shape=(1, 28, 28), classes=10, init="default", seed=0
    )
    network.load_state_dict(
        torch.load(finished / "reports/small/checkpoints/pooling-max.pt", weights_only=True)
    )
    with torch.inference_mode():
        accuracy = (network.eval()(digits.test_images).argmax(1) == digits.test_labels).float().mean().item()
    runs = pd.read_csv(finished / "reports/small/tables/runs.csv")
    row = runs[(runs.phase == "confirm") & (runs.arm == "pooling=max") & (runs.seed == 0)]
    assert row.test_accuracy.item() == pytest.approx(accuracy, abs=1.5 / 360)


def test_the_stored_predictions_give_the_test_accuracy_of_every_confirmed_run(finished: Path, digits) -> None:
    report = finished / "reports/small"
    runs = pd.read_csv(report / "tables/runs.csv")
    confirmed = runs[runs.phase == "confirm"]
    assert len(list((report / "predictions").iterdir())) == len(confirmed) + 1 == 7
    labels = read_labels(report)
    assert labels.tolist() == digits.test_labels.tolist()
    metrics = pd.read_csv(report / "tables/metrics.csv").set_index(["phase", "arm", "setting", "seed"])
    assert set(metrics.index.get_level_values("phase")) == {"confirm", "tune"}
    for run in confirmed.itertuples():
        kept = read_predictions(report, make_slug(run.arm), run.setting, run.seed)
        assert (kept.guesses == labels).mean() == run.test_accuracy
        row = metrics.loc[("confirm", run.arm, run.setting, run.seed)]
        for name, value in compute_metrics(kept.log_probabilities, kept.guesses, labels).items():
            assert row[f"test_{name}"] == value
    recalls = pd.read_csv(report / "tables/recalls.csv")
    assert recalls.groupby(["arm", "seed"])["test_images"].sum().tolist() == [360] * 6


@pytest.mark.thorough
def test_one_job_gives_the_bytes_that_two_give(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    done = ablate("run", "small.yaml", "--jobs", 1, cwd=tmp_path, drawn=False)
    assert done.returncode == 0, done.stderr
    assert runs_csv(tmp_path) == runs_csv(finished)
    for name in (
        "tables/metrics.csv",
        "tables/recalls.csv",
        "predictions/labels.npz",
        "predictions/baseline-0.npz",
    ):
        assert (tmp_path / "reports/small" / name).read_bytes() == (
            finished / "reports/small" / name
        ).read_bytes(), name


def test_a_finished_study_trains_nothing_again(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    database = tmp_path / "reports" / "small" / "study.db"
    before = database.stat().st_mtime_ns
    again = ablate("run", "small.yaml", cwd=tmp_path, drawn=False)
    assert again.returncode == 0, again.stderr
    assert again.stderr == ""  # no run, no block to tell of
    assert len(again.stdout.strip().splitlines()) == 4  # verdict, sentence, cost, report
    assert database.stat().st_mtime_ns == before
    assert runs_csv(tmp_path) == runs_csv(finished)


def _kill_in(phase: str, folder: Path) -> None:
    """Start the study, kill it at a random moment of a phase, and see that nothing of it is left."""
    enough = count_trials(folder / "reports" / "small")[phase] + random.randint(1, 3)
    with start("run", "small.yaml", cwd=folder) as parent:
        while parent.poll() is None and count_trials(folder / "reports" / "small")[phase] < enough:
            time.sleep(0.02)
        time.sleep(random.uniform(0, 0.2))
        assert parent.poll() is None, f"it ended before it could be killed in {phase}"
        family = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    assert psutil.wait_procs(family, timeout=5)[1] == []


def test_a_study_killed_with_its_workers_ends_as_if_it_had_not_been(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    _kill_in("tune", tmp_path)  # tests/faults kills in every phase, again and again, but no real workers
    done = ablate("run", "small.yaml", cwd=tmp_path, drawn=False)
    assert done.returncode == 0, done.stderr
    assert runs_csv(tmp_path) == runs_csv(finished)
    on_record = count_trials(tmp_path / "reports" / "small")
    runs = pd.read_csv(tmp_path / "reports/small/tables/runs.csv")
    assert on_record["tune"] == (runs.phase == "tune").sum()  # nothing was run twice
    assert on_record["confirm"] == (runs.phase == "confirm").sum() == 6
    assert on_record["time"] == 3 * 3


def test_two_folders_are_compared_and_a_regression_exits_with_1(finished: Path, tmp_path: Path) -> None:
    ours = finished / "reports" / "small"
    same = ablate("compare", ours, ours, cwd=tmp_path)
    assert same.returncode == 0, same.stderr
    assert "reproduced exactly" in same.stdout
    for name, accuracy in (("good", 0.9), ("worse", 0.8)):
        shutil.copytree(ours, tmp_path / name)
        table = tmp_path / name / "tables" / "runs.csv"
        runs = pd.read_csv(table, dtype=str, keep_default_na=False)
        confirmed = runs["phase"] == "confirm"
        level = accuracy * (runs["arm"] == "pooling=max") + 0.9 * (runs["arm"] == "baseline")
        spread = runs["seed"].astype(int) % 7 / 1000 * accuracy
        runs.loc[confirmed, "test_accuracy"] = (level + spread)[confirmed].astype(str)
        runs.to_csv(table, index=False)
    fell = ablate("compare", "good", "worse", cwd=tmp_path)
    assert fell.returncode == 1, fell.stdout
    assert "less accurate, or fewer runs train: pooling=max" in fell.stdout
    assert "Nothing was required" in fell.stdout
    other = tmp_path / "worse" / "study.yaml"
    for options, code, told in (
        (("--require", "no-worse"), 1, "does not hold: no-worse: pooling=max"),
        (("--parameters", "1"), 0, "holds: parameters: baseline and pooling=max"),
        (("--require", "no-worse"), 3, "cannot tell: no-worse: baseline and pooling=max"),
    ):
        if code == 3:
            other.write_text(other.read_text().replace("epochs: 2", "epochs: 3"))
        gate = ablate("compare", "good", "worse", *options, cwd=tmp_path)
        assert (gate.returncode, gate.stdout.splitlines()[-1]) == (code, told)


def test_chosen_layers_are_drawn_on_chosen_classes_and_the_files_named(finished: Path) -> None:
    done = ablate("activations", "reports/small", "--arm", "pooling=max", "--inputs", "3,8", cwd=finished)
    assert done.returncode == 0, done.stderr
    written = [finished / line for line in done.stdout.splitlines()]
    assert [path.name for path in written] == [
        f"asked-{kind}-3-8-pooling-max.png" for kind in ("activations_1", "activations_2", "filters")
    ]
    assert all(path.stat().st_size > 5_000 for path in written)
    refused = ablate("activations", "reports/small", "--arm", "pooling=mix", cwd=finished)
    assert refused.returncode == 2
    assert refused.stderr == "error: --arm pooling=mix: did you mean 'pooling=max'?\n"


def test_all_reports_of_a_folder_are_indexed(finished: Path) -> None:
    page = (finished / "reports" / "index.html").read_text()
    assert "small/report.html" in page
    assert "Does max pooling beat average pooling?" in page
