"""The Python interface: a script, a notebook and a test ask a question, and get text, tables and figures."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import ablate
from ablate.api.report import Report
from ablate.errors import AblateError
from ablate.interruption import Interrupted
from ablate.report import writer
from tests.commands import environment
from tests.conftest import SMALL, STUDIES
from tests.nursery import ROOT
from tests.report.test_writer import write_folder

SCRIPT = """
import sys
import ablate
from torch import nn

def tiny(classes=10, act="relu"):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(8), {"relu": nn.ReLU, "tanh": nn.Tanh}[act](), nn.Linear(8, classes))

print("started")
study = ablate.Study(
    name="mine", question="Is tanh better?", dataset="digits", model=tiny, factors={"act": ["relu", "tanh"]},
    baseline={"act": "relu"}, recipe={"epochs": 1, "train_images": 100}, seeds=2, validation=240, timing={"blocks": 0},
)
report = ablate.run(study, quiet=True)
print(report.answer)
assert report.runs["status"].eq("complete").sum() == 4
assert ablate.run(study, quiet=True).runs.equals(report.runs)
"""


def run_python(*arguments: str, cwd: Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    settings = environment() | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=settings,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.thorough
def test_a_script_without_a_main_guard_runs_once_and_trains_its_own_function(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = run_python("script.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("started") == 1
    assert "act=tanh against baseline (act=relu)" in done.stdout
    (kept,) = (tmp_path / "reports/mine").glob("tiny_*.py")
    assert "def tiny(classes=10" in kept.read_text()


def test_the_import_is_quick_because_it_imports_only_itself(tmp_path: Path) -> None:
    code = "import sys; before = set(sys.modules); import ablate; print(*sorted(set(sys.modules) - before))"
    names = {name.partition(".")[0] for name in run_python("-c", code, cwd=tmp_path).stdout.split()}
    assert names - sys.stdlib_module_names == {"ablate"}


def test_the_public_surface_is_this() -> None:
    assert ablate.__all__ == [
        "AblateError", "JudgedRuns", "Plan", "Report", "Study", "judge", "load", "plan", "run"
    ]  # fmt: skip
    assert {name for name in dir(Report) if not name.startswith("_")} == {
        "answer", "arms", "comparisons", "figure", "figures", "runs", "tables"
    }  # fmt: skip
    assert {name for name in dir(ablate.JudgedRuns) if not name.startswith("_")} == {
        "answer", "arms", "comparisons", "figure", "figures", "findings", "save", "tables"
    }  # fmt: skip
    for name in ablate.__all__:
        assert getattr(ablate, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        _ = ablate.missing


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    rng = np.random.default_rng(1)
    accuracies = {"baseline": 0.8 + rng.normal(0, 0.01, 3), "pooling=max": 0.85 + rng.normal(0, 0.01, 3)}
    folder = write_folder(
        tmp_path_factory.mktemp("reports") / "small", SMALL, {name: list(a) for name, a in accuracies.items()}
    )
    writer.write(folder)
    return ablate.load(folder)


def test_a_report_has_its_answer_and_typed_tables(report: Report) -> None:
    assert report.answer.startswith("pooling=max against baseline")
    assert "95% interval" in report.answer
    assert str(report) == f"{report.answer}\n\nreport: {report.path / 'report.html'}"
    assert isinstance(report.comparisons["difference"].dtype, pd.Float64Dtype)
    assert list(report.arms["arm"]) == ["baseline", "pooling=max"]
    changed = report.arms
    changed["arm"] = "changed"
    assert list(report.arms["arm"]) == ["baseline", "pooling=max"]


def test_a_report_draws_its_figures_by_name(report: Report) -> None:
    assert {"differences", "paired_seeds"} <= set(report.figures)
    assert isinstance(report.figure("paired_seeds"), Figure)
    with pytest.raises(AblateError, match="no figure 'paired_seed': did you mean 'paired_seeds'"):
        report.figure("paired_seed")


def test_a_notebook_shows_the_answer_a_table_and_two_figures(report: Report) -> None:
    page = report._repr_html_()
    assert page.count("<img") == 2
    assert page.count("<table") == 1
    assert "pooling=max against baseline" in page


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AblateError, match=r"nowhere: there is no such folder"):
        ablate.load(tmp_path / "nowhere")


def test_all_mistakes_of_a_study_come_together() -> None:
    with pytest.raises(AblateError) as mistakes:
        ablate.Study(name="x", question="?", seeds=0, recipe={"epochs": 0}, facters={})
    assert len(str(mistakes.value).splitlines()) == 3
    assert "unknown key 'facters': did you mean 'factors'" in str(mistakes.value)


def test_a_plan_lists_arms_and_leaves_torch_as_it_was(small_file: Path) -> None:
    import torch

    torch.set_num_threads(2)
    plan = ablate.plan(ablate.Study.read(small_file, "seeds=3"))
    assert torch.get_num_threads() == 2
    assert list(plan.arms["arm"]) == ["baseline", "pooling=max"]
    assert plan.minutes[0] <= plan.minutes[1]
    assert any("3 seeds" in warning for warning in plan.warnings)
    assert "pooling=max" in plan._repr_html_()
    assert "6 to confirm" in str(plan)


def test_a_study_with_contexts_is_read_one_context_at_a_time(small_file: Path) -> None:
    small_file.write_text(SMALL + "contexts: {chapter: {}, modern: {recipe: {epochs: 3}}}\n")
    modern = ablate.Study.read(small_file, "context=modern")
    assert (modern.spec.recipe.epochs, modern.spec.full_name) == (3, "small/modern")
    assert modern.read_fallback().recipe.epochs == 3
    for refuse in (ablate.plan, ablate.run):
        with pytest.raises(ablate.AblateError, match="choose one of them with the override context=chapter"):
            refuse(ablate.Study.read(small_file))


def test_an_interrupted_run_raises_what_python_raises(
    small_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ablate.cli.job import Job

    def stop(job: Job, *, fresh: bool) -> None:
        raise Interrupted(130)

    monkeypatch.setattr(Job, "answer", stop)
    with pytest.raises(KeyboardInterrupt):
        ablate.run(ablate.Study.read(small_file), out=tmp_path, quiet=True)


@pytest.mark.thorough
def test_the_tour_runs_from_question_to_a_look_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notebook has no outputs in git. Here a real kernel runs it, and shows the answer and a figure."""
    import nbclient
    import nbformat

    for name, value in (environment() | {"PYTHONPATH": str(ROOT), "MPLBACKEND": ""}).items():
        monkeypatch.setenv(name, value)
    path = STUDIES / "tour.ipynb"
    assert all(not cell.get("outputs") for cell in json.loads(path.read_text())["cells"])
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=200, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    shown = [output["data"] for output in outputs if output["output_type"] == "execute_result"]
    assert sum("image/png" in data for data in shown) == 2
    assert sum("against baseline" in data.get("text/html", "") for data in shown) == 2
    assert not [output["text"] for output in outputs if output.get("name") == "stderr"]
    assert (tmp_path / "reports/tour/report.html").exists()


@pytest.mark.thorough
def test_the_script_of_the_readme_runs_as_it_stands(
    small_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Word for word, on a smaller study."""
    monkeypatch.chdir(tmp_path)
    (script,) = re.findall(r"```python\n# ask\.py\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    less = '"recipe.epochs=1", "tuning.trials=0", "timing.blocks=0", "recipe.train_images=100"'
    for shown, used in (('"studies/lenet_pooling.yaml"', repr(str(small_file))), ('"recipe.epochs=2"', less)):
        assert script.count(shown) == 1
        script = script.replace(shown, used)
    exec(compile(script, "ask.py", "exec"), {})
    assert "pooling=max against baseline" in capsys.readouterr().out
    assert (tmp_path / "seeds.pdf").stat().st_size > 1_000
    assert (tmp_path / "quick/small/report.html").exists()
