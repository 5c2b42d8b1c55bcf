"""The fixture `ablate_arm_benchmark`: one benchmark for each arm, and what its JSON says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ablate.gate import pytest_plugin
from ablate.gate.arm_benchmarks import benchmark_arm, open_study
from tests.commands import ROOT
from tests.conftest import SMALL

SECONDS = 0.25


class Benchmark:
    """Counts the calls as pytest-benchmark makes them, and says that each took `SECONDS`."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled, self.stats, self.extra_info, self.calls = enabled, None, {}, 0

    def pedantic(self, target: Callable[[], int], *, rounds: int, iterations: int, warmup_rounds: int) -> int:
        if self.enabled:
            self.calls = (rounds + warmup_rounds) * iterations
            for _ in range(self.calls):
                target()
            self.stats = SimpleNamespace(stats=SimpleNamespace(median=SECONDS))
        return target()


def metafunc(*marks: pytest.Mark, benchmark: bool = True) -> Any:
    """What pytest hands to a plugin for a test function that uses the fixture."""
    made: dict[str, Any] = {}
    return SimpleNamespace(
        fixturenames=["ablate_arm_benchmark"],
        config=SimpleNamespace(
            getoption=lambda name, default: {"benchmark_only": False}.get(name) if benchmark else default
        ),
        definition=SimpleNamespace(get_closest_marker=lambda name: next(iter(marks), None)),
        parametrize=lambda name, values, **options: made.update(values=values, **options),
        made=made,
    )


def test_a_benchmark_stores_arm_speed_parameters_engine_threads_and_hardware(small_file: Path) -> None:
    benchmark = Benchmark(enabled=True)
    timed = open_study(small_file, "recipe.batch_size=32", "timing.block_seconds=0.001")
    speed = benchmark_arm(benchmark, timed, "pooling=max")
    found = benchmark.extra_info
    assert speed == found["examples_per_second"] == 32 / SECONDS
    assert benchmark.calls % 4 == 0  # a block to warm up, and the three blocks of the study
    assert (found["arm"], found["parameters"], found["engine"]) == ("pooling=max", 61_706, "loop")
    assert found["threads"] == found["hardware"]["timing_threads"] >= 1
    assert {"device_name", "cores", "memory_bytes", "python", "packages"} <= found["hardware"].keys()
    assert found["hardware"]["packages"]["torch"]
    json.dumps(found)


def test_where_benchmarks_are_switched_off_the_arm_makes_one_step(small_file: Path) -> None:
    benchmark = Benchmark(enabled=False)
    assert benchmark_arm(benchmark, open_study(small_file), "baseline") is None
    assert "examples_per_second" not in benchmark.extra_info
    assert benchmark.extra_info["arm"] == "baseline"


def test_a_test_runs_once_for_each_arm_of_its_study(small_file: Path) -> None:
    given = metafunc(pytest.mark.ablate_arms(str(small_file), "factors.pooling=[avg, max]").mark)
    pytest_plugin.pytest_generate_tests(given)
    assert given.made["ids"] == ["baseline", "pooling=max"]
    assert [name for _, name in given.made["values"]] == given.made["ids"]
    assert given.made["indirect"]


@pytest.mark.parametrize(
    ("marks", "installed", "message"),
    [
        (["nowhere.yaml"], False, "^ablate_arm_benchmark needs pytest-benchmark: pip install pytest-benchmark$"),
        ([], True, r'^ablate_arm_benchmark needs a study: mark the test with @pytest.mark.ablate_arms\('),
        (["nowhere.yaml"], True, r"^@pytest.mark.ablate_arms: .*nowhere.yaml: no such study file"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_in_one_line(marks: list[str], installed: bool, message: str) -> None:
    given = metafunc(*(pytest.mark.ablate_arms(name).mark for name in marks), benchmark=installed)
    with pytest.raises(pytest.fail.Exception, match=message) as caught:
        pytest_plugin.pytest_generate_tests(given)
    assert "\n" not in str(caught.value)


def test_other_tests_are_left_alone() -> None:
    pytest_plugin.pytest_generate_tests(SimpleNamespace(fixturenames=["ablate_study"]))


@pytest.mark.thorough
@pytest.mark.parametrize("options", [["-p", "no:xdist", "--benchmark-only"], ["-n", "2", "-p", "xdist"]])
def test_the_example_of_the_readme_times_every_arm(tmp_path: Path, options: list[str]) -> None:
    """A real session beside pytest-benchmark. Beside pytest-xdist, pytest-benchmark switches itself off."""
    page = (ROOT / "reports" / "README.md").read_text()
    (example,) = re.findall(r"```python\n(# test_speed\.py\n.*?)```", page, re.DOTALL)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "lenet_pooling.yaml").write_text(SMALL)
    (tmp_path / "test_speed.py").write_text(example)
    # pytest-benchmark switches itself off in a process that pytest-xdist has started, as this one may be.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "pytest_benchmark.plugin", "-p", "ablate.gate.pytest_plugin", "--strict-markers", "--benchmark-json=speeds.json", *options],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=outside | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    if "xdist" in options:
        assert "Benchmarks are automatically disabled because xdist plugin is active" in done.stderr
        return
    found = json.loads((tmp_path / "speeds.json").read_text())["benchmarks"]
    assert [one["extra_info"]["arm"] for one in found] == ["baseline", "pooling=max"]
    for one in found:
        assert one["extra_info"]["examples_per_second"] == pytest.approx(64 / one["stats"]["median"])
