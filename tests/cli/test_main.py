"""The command line as a person meets it: real processes, real kills, the digits for data."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from ablate.data.official import FILES
from tests.commands import CACHE, ablate, environment
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
        "report.html", "report.md", "tables", "figures", "study.yaml", "environment.json", "study.db", "checkpoints", "inside.npz",
    }  # fmt: skip
    assert {path.stem for path in (report / "tables").iterdir()} == {
        "runs",
        "epochs",
        "arms",
        "comparisons",
        "tuning",
        "timing",
        "confusion",
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


def test_one_job_gives_the_bytes_that_two_give(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    done = ablate("run", "small.yaml", "--jobs", 1, cwd=tmp_path, drawn=False)
    assert done.returncode == 0, done.stderr
    assert runs_csv(tmp_path) == runs_csv(finished)


def test_a_finished_study_trains_nothing_again(finished: Path) -> None:
    database = finished / "reports" / "small" / "study.db"
    before, table = database.stat().st_mtime_ns, runs_csv(finished)
    again = ablate("run", "small.yaml", cwd=finished)
    assert again.returncode == 0, again.stderr
    assert again.stderr == ""  # no run, no block to tell of
    assert len(again.stdout.strip().splitlines()) == 4  # verdict, sentence, cost, report
    assert database.stat().st_mtime_ns == before
    assert runs_csv(finished) == table


def _on_record(folder: Path) -> dict[str, int]:
    """Trials by phase, read without disturbing the writer."""
    import sqlite3

    path = folder / "reports" / "small" / "study.db"
    if not path.exists():
        return {}
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as database:
        try:
            found = database.execute(
                "select study_name, count(trial_id) from studies join trials using (study_id) group by study_name"
            )
            return {name.split()[-1]: count for name, count in found}
        except sqlite3.OperationalError:  # the schema is not there yet
            return {}


def _kill_in(phase: str, folder: Path) -> None:
    """Start the study, kill it at a random moment of a phase, and see that nothing of it is left."""
    command = [sys.executable, "-m", "ablate", "run", "small.yaml"]
    enough = _on_record(folder).get(phase, 0) + random.randint(1, 3)
    with subprocess.Popen(command, cwd=folder, env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as parent:  # fmt: skip
        while parent.poll() is None and _on_record(folder).get(phase, 0) < enough:
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
    on_record = _on_record(tmp_path)
    runs = pd.read_csv(tmp_path / "reports/small/tables/runs.csv")
    assert on_record["tune"] == (runs.phase == "tune").sum()  # nothing was run twice
    assert on_record["confirm"] == (runs.phase == "confirm").sum() == 6
    assert on_record["time"] == 3 * 3


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_an_interruption_is_told_and_loses_only_what_was_in_flight(
    tmp_path: Path, number: int, code: int
) -> None:
    (tmp_path / "small.yaml").write_text(SMALL.replace("seeds: 3", "seeds: 200"))
    command = [sys.executable, "-m", "ablate", "run", "small.yaml"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    ) as parent:
        while _on_record(tmp_path).get("confirm", 0) < 3:
            assert parent.poll() is None
            time.sleep(0.05)
        family = psutil.Process(parent.pid).children(recursive=True)
        parent.send_signal(number)
        _, errors = parent.communicate(timeout=30)
    assert parent.returncode == code
    assert "the same command continues where this one stopped" in errors
    assert "Traceback" not in errors
    assert psutil.wait_procs(family, timeout=5)[1] == []
    assert _on_record(tmp_path)["confirm"] >= 3


def test_without_data_or_network_the_fallback_answers_and_says_so(tmp_path: Path) -> None:
    text = SMALL.replace("dataset: digits", "dataset: fashion_mnist").replace(
        "validation: 240", "validation: 10000"
    )
    (tmp_path / "small.yaml").write_text(text + "fallback: {dataset: digits}\n")
    done = ablate(
        "run", "small.yaml", "seeds=1", "tuning.trials=0", "recipe.epochs=1", cwd=tmp_path, drawn=False
    )
    assert done.returncode == 0, done.stderr
    assert (
        "fashion_mnist is not on this machine and cannot be downloaded: answering on digits instead"
        in done.stderr
    )
    assert (
        "The data set fashion_mnist could not be had"
        in (tmp_path / "reports/small-digits/report.html").read_text()
    )
    assert not any(CACHE.rglob("*ubyte*"))
    refused = ablate("run", "small.yaml", "--no-fallback", cwd=tmp_path)
    assert refused.returncode == 2
    assert "name its folder with --data-dir or ABLATE_DATA" in refused.stderr


def test_data_that_no_fallback_replaces_is_asked_for_and_never_mistaken(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL + "fallback: {recipe: {epochs: 1}}\n")
    done = ablate("run", "small.yaml", "dataset=mnist", cwd=tmp_path)
    assert done.returncode == 2
    assert "mnist, the fallback's data, is not on this machine either" in done.stderr
    assert not (tmp_path / "reports").exists()


def test_a_file_that_is_not_the_official_one_is_one_line_and_no_run(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for file in FILES:
        (folder / file).write_bytes(b"not the official file")
    (tmp_path / "small.yaml").write_text(SMALL)
    done = ablate("run", "small.yaml", "dataset=mnist", "--data-dir", "data", cwd=tmp_path)
    assert done.returncode == 2
    assert "is not the official file" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert _on_record(tmp_path) == {}


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


MISTAKES = {
    "no file": (["run", "nowhere.yaml"], "nowhere.yaml: no such study file"),
    "unknown key": (["run", "small.yaml", "sedes=3"], "unknown key 'sedes': did you mean 'seeds'"),
    "impossible network": (["plan", "small.yaml", "baseline.kernel_size=40"], "40×40 kernel does not fit"),
    "unknown device": (["run", "small.yaml", "--device", "cude"], "did you mean 'cuda'"),
    "no data folder": (["run", "small.yaml", "dataset=mnist", "--data-dir", "nowhere"], "no such folder"),
    "no report": (["report", "nowhere"], "nowhere: is not a report folder"),
    "unknown model": (["models", "lenett"], "did you mean 'lenet'"),
    "size of no model": (["models", "--size", 32], "--size: name a model too"),
    "size too small": (
        ["models", "vgg", "--size", 28],
        "blocks: pool5: a 2×2 kernel does not fit its 1×1 map",
    ),
    "unknown engine": (["bench", "--engine", "lop"], "did you mean 'loop'"),
    "no study to bench": (["bench", "--study", "nowhere.yaml"], "nowhere.yaml: no such study file"),
    "unknown option": (["run", "small.yaml", "--sedes", "3"], "No such option"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(small_file: Path, case: str) -> None:
    arguments, message = MISTAKES[case]
    done = ablate(*arguments, cwd=small_file.parent)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_plan_names_arms_runs_and_minutes_and_warns_of_too_few_seeds(small_file: Path) -> None:
    done = ablate("plan", "small.yaml", cwd=small_file.parent)
    assert done.returncode == 0, done.stderr
    assert "2 arms, 12 to 36 runs to tune, 6 to confirm: less than a minute on" in done.stdout
    assert "61,706" in done.stdout
    assert "3 seeds cannot bring the p-value of the exact test below 0.05" in done.stderr
    assert not (small_file.parent / "reports").exists()


def test_a_plan_shows_arms_by_their_names_however_they_are_written(small_file: Path) -> None:
    named = "arms: {'[bold]a[/bold]': {}, '[/nope]': {pooling: max}}"
    small_file.write_text(SMALL.replace("factors: {pooling: [avg, max]}", named))
    done = ablate("plan", "small.yaml", cwd=small_file.parent)
    assert done.returncode == 0, done.stderr
    assert "[bold]a[/bold]" in done.stdout
    assert "[/nope]" in done.stdout


def test_a_plan_says_which_arms_the_loop_trains_and_why(small_file: Path) -> None:
    small_file.write_text(SMALL.replace("factors: {", "factors: {batch_norm: [false, true], "))
    done = ablate("plan", "small.yaml", cwd=small_file.parent)
    assert done.returncode == 0, done.stderr
    assert (
        "the torch loop, not the faster lanes engine, trains batch_norm=true: it does not support BatchNorm2d"
        in done.stdout
    )
    without = ablate("plan", "small.yaml", cwd=small_file.parent, CXX="nowhere")
    assert "trains baseline; pooling=max: there is no C++ compiler (nowhere)" in without.stdout


def test_without_a_compiler_a_study_is_answered_by_the_loop_and_one_line_says_so(small_file: Path) -> None:
    command = ["run", "small.yaml", "seeds=1", "tuning.trials=0", "timing.blocks=0", "recipe.epochs=1"]
    done = ablate(*command, cwd=small_file.parent, CXX="nowhere")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if "compiler" in line]
    assert said == [
        "no lanes engine (there is no C++ compiler (nowhere)): the torch loop trains all runs, "
        "three to five times slower"
    ]


HEAVY = ("torch", "torchvision", "optuna", "pandas", "numpy", "scipy", "seaborn", "matplotlib", "sklearn")
IMPORTED_FOR_HELP = """
import sys
sys.argv = ["ablate", "--help"]
from ablate.cli.main import main
try:
    main()
finally:
    print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_help_imports_nothing_that_trains_computes_or_draws(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED_FOR_HELP], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    help_text, _, imported = done.stdout.partition("imported: ")
    assert "bench" in help_text
    assert "typer" in imported.split()
    assert not set(HEAVY) & set(imported.split())


def test_the_doctor_says_what_this_machine_trains_with(tmp_path: Path) -> None:
    said = ablate("doctor", cwd=tmp_path, CXX="nowhere", COLUMNS="200").stdout.splitlines()
    found = {line.split()[0]: line.rstrip().split(maxsplit=2)[1:] for line in said}
    assert found["lanes"] == ["no", "there is no C++ compiler (nowhere): the torch loop trains instead"]
    assert found["loop"][0] == found["digits"][0] == "yes"
    assert found["mnist"][0] == "no"
    assert found["versions"][1].startswith("Python 3.")


# Two threads on cores that another test keeps busy wait for each other at every step.
PATIENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "COLUMNS": "100"}


def test_a_quick_bench_shows_its_table_within_100_columns_and_writes_it(tmp_path: Path) -> None:
    done = ablate("bench", "--quick", "--blocks", 1, "--json", "bench.json", cwd=tmp_path, **PATIENT)
    assert done.returncode == 0, done.stderr
    assert "a: D2L's loop" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "images: do not quote these results" in " ".join(done.stdout.split())
    assert "DataLoader" not in done.stderr
    kept = json.loads((tmp_path / "bench.json").read_text())
    assert {"environment", "rows", "remarks", "blocks"} <= set(kept)


def test_an_interrupted_bench_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ablate", "bench", "--quick", "--json", "bench.json"]
    given = environment() | PATIENT | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=tmp_path, env=given, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stderr is not None
        parent.stderr.readline()  # it has begun
        while not (family := psutil.Process(parent.pid).children(recursive=True)):
            assert parent.poll() is None
            time.sleep(0.05)
        time.sleep(random.uniform(0, 8))
        parent.send_signal(signal.SIGTERM)
        _, errors = parent.communicate(timeout=60)
    assert parent.returncode == 143
    assert "interrupted; nothing of the measurement is kept" in errors
    assert "Traceback" not in errors
    assert psutil.wait_procs(family, timeout=10)[1] == []
    assert not list(tmp_path.glob("ablate-bench-*"))


def test_models_are_listed_with_their_costs_and_shown_layer_by_layer(tmp_path: Path) -> None:
    listed = ablate("models", cwd=tmp_path).stdout
    for line in (
        "lenet: 61,706 parameters, 833,040 FLOP an example (forward) at 28×28\n  pooling=avg, ",
        "mlp: 203,530 parameters, 406,528 FLOP an example (forward) at 28×28\n  hidden=[256], ",
        "alexnet: 46,764,746 parameters, 1,876,292,352 FLOP an example (forward) at 224×224\n  pooling=max, ",
        "vgg: 128,806,154 parameters, 15,094,464,512 FLOP an example (forward) at 224×224\n  pooling=max, ",
        "nin: 1,992,166 parameters, 1,524,594,704 FLOP an example (forward) at 224×224\n  pooling=max, ",
        "googlenet: 5,977,530 parameters, 3,005,964,288 FLOP an example (forward) at 224×224\n  pooling=max, ",
    ):
        assert f"\n{line}" in f"\n{listed}"
    shown = ablate("models", "lenet", "hidden=[120, 100]", cwd=tmp_path).stdout
    assert "(16, 5, 5)" in shown
    assert "63,802 parameters, 837,200 FLOP an example" in shown
    shown = ablate("models", "vgg", "width=0.25", "--size", 32, cwd=tmp_path).stdout
    assert "(1, 32, 32)" in shown
    assert "(128, 1, 1)" in shown


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [(["--cluster", "auto"], "ray"), (["--storage", "postgresql://a@127.0.0.1:1/b"], "psycopg")],
)
def test_what_is_not_installed_is_named_with_how_to_get_it(
    small_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    extra: str,
) -> None:
    from ablate.cli.main import main

    monkeypatch.setitem(sys.modules, extra, None)
    monkeypatch.delitem(sys.modules, "ablate.execution.ray_cluster", raising=False)
    monkeypatch.setattr(
        sys, "argv", ["ablate", "run", str(small_file), "--out", str(small_file.parent), *arguments]
    )
    with pytest.raises(SystemExit, match="2"):
        main()
    told = capsys.readouterr().err.strip()
    assert f"{extra} is not installed: pip install -e '.[" in told
    assert len(told.splitlines()) == 1
