"""Two commits are checked out, run with their own code, and timed in alternation beside the machine's noise."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from ablate.cli.commits import compare_commits
from ablate.errors import AblateError
from ablate.gate import commits
from ablate.gate.checks import Demand
from ablate.gate.commit_checks import TimedArm, check_parameters, check_throughput
from ablate.gate.commits import Checkout, Timer, Training, check_out, time_rounds
from ablate.gate.rules import Outcome
from ablate.stats.alternation import (
    Alternation,
    compare_alternate,
    measure_rounds,
    measure_spread_of_rounds,
    plan_rounds,
)
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
    again = drift * [1.02, 1.01, 1.02, 1.02, 9.0]  # the trimmed mean leaves the disturbed round out
    middle = np.sqrt(drift * again)
    found = compare_alternate(drift, 0.9 * middle * [1.0, 1.01, 0.99, 1.0, 1.0], again, confidence=0.9)
    assert found is not None
    assert found.noise == pytest.approx(1.02)
    assert found.ratio.mean == pytest.approx(0.9, abs=0.002)
    assert found.low == pytest.approx(found.ratio.low / 1.02)
    assert found.high == pytest.approx(found.ratio.high * 1.02)
    assert compare_alternate([1.0, 1.0], [1.0, 1.1], [1.0, 1.0], confidence=0.9) is None
    assert measure_spread_of_rounds([1.0, 1.0], [1.0, 1.1]) is None
    assert measure_spread_of_rounds([1.0, 2.0, 4.0], [2.0, 4.0, 8.0]) == pytest.approx(0)


def test_more_noise_and_a_nearer_bound_ask_for_more_rounds() -> None:
    plans = [
        plan_rounds(spread, bound, 0.9)
        for spread, bound in ((0.05, 1.0), (0.1, 1.0), (0.1, 0.95), (0.1, None))
    ]
    assert plans[0] < plans[1] < plans[2]
    assert plans[3] == plans[1]
    assert plan_rounds(0.0, 0.95, 0.9) == 3
    assert plan_rounds(50.0, 0.95, 0.9) is None


def test_rounds_are_added_until_their_noise_asks_for_no_more() -> None:
    asked = []

    def measure(count: int) -> list[list[float]]:
        asked.append(count)
        return [
            [1.0] * count,
            [0.5, 2.0] * (count // 2) + [1.0] * (count % 2),
            [1.1, 0.9] * (count // 2) + [1.0] * (count % 2),
        ]

    given = {"bound": 1.0, "confidence": 0.9}
    speeds = measure_rounds(measure, 0.0, **given, fewest=10, most=1000)
    assert asked[0] == 10
    assert sum(asked) == len(speeds[0]) > 10
    assert plan_rounds(measure_spread_of_rounds(speeds[0], speeds[2]), 1.0, 0.9) <= len(speeds[0])
    assert len(measure_rounds(measure, 0.0, **given, fewest=10, most=15)[0]) == 15
    assert len(measure_rounds(measure, None, **given, fewest=4, most=12)[0]) == 12


def made(slower: float, noise: float) -> TimedArm:
    ends = [slower * end for end in (0.99, 1.01)]
    ratio = Interval(mean=slower, low=ends[0], high=ends[1])
    change = Alternation(ratio=ratio, noise=noise, spread=0.02, rounds=9)
    return TimedArm(
        arm="arm", parameters=(10, 11), spread=0.05, planned=8, rounds=9, disturbed=2, change=change
    )


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
        == f"The noise of this machine (A/A) is {noise - 1:.1%} in the mean of all rounds and 5.1% in one round. "
        "Other programs disturbed 2 of 9 rounds."
    )
    assert (check.need is not None) == (outcome == Outcome.CANNOT_TELL)


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


def test_the_command_prints_noise_and_plan_first_and_then_the_ratio(
    repository: Path, small_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demand = Demand(throughput=0.95, arms=("arm",))
    code = compare_commits(
        Path("HEAD~1"), Path("HEAD"), [str(small_file)], demand, (None, None, None), None, []
    )
    told = " ".join(capsys.readouterr().out.split())
    assert code == 1
    plan = "arm: noise of this machine (A/A): 0.0% in one round; with this noise, 3 rounds would show a slowdown of 10%"
    ratio = "arm: throughput, B / A: × 0.500 (0.500 to 0.500; noise of the mean 0.0%): larger than the noise; 3 rounds, 3 of them disturbed by other programs"
    assert plan in told
    assert ratio in told.split(plan)[1]
    assert "B is less than 0.95 times as fast as A." in told
