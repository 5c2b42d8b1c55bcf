"""What several tests stand on: the data sets, a small study, a way to write one.

The first process of pytest imports this file and then starts those that test. They need torch, and it does not.
"""

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.commands import CACHE, leave_undrawn

if TYPE_CHECKING:
    from ablate.data.loading import Dataset
    from ablate.study.spec import StudySpec

os.environ["XDG_CACHE_HOME"] = str(CACHE)  # one compiled engine for all tests, and nobody's own cache

STUDIES = Path(__file__).parents[1] / "studies"

SMALL = """\
name: small
question: Does max pooling beat average pooling?
dataset: digits
model: lenet
baseline: {pooling: avg}
factors: {pooling: [avg, max]}
recipe: {epochs: 2, batch_size: 64, optimizer: adam, learning_rate: 0.003}
tuning: {trials: 2, learning_rate: {low: 0.003, high: 0.006, log: true}}
seeds: 3
validation: 240
timing: {blocks: 3, block_seconds: 0.01}
"""
"""Seconds from tuning to report; lines are counted in the tests of error messages."""


LONGEST = (
    "explore/test_browser.py", "cli/test_run.py", "studies/test_studies.py", "faults/test_processes.py",
    "engines/test_cohort.py", "accelerator/test_main_job.py", "experiment/test_conduct.py", "report/test_writer.py",
    "inspection/test_inside.py", "records/test_postgresql.py", "bench/test_bench.py", "cli/test_export.py",
    "engines/test_lanes.py", "faults/test_interruptions.py", "search/test_candidates.py", "engines/test_lanes_memory.py",
    "stats/test_comparisons.py", "tuning/test_calibration.py", "faults/test_study_files.py", "faults/test_storage.py",
    "faults/test_surroundings.py", "faults/test_randomness.py", "faults/test_scale.py",
)  # fmt: skip
"""Files of tests that take longest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest files begin first, so that none of them runs alone at the end."""
    folder = Path(__file__).parent
    rank = {folder / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_collection_finish() -> None:
    """Let garbage collections skip what imports and tests themselves hold."""
    import hypothesis  # noqa: F401, for it asks the collector who holds a random generator

    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """As in a worker, so that what is computed here and there can be compared."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> "Dataset":
    from ablate.data import loading
    from ablate.data.datasets import find_dataset
    from tests.cpu import CPU

    return loading.load(find_dataset("digits"), None, CPU)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with the real data sets; a test that wants it is skipped without."""
    folder = os.environ.get("ABLATE_DATA")
    if not folder or not Path(folder, "FashionMNIST").is_dir():
        pytest.skip("ABLATE_DATA names no folder with Fashion-MNIST")
    return Path(folder)


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def small(small_file: Path) -> "Callable[..., StudySpec]":
    """The small study with overrides: `small("seeds=1")`."""
    from ablate.study import study_file

    return lambda *overrides: study_file.read(small_file, overrides)


@pytest.fixture
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without figures, three seconds each, but for a test marked as about drawn ones."""
    if request.node.get_closest_marker("drawn") is None:
        leave_undrawn(monkeypatch.setattr)
