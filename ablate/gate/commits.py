"""Two commits of a repository: check both out, train in both, and time them in alternation."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.errors import AblateError
from ablate.records.folder import find_only_report

WORKER = Path(__file__).with_name("timing_worker.py")
DEPENDENCY_FILES = ("requirements.txt", "uv.lock", "poetry.lock", "environment.yml", "setup.cfg", "setup.py")


@dataclass(frozen=True, kw_only=True)
class Training:
    """A study with the options of `ablate run` that both commits share."""

    study: Path
    overrides: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    data_dir: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A commit in a folder of its own."""

    commit: str
    """The full hash of the commit."""
    path: Path
    root: Path
    """The repository that the commit comes from."""
    python: str = sys.executable
    """The interpreter that runs the commit. Its environment has the packages that the commit uses."""

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of programs that import the code of this commit."""
        shared = self.python == sys.executable
        earlier = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and shared]
        paths = [str(self.path), str(self.path / "src"), *earlier]
        return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}

    def locate(self, study: Path) -> Path:
        """Locate the study file in this commit.

        If the commit does not have the file, return its path as it is.
        """
        here = study.resolve()
        if here.is_relative_to(self.root) and (own := self.path / here.relative_to(self.root)).is_file():
            return own
        return here


@contextlib.contextmanager
def check_out(base: str, head: str) -> Iterator[tuple[Checkout, Checkout]]:
    """Check out two commits of the current repository in temporary folders. Remove the folders at the end.

    Raises:
        AblateError: there is no repository, or a commit is unknown.
    """
    root = Path(_git("rev-parse", "--show-toplevel").strip())
    commits = [_git("rev-parse", "--verify", f"{name}^{{commit}}").strip() for name in (base, head)]
    with tempfile.TemporaryDirectory(prefix="ablate-commits-") as parent:
        made = []
        try:
            for name, commit in zip(("base", "head"), commits, strict=True):
                path = Path(parent, name)
                _git("worktree", "add", "--quiet", "--detach", str(path), commit)
                made.append(Checkout(commit=commit, path=path, root=root))
            yield made[0], made[1]
        finally:
            for one in made:
                _git("worktree", "remove", "--force", str(one.path))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["git failed"]
        raise AblateError(f"--commits: git {arguments[0]}: {lines[0]}")
    return done.stdout


def list_differing_dependencies(base: str, head: str) -> list[str]:
    """List the files that say which packages are needed, and that differ between the commits.

    `base` and `head` are the hashes of the commits.
    """
    changed = _git("diff", "--name-only", base, head).split("\n")
    found = [name for name in changed if name in DEPENDENCY_FILES]
    if "pyproject.toml" in changed and _read_dependencies(base) != _read_dependencies(head):
        found.append("the dependencies in pyproject.toml")
    return found


def _read_dependencies(commit: str) -> object:
    """Read the dependencies from the pyproject.toml of a commit. Return None if there is no such file."""
    try:
        project = tomllib.loads(_git("show", f"{commit}:pyproject.toml")).get("project", {})
    except (AblateError, tomllib.TOMLDecodeError):
        return None
    return project.get("dependencies"), project.get("requires-python")


def train(checkout: Checkout, training: Training, out: Path) -> Path:
    """Train the study with a commit's code, without timing, and return the report folder.

    Raises:
        AblateError: the study cannot be trained. The message is the message of `ablate run`.
    """
    options = [f"--plugin={plugin}" for plugin in training.plugins]
    if training.data_dir is not None:
        options.append(f"--data-dir={training.data_dir.resolve()}")
    study = str(checkout.locate(training.study))
    command = [checkout.python, "-m", "ablate", "run", study, *training.overrides, "timing.blocks=0"]
    done = subprocess.run(
        [*command, *options, "--out", str(out), "--quiet"],
        cwd=checkout.path,
        env=checkout.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):  # 1: some runs crashed, which the gate reports
        raise AblateError(f"commit {checkout.commit[:12]}: {_last_line(done.stderr)}")
    return find_only_report(out)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines() or ["the program ended without a message"]
    return lines[-1].removeprefix("error: ")


class Timer:
    """A process that times arms with the code of one commit. `measure` asks for one measurement."""

    def __init__(self, checkout: Checkout, training: Training) -> None:
        """Start the process. `list_arms` waits until the process is ready."""
        self._commit = checkout.commit
        arguments: dict[str, Any] = {
            "study": str(checkout.locate(training.study)),
            "overrides": training.overrides,
            "plugins": training.plugins,
            "data_dir": None if training.data_dir is None else str(training.data_dir.resolve()),
        }
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by `close`
        self._process = subprocess.Popen(
            [checkout.python, str(WORKER), json.dumps(arguments)],
            cwd=checkout.path,
            env=checkout.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def list_arms(self) -> Mapping[str, int]:
        """Map the arms of the study to their numbers of parameters. The baseline comes first."""
        arms: Mapping[str, int] = self._read()["arms"]
        return arms

    def measure(self, arm: str) -> tuple[float, bool]:
        """Measure examples per second, and whether other programs disturbed the measurement."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(arm)}\n")
        self._process.stdin.flush()
        found = self._read()
        return found["examples"] / found["seconds"], found["disturbed"]

    def _read(self) -> Mapping[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise AblateError(f"commit {self._commit[:12]}: {_last_line(self._errors.read())}")
        found: Mapping[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """The speeds that several timers measured in turn."""

    speeds: list[list[float]]
    """For each timer, examples per second in every round."""
    disturbed: int
    """The number of rounds that other programs disturbed.

    These rounds are not left out, because the measured noise contains such rounds, too.
    """


def time_rounds(timers: Sequence[Timer], arm: str, rounds: int) -> Rounds:
    """In each round, time an arm once with every timer. Every second round has the reverse order."""
    speeds: list[list[float]] = [[] for _ in timers]
    disturbed = 0
    for place in range(rounds):
        order = list(range(len(timers)))[:: -1 if place % 2 else 1]
        found = {index: timers[index].measure(arm) for index in order}
        for index, (speed, _) in found.items():
            speeds[index].append(speed)
        disturbed += any(flag for _, flag in found.values())
    return Rounds(speeds=speeds, disturbed=disturbed)
