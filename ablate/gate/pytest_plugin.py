"""The pytest fixtures `ablate_study` and `ablate_arm_benchmark`.

`ablate_study` trains a study once in a test session, and checks requirements on it.
`ablate_arm_benchmark` times the arms of a study with pytest-benchmark, in one test for each arm.

pytest imports this module at every start. So this module imports only pytest. A test that uses a fixture
imports torch, pandas and the rest of ablate.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from ablate.gate.arm_benchmarks import TimedStudy
    from ablate.gate.checks import Gate
    from ablate.report.evidence import Evidence

WhenUnclear = Literal["fail", "skip", "xfail"]
SOME_RUNS_FAILED = 1
"""The exit code of `ablate run` if some runs crashed.

The study then has a report, so the gate can check the other runs.
"""


class TrainedStudy:
    """A study that was trained in this test session, with assertions that compare it with a report folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """The report folder, which holds report.html and the tables."""

    @cached_property
    def evidence(self) -> "Evidence":
        """The contents of the report folder."""
        from ablate.report.evidence import gather

        return gather(self.folder)

    def assert_no_worse(self, reference: str | Path, **options: object) -> "Gate":
        """Assert that no arm is worse than in the reference folder. See `check` for the options."""
        __tracebackhide__ = True
        return self.check(reference, require="no-worse", **options)  # type: ignore[arg-type]

    def assert_better(self, reference: str | Path, **options: object) -> "Gate":
        """Assert that the arms are better than in the reference folder. See `check` for the options."""
        __tracebackhide__ = True
        return self.check(reference, require="better", **options)  # type: ignore[arg-type]

    def assert_equivalent(self, reference: str | Path, **options: object) -> "Gate":
        """Assert that no arm differs from the reference folder. See `check` for the options."""
        __tracebackhide__ = True
        return self.check(reference, require="equivalent", **options)  # type: ignore[arg-type]

    def assert_reproduced(self, reference: str | Path, **options: object) -> "Gate":
        """Assert that the study reproduces the reference folder. See `check` for the options."""
        __tracebackhide__ = True
        return self.check(reference, require="reproduced", **options)  # type: ignore[arg-type]

    def check(
        self,
        reference: str | Path,
        *,
        require: str | None = None,
        metric: str | None = None,
        margin: float | None = None,
        arms: Iterable[str] = (),
        throughput: float | None = None,
        parameters: float | None = None,
        settings_may_differ: bool = False,
        cannot_tell: WhenUnclear = "fail",
    ) -> "Gate":
        """Check requirements as `ablate compare` does, with the reference as A and this study as B.

        Args:
            reference: the report folder that is A.
            require: no-worse, better, equivalent or reproduced. None means that the metric is not checked.
            metric: the metric of `require`; by default the metric of A's study.
            margin: the smallest difference that matters; by default A's margin.
            arms: the arms to check; by default all arms of A.
            throughput: the smallest allowed ratio of throughputs, B / A.
            parameters: the largest allowed ratio of numbers of parameters, B / A.
            settings_may_differ: whether recipe, tuning and networks of the two studies may differ.
            cannot_tell: what the test does if the results do not decide: fail, skip or xfail.

        Raises:
            AblateError: the reference cannot be read, or an option is wrong.
        """
        __tracebackhide__ = True
        from ablate.gate.checks import Demand, check_folders
        from ablate.gate.rules import Requirement
        from ablate.report.evidence import gather

        demand = Demand(
            require=None if require is None else Requirement(require),
            metric=metric,
            margin=margin,
            arms=tuple(arms),
            throughput=throughput,
            parameters=parameters,
            settings_may_differ=settings_may_differ,
        )
        gate = check_folders(gather(Path(reference)), self.evidence, demand)
        _conclude(gate, f"A is {reference}, B is {self.folder}", cannot_tell)
        return gate


def _conclude(gate: "Gate", folders: str, cannot_tell: WhenUnclear) -> None:
    """End the test unless every requirement holds. The message reads like the answer of a report."""
    __tracebackhide__ = True
    from ablate.gate.wording import explain_check, name_requirement, state_gate

    if gate.exit_code == 0:
        return
    lines = [state_gate(gate)]
    lines += [
        f"- {check.arm}, {name_requirement(gate, check)}: {explain_check(check, gate.unit)}"
        for check in gate.checks
        if check.outcome == gate.outcome
    ]
    message = "\n".join([*lines, *(f"- {note}" for note in gate.notes), folders])
    if gate.exit_code == 1 or cannot_tell == "fail":
        pytest.fail(message, pytrace=False)
    if cannot_tell == "skip":
        pytest.skip(message)
    pytest.xfail(message)


Trainer = Callable[..., TrainedStudy]


@pytest.fixture(scope="session")
def ablate_study(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Train a study: `ablate_study("studies/x.yaml", "seeds=5")`.

    The overrides are written as for `ablate run`. `options` are further options of this command, such as
    `options=["--data-dir", "data"]`. Calls with the same arguments train only once in a session. This is also
    true if pytest-xdist spreads the tests over several processes.
    """
    base = tmp_path_factory.getbasetemp()
    if os.environ.get(
        "PYTEST_XDIST_WORKER"
    ):  # each worker has a folder of its own below the session's folder
        base = base.parent
    trained: dict[str, TrainedStudy] = {}

    def train(study: str | Path, *overrides: str, options: Iterable[str] = ()) -> TrainedStudy:
        __tracebackhide__ = True
        given = [str(Path(study).resolve()), *overrides, *options]
        key = hashlib.sha256("\0".join(given).encode()).hexdigest()[:12]
        if key not in trained:
            trained[key] = TrainedStudy(_train_once(given, base / f"ablate-{key}"))
        return trained[key]

    return train


def _train_once(arguments: list[str], parent: Path) -> Path:
    """Train a study in a folder, unless another process of the session did. Return the report folder."""
    __tracebackhide__ = True
    from filelock import FileLock

    from ablate.records.folder import find_only_report

    parent.mkdir(parents=True, exist_ok=True)
    with FileLock(parent / "lock"):
        done = parent / "done"
        if not done.exists():
            command = [sys.executable, "-m", "ablate", "run", *arguments, "--out", str(parent), "--quiet"]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            if ended.returncode not in (0, SOME_RUNS_FAILED):
                pytest.fail(f"the study was not trained: {ended.stderr.strip()}", pytrace=False)
            done.touch()
    return find_only_report(parent)


ARMS = "ablate_arms"
"""The name of the mark that names a study. `ablate_arm_benchmark` times the arms of this study."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark of this module, so that pytest knows it."""
    arguments = "study, *overrides, data_dir=None, plugins=()"
    config.addinivalue_line(
        "markers", f"{ARMS}({arguments}): `ablate_arm_benchmark` times every arm of this study"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test for each arm of the study if a test uses `ablate_arm_benchmark`."""
    if "ablate_arm_benchmark" not in metafunc.fixturenames:
        return
    if metafunc.config.getoption("benchmark_only", default=None) is None:
        pytest.fail(
            "ablate_arm_benchmark needs pytest-benchmark: pip install pytest-benchmark", pytrace=False
        )
    mark = metafunc.definition.get_closest_marker(ARMS)
    if mark is None or not mark.args:
        pytest.fail(
            f'ablate_arm_benchmark needs a study: mark the test with @pytest.mark.{ARMS}("STUDY.yaml")',
            pytrace=False,
        )
    from ablate.errors import AblateError
    from ablate.gate.arm_benchmarks import open_study

    try:
        timed = open_study(*mark.args, **mark.kwargs)
    except AblateError as error:
        pytest.fail(f"@pytest.mark.{ARMS}: {error}", pytrace=False)
    arms = [(timed, name) for name in timed.arms]
    metafunc.parametrize("ablate_arm_benchmark", arms, indirect=True, ids=list(timed.arms))


@pytest.fixture
def ablate_arm_benchmark(benchmark: Any, request: pytest.FixtureRequest) -> Callable[[], float | None]:
    """Time training steps of one arm with pytest-benchmark: `speed = ablate_arm_benchmark()`.

    The test needs the mark `ablate_arms` with the arguments of `ablate run`: a study file and overrides. The
    test runs once for each arm. The call returns examples per second, or None if pytest-benchmark is switched
    off. With pytest-xdist, it is always switched off.
    """
    timed: TimedStudy
    timed, name = request.param

    def time_arm() -> float | None:
        __tracebackhide__ = True
        from ablate.errors import AblateError
        from ablate.gate.arm_benchmarks import benchmark_arm

        try:
            return benchmark_arm(benchmark, timed, name)
        except AblateError as error:
            pytest.fail(str(error), pytrace=False)

    return time_arm
