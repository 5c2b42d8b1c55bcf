"""The fixture `ablate_study`: its assertions, its folder, and what it costs pytest at the start."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from ablate.gate import pytest_plugin
from ablate.gate.pytest_plugin import TrainedStudy
from tests.commands import ROOT
from tests.conftest import SMALL

Failed, Skipped = pytest.fail.Exception, pytest.skip.Exception


@pytest.fixture(scope="session")
def paths(folder: Callable[..., Path]) -> dict[str, Path]:
    return {
        "reference": folder("a", base=0.9, arm=0.93),
        "alike": folder("b", base=0.9, arm=0.93),
        "worse": folder("b", base=0.9, arm=0.90),
        "noisy": folder("b", noise=9.0, base=0.9, arm=0.93),
    }


def test_assertions_pass_where_the_requirement_is_shown_to_hold(paths: dict[str, Path]) -> None:
    alike = TrainedStudy(paths["alike"])
    for check in (alike.assert_no_worse, alike.assert_equivalent, alike.assert_reproduced):
        assert check(paths["reference"]).exit_code == 0
    assert TrainedStudy(paths["reference"]).assert_better(paths["worse"], arms=["arm"]).exit_code == 0


def test_a_failure_reads_like_an_answer(paths: dict[str, Path]) -> None:
    with pytest.raises(Failed) as caught:
        TrainedStudy(paths["worse"]).assert_no_worse(paths["reference"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "does not hold: no-worse: arm"
    assert lines[1].startswith("- arm, no worse in accuracy (margin 1 point): −3.00 points (95% interval ")
    assert lines[-1] == f"A is {paths['reference']}, B is {paths['worse']}"


@pytest.mark.parametrize(
    ("chosen", "raised"), [("fail", Failed), ("skip", Skipped), ("xfail", pytest.xfail.Exception)]
)
def test_the_caller_chooses_what_cannot_tell_means(paths, chosen: str, raised: type[BaseException]) -> None:
    with pytest.raises(
        raised, match=r"cannot tell: no-worse: base and arm(.|\n)*About \d+ seeds would settle"
    ):
        TrainedStudy(paths["noisy"]).assert_no_worse(paths["reference"], cannot_tell=chosen)


def test_what_does_not_hold_fails_whatever_is_chosen_for_cannot_tell(paths: dict[str, Path]) -> None:
    with pytest.raises(Failed, match="does not hold"):
        TrainedStudy(paths["worse"]).assert_no_worse(paths["reference"], cannot_tell="skip")


def test_a_study_is_trained_once_for_equal_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        made = Path(command[command.index("--out") + 1], "small")
        made.mkdir()
        (made / "environment.json").touch()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(pytest_plugin.subprocess, "run", run)
    found = {pytest_plugin._train_once(["small.yaml", "seeds=3"], tmp_path / "one") for _ in range(2)}
    assert found == {tmp_path / "one" / "small"}
    assert [command[2:6] for command in commands] == [["ablate", "run", "small.yaml", "seeds=3"]]


def test_a_study_that_is_refused_fails_with_the_line_that_run_prints(tmp_path: Path) -> None:
    with pytest.raises(
        Failed, match=r"the study was not trained: error: .*nowhere\.yaml: no such study file"
    ):
        pytest_plugin._train_once([str(tmp_path / "nowhere.yaml")], tmp_path / "one")


def test_pytest_finds_the_plugin_and_starts_without_the_rest_of_ablate() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"ablate": "ablate.gate.pytest_plugin"}
    code = (
        "import sys, pytest, _pytest.config; before = set(sys.modules); import ablate.gate.pytest_plugin;"
        "print(sorted(name for name in set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip() == "['ablate', 'ablate.gate', 'ablate.gate.pytest_plugin']"


@pytest.mark.thorough
def test_a_session_of_two_processes_trains_once(tmp_path: Path) -> None:
    """A real session beside pytest-xdist and pytest-benchmark. Both tests take the same study as reference."""
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "test_network.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('place', [0, 1])\n"
        "def test_again(ablate_study, place, benchmark):\n"
        "    study = benchmark.pedantic(ablate_study, args=('small.yaml', 'tuning.trials=0', 'timing.blocks=0'))\n"
        "    assert study.assert_reproduced(study.folder).exit_code == 0\n"
        "    print('trained in', study.folder)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rP", "-n", "2", "--dist", "load", "-p", "xdist", "-p", "pytest_benchmark.plugin", "-p", "ablate.gate.pytest_plugin", "--basetemp", tmp_path / "base"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    folders = {line for line in done.stdout.splitlines() if line.startswith("trained in")}
    assert len(folders) == 1
    assert len(list((tmp_path / "base").glob("ablate-*/done"))) == 1
