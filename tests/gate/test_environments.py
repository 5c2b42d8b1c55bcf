"""Each commit gets an environment of its own if the commits ask for different packages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import ablate
from ablate.cli.commits import compare_commits
from ablate.errors import AblateError
from ablate.gate import commits, environments
from ablate.gate.checks import Demand
from ablate.gate.commits import Checkout, check_out, list_differing_dependencies
from ablate.gate.environments import make_environment
from tests.commands import ROOT
from tests.gate.test_commits import git

PROJECT = '[project]\nname = "{name}"\nversion = "{version}"\ndependencies = {dependencies}\n'
WORKER = """
import json, os, sys
from pace import PACE
print(json.dumps({"arms": {sys.prefix: 1}, "paths": os.environ["PYTHONPATH"]}), flush=True)
for line in sys.stdin:
    print(json.dumps({"examples": 100, "seconds": PACE, "disturbed": False}), flush=True)
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three commits. The last two ask for the same packages."""
    path = tmp_path / "repository"
    path.mkdir()
    git("init", "-q", cwd=path)
    for pace, dependencies in ((1, ["torch"]), (2, ["torch", "timm"]), (3, ["torch", "timm"])):
        (path / "pace.py").write_text(f"PACE = {pace}\n")
        project = PROJECT.format(name="nets", version=pace, dependencies=dependencies)
        (path / "pyproject.toml").write_text(project)
        git("add", "-A", cwd=path)
        git("commit", "-qm", str(pace), cwd=path)
    monkeypatch.chdir(path)
    monkeypatch.setattr(commits, "WORKER", tmp_path / "worker.py")
    (tmp_path / "worker.py").write_text(WORKER)
    return path


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that would make environments. They make one without packages in its place."""
    made: list[list[str]] = []

    def run(checkout: Checkout, command: list[str]) -> None:
        made.append(command)
        if "venv" in command:
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", command[-1]], check=True)

    monkeypatch.setattr(environments, "_run", run)
    monkeypatch.setattr(environments.shutil, "which", lambda name: None)
    return made


def checkout_of(path: Path) -> Checkout:
    path.mkdir()
    return Checkout(commit="0123456789abcdef", path=path, root=path)


def list_installed(commands: list[list[str]]) -> list[str]:
    return [command[-1] for command in commands if "install" in command]


def test_commits_with_other_packages_are_named(repository: Path) -> None:
    with check_out("HEAD~2", "HEAD~1") as (base, head):
        assert list_differing_dependencies(base.commit, head.commit) == ["the dependencies in pyproject.toml"]
    with check_out("HEAD~1", "HEAD") as (base, head):
        assert list_differing_dependencies(base.commit, head.commit) == []


@pytest.mark.parametrize(
    ("base", "asked", "own"), [("HEAD~2", False, True), ("HEAD~1", False, False), ("HEAD~1", True, True)]
)
def test_environments_are_made_if_packages_differ_or_if_asked_for(
    repository: Path, small_file: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], base: str, asked: bool, own: bool,
) -> None:  # fmt: skip
    used: list[tuple[str, str]] = []

    class Timer(commits.Timer):
        def list_arms(self) -> dict[str, int]:
            found = self._read()
            used.append((next(iter(found["arms"])), found["paths"]))
            return {"arm": 1}

    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setattr("ablate.gate.commit_checks.Timer", Timer)
    demand = Demand(parameters=1.0)
    compare_commits(
        Path(base), Path("HEAD"), [str(small_file)], demand, (None, None, None), None, [], own_environments=asked
    )  # fmt: skip
    told = " ".join(capsys.readouterr().err.split())
    prefixes = [Path(prefix).name for prefix, _ in used]
    if own:
        assert prefixes == ["base-environment", "head-environment", "base-environment"]
        assert told.count("installing the packages of commit") == told.count("installed in") == 2
        assert ("the dependencies in pyproject.toml differ between the commits" in told) == (not asked)
    else:
        assert {prefix for prefix, _ in used} == {sys.prefix}
        assert commands == []
        assert "installing" not in told
    assert all(("/elsewhere" in paths) == (not own) for _, paths in used)


def test_a_users_repository_gets_the_ablate_that_runs_and_then_its_own_package(
    tmp_path: Path, commands: list[list[str]]
) -> None:
    checkout = checkout_of(tmp_path / "base")
    (checkout.path / "pyproject.toml").write_text(PROJECT.format(name="nets", version=1, dependencies=[]))
    (checkout.path / "requirements.txt").write_text("timm\n")
    made = make_environment(checkout)
    assert Path(made.python) == tmp_path / "base-environment" / "bin" / "python"
    assert Path(made.python).exists()
    assert list_installed(commands) == [
        str(ROOT), str(checkout.path / "requirements.txt"), str(checkout.path)
    ]  # fmt: skip


def test_a_commit_of_ablate_is_its_own_ablate(tmp_path: Path, commands: list[list[str]]) -> None:
    checkout = checkout_of(tmp_path / "base")
    (checkout.path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    make_environment(checkout)
    assert list_installed(commands) == [str(checkout.path)]


def test_a_folder_without_a_package_gets_only_ablate_of_the_same_version(
    tmp_path: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablate, "__file__", str(tmp_path / "site-packages" / "ablate" / "__init__.py"))
    make_environment(checkout_of(tmp_path / "base"))
    assert list_installed(commands) == [f"ablate-studies=={ablate.__version__}"]


def test_uv_is_used_if_it_is_installed(
    tmp_path: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments.shutil, "which", lambda name: f"/usr/bin/{name}")
    make_environment(checkout_of(tmp_path / "base"))
    assert [command[0] for command in commands] == ["/usr/bin/uv", "/usr/bin/uv"]
    assert commands[1][-3:-1] == ["--python", str(tmp_path / "base-environment" / "bin" / "python")]


def test_an_install_that_fails_is_one_line(tmp_path: Path) -> None:
    checkout = checkout_of(tmp_path / "base")
    code = (
        "import sys; sys.exit('some output\\nERROR: No matching distribution found for timmm\\n[notice] x')"
    )
    with pytest.raises(
        AblateError,
        match=r"^commit 0123456789ab: its environment cannot be made: "
        r"ERROR: No matching distribution found for timmm$",
    ):
        environments._run(checkout, [sys.executable, "-c", code])


@pytest.mark.slow
def test_a_real_environment_runs_the_package_of_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real `venv` and `pip`, with an ablate without dependencies. pip downloads setuptools."""
    source = tmp_path / "source"
    (source / "ablate").mkdir(parents=True)
    (source / "pyproject.toml").write_text(PROJECT.format(name="ablate-studies", version=7, dependencies=[]))
    (source / "ablate" / "__init__.py").write_text("VERSION = 7\n")
    monkeypatch.setattr(ablate, "__file__", str(source / "ablate" / "__init__.py"))
    monkeypatch.setattr(environments.shutil, "which", lambda name: None)
    checkout = checkout_of(tmp_path / "base")
    project = PROJECT.format(name="nets", version=1, dependencies=["ablate-studies"])
    (checkout.path / "pyproject.toml").write_text(project)
    (checkout.path / "nets.py").write_text("PACE = 3\n")
    made = make_environment(checkout)
    code = "import ablate, json, nets, sys; print(json.dumps([ablate.VERSION, nets.PACE, sys.prefix]))"
    done = subprocess.run(
        [made.python, "-c", code], cwd=tmp_path, env=made.environment, capture_output=True, text=True, check=True
    )  # fmt: skip
    assert json.loads(done.stdout) == [7, 3, str(tmp_path / "base-environment")]
