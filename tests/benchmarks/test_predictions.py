"""What it costs to keep a run's predictions and to compute its metrics: processor time and bytes.

Run with `ABLATE_DATA=DIR pytest tests/benchmarks -n 0 --benchmark-only`.
"""

import time
from pathlib import Path

import pytest

from ablate.data import loading
from ablate.data.datasets import find_dataset
from ablate.data.loading import Dataset
from ablate.design.designs import lay_out
from ablate.design.runs import Run, name_setting
from ablate.engines import training
from ablate.engines.choice import choose_trainer
from ablate.engines.predictions import Measured, measure
from ablate.engines.training import settle_process, train
from ablate.records.folder import ReportFolder
from ablate.records.predictions import encode_predictions, locate_labels, locate_predictions
from ablate.study import study_file
from tests.conftest import STUDIES
from tests.cpu import CPU


@pytest.fixture
def images(in_full: bool, digits: Dataset, request: pytest.FixtureRequest) -> Dataset:
    """Fashion-MNIST if figures are wanted, and else the digits."""
    if not in_full:
        return digits
    return loading.load(find_dataset("fashion_mnist"), request.getfixturevalue("real_data"), CPU)


@pytest.mark.benchmark(group="record")
@pytest.mark.timeout(900)
def test_keeping_a_runs_predictions(
    benchmark, note, in_full: bool, images: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A confirmed run of studies/lenet_pooling.yaml on one core: which share of its processor time this takes."""
    settle_process(1)
    spec = study_file.read(STUDIES / "lenet_pooling.yaml", [] if in_full else ["recipe.epochs=1"])
    run = Run(phase="confirm", arm=lay_out(spec).arms[1], setting={}, seed=0)
    folder = ReportFolder(tmp_path)
    spent = [0.0]

    def measure_timed(*given: object) -> Measured:
        started = time.process_time()
        measured = measure(*given)
        spent[0] += time.process_time() - started
        return measured

    monkeypatch.setattr(training, "measure", measure_timed)

    def to_the_end() -> tuple[float, float]:
        spent[0], started = 0.0, time.process_time()
        ended = train(
            run, choose_trainer(run, images, CPU), images, validation=240 if not in_full else 10_000
        )
        trained = time.process_time()
        assert ended.predictions is not None
        content = encode_predictions(ended.predictions, name_setting(run.setting))
        folder.write_predictions(run.arm.slug, run.seed, content, images.test_labels.numpy)
        return time.process_time() - started, spent[0] + time.process_time() - trained

    whole, keeping = benchmark.pedantic(to_the_end, rounds=3 if in_full else 1)
    note(
        run_cpu_seconds=whole,
        keeping_cpu_seconds=keeping,
        share=keeping / whole,
        bytes_of_a_run=locate_predictions(tmp_path, run.arm.slug, run.seed).stat().st_size,
        bytes_of_the_labels=locate_labels(tmp_path).stat().st_size,
    )
    assert 0 < keeping < whole
