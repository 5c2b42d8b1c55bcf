"""Commands that train nothing: their output, and mistakes as one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ablate, environment
from tests.conftest import SMALL

MISTAKES = {
    "no file": (["run", "nowhere.yaml"], "nowhere.yaml: no such study file"),
    "unknown key": (["run", "small.yaml", "sedes=3"], "unknown key 'sedes': did you mean 'seeds'"),
    "impossible network": (["plan", "small.yaml", "baseline.kernel_size=40"], "40×40 kernel does not fit"),
    "unknown device": (["run", "small.yaml", "--device", "cude"], "did you mean 'cuda'"),
    "no data folder": (["run", "small.yaml", "dataset=mnist", "--data-dir", "nowhere"], "no such folder"),
    "no report": (["report", "nowhere"], "nowhere: is not a report folder"),
    "unknown model": (["models", "lenett"], "did you mean 'lenet'"),
    "size of no model": (["models", "--size", 32], "--size: also name a model"),
    "size too small": (
        ["models", "vgg", "--size", 28],
        "blocks: pool5: a 2×2 kernel does not fit its 1×1 map",
    ),
    "unknown engine": (["bench", "--engine", "lop"], "did you mean 'loop'"),
    "no study to bench": (["bench", "--study", "nowhere.yaml"], "nowhere.yaml: no such study file"),
    "unknown requirement": (["compare", "a", "b", "--require", "no-wors"], "did you mean 'no-worse'"),
    "metric without requirement": (
        ["compare", "a", "b", "--metric", "brier"],
        "--metric needs a requirement",
    ),
    "commits without a study": (["compare", "--commits", "a", "b"], "--commits needs a study file"),
    "study without commits": (["compare", "a", "b", "c.yaml"], "c.yaml: only --commits takes a study file"),
    "environments without commits": (
        ["compare", "a", "b", "--environments"],
        "--environments needs --commits",
    ),
    "unknown option": (["run", "small.yaml", "--sedes", "3"], "No such option"),
    "a wrong number": (["judge", "x.csv", "--margin", "0,01"], "error: Invalid value for '--margin': "),
    "a missing option": (["judge", "x.csv", "--arm", "a"], "error: Missing option '--metric': see python -m"),
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
    assert "with 3 seeds, the p-value of the exact sign-flip test cannot be below 0.05" in done.stderr
    assert not (small_file.parent / "reports").exists()


def test_a_plan_shows_arms_by_their_names_however_they_are_written(small_file: Path) -> None:
    named = "arms: {'[bold]a[/bold]': {}, '[/nope]': {pooling: max}}"
    small_file.write_text(SMALL.replace("factors: {pooling: [avg, max]}", named))
    done = ablate("plan", "small.yaml", cwd=small_file.parent)
    assert done.returncode == 0, done.stderr
    assert "[bold]a[/bold]" in done.stdout
    assert "[/nope]" in done.stdout


def test_a_plan_says_which_arms_the_loop_trains_and_why(small_file: Path) -> None:
    small_file.write_text(SMALL.replace("factors: {", "factors: {precision: [float32, bfloat16], "))
    done = ablate("plan", "small.yaml", cwd=small_file.parent)
    assert done.returncode == 0, done.stderr
    assert (
        "the torch loop trains precision=bfloat16. The lanes engine is not used: it does not compute in bfloat16"
        in done.stdout
    )


HEAVY = ("torch", "torchvision", "optuna", "pandas", "numpy", "scipy", "seaborn", "matplotlib", "sklearn")


SLOW_TO_START = ("pydantic", "ruamel", "psutil", "sqlite3", "multiprocessing")
NOT_FOR_A_PLAN = (
    "torch._dynamo", "torch._inductor", "sympy", "scipy.stats", "pandas", "optuna", "sklearn", "sqlalchemy",
    "torchvision", "statsmodels", "seaborn", "matplotlib", "multiprocessing.forkserver",
)  # fmt: skip

COMMAND = """
import sys
from ablate.cli.main import main
try:
    main()
finally:
    print("imported:", *sys.modules)
"""


def list_imports(folder: Path, *arguments: str) -> tuple[str, set[str]]:
    """What the command prints, and all modules that it imports."""
    line = [sys.executable, "-c", COMMAND, *arguments]
    done = subprocess.run(line, cwd=folder, env=environment(), capture_output=True, text=True, check=True)
    printed, _, imported = done.stdout.partition("imported: ")
    return printed, set(imported.split())


def test_help_imports_nothing_that_trains_computes_draws_or_reads_a_study(tmp_path: Path) -> None:
    printed, imported = list_imports(tmp_path, "--help")
    assert "bench" in printed
    assert "typer" in imported
    assert not {*HEAVY, *SLOW_TO_START} & imported


def test_a_plan_imports_torch_but_not_its_compiler_nor_what_only_runs_and_reports_need(
    small_file: Path,
) -> None:
    printed, imported = list_imports(small_file.parent, "plan", "small.yaml")
    assert "to confirm" in printed
    assert "torch" in imported
    assert not set(NOT_FOR_A_PLAN) & imported


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
