"""A whole study runs on the simulated device: tuned, confirmed, timed, reported, killed and gone on with."""

import signal
import time
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from ablate.records.provenance import read_provenance
from tests.commands import ablate, count_trials, start

# `test_engines.py` runs every engine on the same device, and `tests/cli/test_run.py` the whole job, but not together.
pytestmark = pytest.mark.thorough

STUDY = """
name: pooling
question: Does pooling matter?
dataset: digits
model: lenet
baseline: {pooling: avg}
factors: {pooling: [avg, max]}
recipe: {epochs: 1, batch_size: 64, optimizer: adam, learning_rate: 0.003, init: default, train_images: 200}
tuning: {trials: 2, learning_rate: {low: 0.001, high: 0.01, log: true}}
seeds: 3
validation: 240
timing: {blocks: 1, block_seconds: 0.02}
"""


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study, and with a report of it that was trained in cohorts on the simulated device."""
    folder = tmp_path_factory.mktemp("there")
    (folder / "study.yaml").write_text(STUDY)
    done = ablate("run", "study.yaml", cwd=folder, drawn=False, ABLATE_TEST_DEVICE="sim")
    assert done.returncode == 0, done.stderr
    return folder


def read_runs(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "reports/pooling/tables/runs.csv")


def test_the_main_job_runs_on_the_device_from_tuning_to_report(there: Path) -> None:
    runs = read_runs(there)
    assert set(runs.status) == {"complete"}
    assert set(runs.phase) == {"tune", "confirm"}
    provenance = read_provenance(there / "reports/pooling")
    assert provenance.engines == {"cohort of 8": len(runs)}
    assert provenance.machine.device == "sim"
    assert provenance.machine.device_name == "Simulated accelerator"
    assert all(cost.peak_memory_bytes for cost in provenance.arms.values())
    timed = pd.read_csv(there / "reports/pooling/tables/timing.csv")
    assert list(timed.arm) == ["baseline", "pooling=max", "baseline"]


@pytest.mark.thorough
def test_the_loop_answers_on_the_device_what_cohorts_answer(there: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    done = ablate(
        "run",
        "study.yaml",
        "timing.blocks=0",
        cwd=tmp_path,
        drawn=False,
        ABLATE_TEST_DEVICE="sim",
        ABLATE_ENGINE="loop",
    )
    assert done.returncode == 0, done.stderr
    by_loop, by_cohort = read_runs(tmp_path), read_runs(there)
    assert read_provenance(tmp_path / "reports/pooling").engines == {"loop": len(by_loop)}
    both = by_loop.merge(by_cohort, on=["phase", "arm", "setting", "seed"])
    assert len(both) == len(by_loop) == len(by_cohort)
    assert both.train_loss_x.to_numpy() == pytest.approx(both.train_loss_y.to_numpy(), rel=1e-3)


@pytest.mark.thorough
def test_a_killed_study_goes_on_on_the_device(there: Path, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    with start("run", "study.yaml", cwd=tmp_path, ABLATE_TEST_DEVICE="sim") as command:
        deadline = time.monotonic() + 120
        while sum(count_trials(tmp_path / "reports/pooling").values()) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        command.send_signal(signal.SIGKILL)
    done = ablate("run", "study.yaml", cwd=tmp_path, drawn=False, ABLATE_TEST_DEVICE="sim")
    assert done.returncode == 0, done.stderr
    names = ["phase", "arm", "setting", "seed", "status", "test_accuracy"]
    pd.testing.assert_frame_equal(read_runs(tmp_path)[names], read_runs(there)[names])


@pytest.mark.thorough
def test_a_folder_from_the_device_opens_on_a_machine_without_it(there: Path) -> None:
    for line in (
        ("report", "reports/pooling"),
        ("activations", "reports/pooling", "--inputs", "3,8"),
        ("export", "reports/pooling", "--arm", "pooling=max"),
        *([("explore", "reports/pooling", "--save", "page.html")] if find_spec("uvicorn") else []),
        ("compare", "reports/pooling", "reports/pooling"),
    ):
        done = ablate(*line, cwd=there, drawn=line[0] == "activations")
        assert done.returncode == 0, (line, done.stderr)
    refused = ablate("run", "study.yaml", cwd=there, drawn=False)
    assert refused.returncode == 2
    assert "its runs were trained on sim. On cpu, every run would be trained again" in refused.stderr


def test_a_device_that_is_not_there_is_refused(there: Path) -> None:
    for wanted, told in (("cuda", "use --device sim"), ("sim:1", "the only number is 0")):
        refused = ablate("run", "study.yaml", "--device", wanted, cwd=there, ABLATE_TEST_DEVICE="sim")
        assert refused.returncode == 2
        assert told in refused.stderr
