"""What several tests stand on: the data sets, a small study, a way to write one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ablate.data import loading
from ablate.data.datasets import find_dataset
from ablate.data.loading import Dataset
from ablate.study import study_file
from ablate.study.spec import StudySpec
from tests.commands import leave_undrawn

CPU = torch.device("cpu")
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


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """As in a worker, so that what is computed here and there can be compared."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> Dataset:
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
def small(small_file: Path) -> Callable[..., StudySpec]:
    """The small study with overrides: `small("seeds=1")`."""
    return lambda *overrides: study_file.read(small_file, overrides)


@pytest.fixture
def undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without figures, three seconds each, but for a test marked as about drawn ones."""
    if request.node.get_closest_marker("drawn") is None:
        leave_undrawn(monkeypatch.setattr)
