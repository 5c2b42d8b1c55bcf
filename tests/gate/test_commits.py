"""Two commits are checked out, run with their own code, and timed in alternation beside the machine's noise."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from ablate.errors import AblateError
from ablate.gate import commits
from ablate.gate.commit_checks import TimedArm, check_parameters, check_throughput
from ablate.gate.commits import Checkout, Timer, Training, check_out, time_rounds
from ablate.gate.rules import Outcome
from ablate.stats.alternation import Alternation, compare_alternate, measure_noise
from ablate.stats.intervals import Interval

WORKER = """
import json, sys
from pace import PACE
print(json.dumps({"arms": {"base": 10, "arm": 20}}), flush=True)
for line in sys.stdin:
    assert json.loads(line) in ("base", "arm")
    print(json.dumps({"examples": 100, "seconds": PACE, "disturbed": PACE > 1}), flush=True)
"""
"""A worker that measures what its commit says, without torch."""


def git(*arguments: str, cwd: Path) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two commits. The second takes twice as long; it has another study, and the same dependencies."""
    path = tmp_path / "repository"
    path.mkdir()
    git("init", "-q", cwd=path)
    for pace in (1, 2):
        (path / "pace.py").write_text(f"PACE = {pace}\n")
        (path / "study.yaml").write_text(f"seeds: {pace}\n")
        (path / "pyproject.toml").write_text(f'[project]\nversion = "{pace}"\ndependencies = ["torch"]\n')
        git("add", "-A", cwd=path)
        git("commit", "-qm", str(pace), cwd=path)
    monkeypatch.chdir(path)
    monkeypatch.setattr(commits, "WORKER", tmp_path / "worker.py")
    (tmp_path / "worker.py").write_text(WORKER)
    return path


def test_each_commit_runs_its_own_code_and_its_own_study(repository: Path) -> None:
    with check_out("HEAD~1", "HEAD") as (base, head):
        paths = [base.path, head.path]
        timers = [Timer(one, Training(study=Path("study.yaml"))) for one in (base, head, base)]
        assert list(timers[0].list_arms()) == ["base", "arm"]
        for timer in timers[1:]:
            timer.list_arms()
        found = time_rounds(timers, "arm", 3)
        for timer in timers:
            timer.close()
        assert found.speeds == [[100.0] * 3, [50.0] * 3, [100.0] * 3]
        assert found.disturbed == 3
        assert [one.locate(Path("study.yaml")).read_text() for one in (base, head)] == [
            "seeds: 1\n",
            "seeds: 2\n",
        ]
        outside = repository.parent / "worker.py"
        assert base.locate(outside) == outside
    assert not any(path.exists() for path in paths)
    assert len(git("worktree", "list", cwd=repository).splitlines()) == 1


def test_commits_with_other_dependencies_are_refused(repository: Path) -> None:
    (repository / "pyproject.toml").write_text('[project]\ndependencies = ["torch", "timm"]\n')
    (repository / "requirements.txt").write_text("timm\n")
    git("add", "-A", cwd=repository)
    git("commit", "-qm", "more", cwd=repository)
    with (
        pytest.raises(AblateError, match=r"requirements\.txt, the dependencies in pyproject\.toml differ"),
        check_out("HEAD~1", "HEAD"),
    ):
        pass


def test_an_unknown_commit_is_named(repository: Path) -> None:
    with (
        pytest.raises(AblateError, match="--commits: git rev-parse: fatal: Needed a single revision"),
        check_out("nowhere", "HEAD"),
    ):
        pass


def test_a_worker_that_fails_is_reported_in_one_line(repository: Path) -> None:
    (repository.parent / "worker.py").write_text("raise SystemExit('error: no such study')")
    here = Checkout(commit="0123456789abcdef", path=repository, root=repository)
    timer = Timer(here, Training(study=Path("study.yaml")))
    with pytest.raises(AblateError, match="commit 0123456789ab: no such study"):
        timer.list_arms()
    timer.close()


def test_the_interval_is_widened_by_what_the_machine_shows_without_a_difference() -> None:
    drift = np.array([1.0, 0.9, 1.1, 1.0, 0.95])
    again = drift * [1.01, 1.0, 1.02, 1.01, 1.0]
    noise = measure_noise(drift, again, confidence=0.9)
    assert noise is not None
    assert 1.008 < noise < 1.025
    middle = np.sqrt(drift * again)
    found = compare_alternate(
        drift, 0.9 * middle * [1.0, 1.01, 0.99, 1.0, 1.0], again, noise=noise, confidence=0.9
    )
    assert found is not None
    assert found.ratio.mean == pytest.approx(0.9, abs=0.002)
    assert found.low == pytest.approx(found.ratio.low / noise)
    assert found.high == pytest.approx(found.ratio.high * noise)
    assert measure_noise([1.0, 1.0], [1.0, 1.1], confidence=0.9) is None


def made(slower: float, noise: float) -> TimedArm:
    ends = [slower * end for end in (0.99, 1.01)]
    change = Alternation(ratio=Interval(mean=slower, low=ends[0], high=ends[1]), noise=noise, rounds=9)
    return TimedArm(arm="arm", parameters=(10, 11), noise=noise, rounds=9, disturbed=2, change=change)


@pytest.mark.parametrize(
    ("slower", "noise", "outcome"),
    [
        (1.0, 1.01, Outcome.HOLDS), (0.9, 1.01, Outcome.FAILS), (0.9, 1.10, Outcome.CANNOT_TELL),
        (1.0, 1.10, Outcome.CANNOT_TELL), (0.96, 1.01, Outcome.CANNOT_TELL),
    ],
)  # fmt: skip
def test_what_is_smaller_than_the_noise_is_neither_green_nor_red(
    slower: float, noise: float, outcome: Outcome
) -> None:
    check = check_throughput(made(slower, noise), 0.95, 0.9)
    assert check.outcome == outcome
    assert (
        check.detail
        == f"The noise of this machine (A/A) is {noise - 1:.1%}. Other programs disturbed 2 of 9 rounds."
    )


def test_parameters_of_commits_are_counted() -> None:
    assert check_parameters(made(1.0, 1.0), 1.0).outcome == Outcome.FAILS
    assert check_parameters(made(1.0, 1.0), 1.1).outcome == Outcome.HOLDS


@pytest.mark.thorough
def test_the_real_worker_times_every_arm(small_file: Path) -> None:
    here = Checkout(commit="0" * 40, path=small_file.parent, root=small_file.parent)
    timer = Timer(here, Training(study=small_file))
    try:
        assert timer.list_arms() == {"baseline": 61_706, "pooling=max": 61_706}
        speed, disturbed = timer.measure("pooling=max")
        assert speed > 0
        assert isinstance(disturbed, bool)
    finally:
        timer.close()
