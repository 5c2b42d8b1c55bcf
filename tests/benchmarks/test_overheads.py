"""What is not training: planning, keeping the record, building a report.

Run with `pytest tests/benchmarks -n 0 --benchmark-only`.
"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from ablate.data.datasets import find_dataset
from ablate.design.designs import lay_out
from ablate.design.runs import Run, name_setting
from ablate.execution.executor import Conditions, Outcome
from ablate.experiment.conduct import Conduct
from ablate.experiment.events import Advanced
from ablate.experiment.price import price
from ablate.records.folder import ReportFolder
from ablate.records.run_records import EpochPoint, RunRecord
from ablate.records.tables import make_frame, write_table
from ablate.report import writer
from ablate.study import study_file
from ablate.study.spec import StudySpec
from tests.conftest import STUDIES
from tests.report.test_writer import write_folder

WINDOW = 100
EPOCHS = 10


@pytest.mark.benchmark(group="plan")
def test_a_study_is_read_and_laid_out(benchmark, note) -> None:
    """Every network built on the meta device, every point checked."""
    layout = benchmark.pedantic(lambda: lay_out(study_file.read(STUDIES / "lenet_best.yaml")), rounds=3)
    note()
    assert layout.arms


@pytest.mark.benchmark(group="plan")
def test_a_study_is_priced(benchmark, note) -> None:
    """A few timed steps of every arm."""
    spec = study_file.read(STUDIES / "lenet_pooling.yaml")
    priced = benchmark.pedantic(price, args=(spec, lay_out(spec)), kwargs={"jobs": 1}, rounds=3)
    note()
    assert len(priced.arms) == 2


class StubWorkers:
    """Hands back a finished run's record at once: all that is left is what a study does around training."""

    def outcomes(self, runs: Sequence[Run]) -> Iterator[Outcome]:
        for run in runs:
            points = [
                EpochPoint(epoch=(i + 1) / 5, train_loss=0.5, train_accuracy=0.8) for i in range(5 * EPOCHS)
            ]
            record = RunRecord(
                phase=run.phase,
                arm=run.arm.name,
                setting=name_setting(run.setting),
                seed=run.seed,
                values={**run.arm.factors, **run.setting},
                status="complete",
                engine="stub",
                train_loss=0.5,
                train_accuracy=0.8,
                test_accuracy=0.8,
                epochs=tuple(points),
            )
            yield Outcome(run=run, record=record)

    def close(self) -> None:
        """Nothing to stop."""


@pytest.mark.benchmark(group="record")
@pytest.mark.timeout(900)
def test_a_run_is_put_on_record(benchmark, note, in_full: bool, tmp_path: Path, small) -> None:
    """A whole study of a stub model: what a run costs among the first and among the last of 5,000."""
    seeds = 2_500 if in_full else 3
    spec = small(f"seeds={seeds}", "tuning.trials=0", "timing.blocks=0")
    folder = ReportFolder(tmp_path / "small")
    folder.lock(fresh=False)
    folder.adopt(spec)
    conditions = Conditions(dataset=find_dataset("digits"), data_root=None, validation=240, device="cpu")
    conduct = Conduct(
        spec, lay_out(spec), folder, conditions, jobs=1, workers=lambda _conditions, _jobs: StubWorkers()
    )
    seconds: list[float] = []

    def to_the_end() -> None:
        last = time.perf_counter()
        for event in conduct.run_phases():
            if isinstance(event, Advanced):
                now = time.perf_counter()
                seconds.append(now - last)
                last = now

    benchmark.pedantic(to_the_end, rounds=1)
    runs = seconds[1:]  # the first event is the workers' start
    note(
        runs=len(runs),
        first_runs_seconds=median(runs[:WINDOW]),
        last_runs_seconds=median(runs[-WINDOW:]),
    )
    conduct.close()
    folder.release()
    assert len(runs) == 2 * seeds


@pytest.mark.benchmark(group="report")
@pytest.mark.parametrize(
    ("arms", "seeds"),
    [
        (20, 50),
        pytest.param(2, 500, marks=pytest.mark.thorough),
        pytest.param(100, 10, marks=pytest.mark.thorough),
    ],
)
def test_a_report_of_1000_runs(
    benchmark, note, in_full: bool, tmp_path: Path, small, arms: int, seeds: int
) -> None:
    """From tables to page and figures, each run of ten epochs with five points each."""
    if not in_full:
        arms, seeds = 3, 4
    spec = _of_many_arms(small, arms, seeds)
    names = [arm.name for arm in lay_out(spec).arms]
    rng = np.random.default_rng(0)
    accuracies = {name: (0.9 + 0.005 * rng.normal(size=seeds)).tolist() for name in names}
    folder = write_folder(tmp_path / "small", study_file.dump(spec), accuracies)
    run = {"phase": "confirm", "setting": "learning_rate=0.003"}
    curve = [
        {"epoch": (i + 1) / 5, "train_loss": 1 / (i + 1), "train_accuracy": 0.8, "validation_accuracy": 0.8}
        for i in range(5 * EPOCHS)
    ]
    rows = [
        {**run, "arm": name, "seed": seed, **point}
        for name in names
        for seed in range(seeds)
        for point in curve
    ]
    write_table(make_frame("epochs", rows), folder / "tables" / "epochs.csv")
    evidence = benchmark.pedantic(writer.write, args=(folder,), rounds=1)
    note(arms=arms, runs=arms * seeds)
    assert len(evidence.confirmed) == arms * seeds
    assert (folder / "report.html").exists()


def _of_many_arms(small, arms: int, seeds: int) -> StudySpec:
    hidden = ", ".join(f"[{120 + i}, 84]" for i in range(arms))
    return small(f"factors={{hidden: [{hidden}]}}", f"seeds={seeds}")
