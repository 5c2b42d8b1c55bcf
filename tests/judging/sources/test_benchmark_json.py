"""Files that pytest-benchmark itself wrote become one row per round, or one per session."""

import json
from pathlib import Path

import pytest

from ablate.errors import AblateError
from ablate.judging import sources
from tests.judging.sources.real_tools import run_python

BENCHMARKS = """\
import pytest

@pytest.mark.parametrize(("n", "name"), [(10, "few"), (20, "many")])
def test_sum(benchmark, n, name):
    benchmark.extra_info["n"] = "extra"
    benchmark.pedantic(sum, args=(range(n),), rounds=3, iterations=2)

@pytest.mark.benchmark(group="sorting")
def test_sort(benchmark):
    benchmark.pedantic(sorted, args=([3, 1],), rounds=2)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`rounds.json`, and a folder `.benchmarks` as `--benchmark-autosave` makes it, without rounds."""
    made = tmp_path_factory.mktemp("benchmark")
    (made / "test_speed.py").write_text(BENCHMARKS)
    run_python(
        "-m", "pytest", "-q", "-p", "pytest_benchmark.plugin", "--benchmark-json=rounds.json", "--benchmark-autosave", "test_speed.py",
        folder=made, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTEST_ADDOPTS="",
    )  # fmt: skip
    return made


def test_a_file_with_rounds_gives_one_row_per_round(folder: Path) -> None:
    runs = sources.read_runs(str(folder / "rounds.json"))
    assert list(runs.columns[:10]) == [
        "source_run", "status", "name", "fullname", "group", "n", "params.name", "extra_info.n", "session", "machine_info.node",
    ]  # fmt: skip
    assert list(runs["params.name"].fillna("–")) == ["few"] * 3 + ["many"] * 3 + ["–"] * 2
    assert list(runs["round"]) == [0, 1, 2, 0, 1, 2, 0, 1]
    assert runs.group.iloc[-1] == "sorting"
    assert runs.source_run.is_unique
    assert (runs.seconds > 0).all()
    assert "machine_info.cpu.flags" not in runs
    data = json.loads((folder / "rounds.json").read_text())["benchmarks"][0]["stats"]["data"]
    assert list(runs.seconds[:3]) == data


def test_a_file_without_rounds_gives_the_mean(folder: Path) -> None:
    (file,) = (folder / ".benchmarks").glob("*/*.json")
    runs = sources.read_runs(str(file))
    means = [one["stats"]["mean"] for one in json.loads(file.read_text())["benchmarks"]]
    assert list(runs.seconds) == means
    assert list(runs.rounds) == [3, 3, 2]
    assert "round" not in runs


def test_a_folder_of_sessions_gives_one_row_per_benchmark_and_session(folder: Path, tmp_path: Path) -> None:
    for name in ("0001_first", "0002_second"):
        (tmp_path / f"{name}.json").write_bytes((folder / "rounds.json").read_bytes())
    (tmp_path / "other.json").write_text("{}")
    runs = sources.read_runs(str(tmp_path))
    assert list(runs.session) == ["0001_first"] * 3 + ["0002_second"] * 3
    assert runs.source_run.is_unique


def test_a_file_that_ends_too_early_is_refused(folder: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.json"
    torn.write_bytes((folder / "rounds.json").read_bytes()[:-30])
    with pytest.raises(AblateError, match=r"torn\.json: is not a complete JSON file \(JSONDecodeError"):
        sources.read_runs(str(torn))


def test_an_experiment_is_refused_where_there_are_none(folder: Path) -> None:
    with pytest.raises(AblateError, match="has no experiments: leave out 'one'"):
        sources.read_runs(str(folder / "rounds.json"), experiment="one")


def test_parameters_as_large_as_a_data_set_are_cut(folder: Path, tmp_path: Path) -> None:
    """ionelmc/pytest-benchmark#96: the parameters are saved whole."""
    content = json.loads((folder / "rounds.json").read_text())
    content["benchmarks"][0]["params"] = {"data": ["x" * 100] * 1_000}
    (tmp_path / "large.json").write_text(json.dumps(content))
    runs = sources.read_runs(str(tmp_path / "large.json"))
    assert runs.data.str.len().max() == 501
