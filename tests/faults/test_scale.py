"""Thousands of runs, hundreds of arms. The last run costs as much as the first, and no run is lost."""

import gc
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from ablate.experiment.events import Advanced
from ablate.records.folder import ReportFolder
from ablate.report import writer
from tests.commands import count_trials, environment, leave_undrawn
from tests.execution.test_workers import workers_of
from tests.experiment.test_conduct import Stub, conducting, runs_csv

ARMS, SEEDS = 200, 25
WINDOW = 50
"""How many runs at the start and at the end have their work counted."""
SOAKED = f"""\
name: soak
question: Is anything lost?
dataset: digits
model: tests.faults.faulty:stub
factors: {{variant: {list(range(ARMS))}}}
recipe: {{epochs: 1, batch_size: 64, train_images: 128, optimizer: adam, learning_rate: 0.003, init: default}}
seeds: {SEEDS}
validation: 240
timing: {{blocks: 0}}
"""


class Calls:
    """Counts calls of Python and C functions. Other programs cannot disturb this measure of work.

    Objects that earlier tests left behind are collected first. Otherwise, their finalizers would be counted.
    """

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> "Calls":
        def counted(_frame: object, event: str, _argument: object) -> None:
            self.count += event in ("call", "c_call")

        gc.collect()
        gc.disable()
        sys.setprofile(counted)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        gc.enable()


def make_study(small, arms: int, seeds: int):
    # No run is trained, but each arm is tried: by small networks.
    hidden = ", ".join(f"[{i}]" for i in range(1, arms + 1))
    return small(
        "model=mlp", f"factors={{hidden: [{hidden}]}}", "baseline={hidden: [1]}", f"seeds={seeds}", "tuning.trials=0", "timing.blocks=0"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arms", "seeds"),
    [
        pytest.param(2 * WINDOW + 20, 1, marks=pytest.mark.thorough),
        pytest.param(ARMS, SEEDS, marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(1800)
def test_with_5000_runs_of_200_arms_the_last_run_costs_as_much_work_and_memory_as_the_first_and_a_report_opens(
    small, tmp_path: Path, arms: int, seeds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_study(small, arms, seeds)
    with conducting(spec, tmp_path / "small", Stub()) as (conduct, folder, _):
        events = (
            event
            for event in conduct.run_phases()
            if isinstance(event, Advanced) and event.phase == "confirm"
        )
        total = arms * seeds
        process = psutil.Process()
        memory, work = [], []
        for start in (0, total - WINDOW - 10):
            for event in events:
                if event.done >= start + 10:  # the first runs fill caches
                    break
            memory.append(process.memory_info().rss)
            with Calls() as calls:
                for _ in range(WINDOW):
                    next(events)
            work.append(calls.count)
        assert sum(1 for _ in events) == 0
        print(f"calls {work}, {(memory[1] - memory[0]) / total:,.0f} bytes a run")
        assert work[1] < 1.02 * work[0]
        assert memory[1] - memory[0] < 20_000 * total
        folder.write_provenance(conduct.make_provenance(measure_costs=False))
        folder.write_tables(conduct.make_tables())
    if seeds < SEEDS:  # tests/report draws many arms
        leave_undrawn(monkeypatch.setattr)
    evidence = writer.write(folder.path)
    assert len(evidence.confirmed) == total
    page = (folder.path / "report.html").read_text()
    assert page.rstrip().endswith("</html>")


def soak(folder: Path, stops: Sequence[int], rng: random.Random) -> int:
    """Run the study by several commands. Kill each command when the next number of runs in `stops` is stored.

    Also kill random workers, as often as one every few seconds of a study whose runs take a few seconds.
    Returns the number of killed workers.
    """
    (folder / "soak.yaml").write_text(SOAKED)
    command = [sys.executable, "-m", "ablate", "run", "soak.yaml", "--plugin", "tests.faults", "--quiet"]
    given = environment() | {"PYTHONPATH": str(Path.cwd())}
    killed = 0
    for stop in [*stops, ARMS * SEEDS + 1]:
        with subprocess.Popen(
            command, cwd=folder, env=given, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as parent:
            while parent.poll() is None and count_trials(folder / "reports" / "soak")["confirm"] < stop:
                time.sleep(rng.uniform(0.5, 2) if stops else 0.5)
                if stops and (workers := workers_of(psutil.Process(parent.pid))):
                    rng.choice(workers).kill()
                    killed += 1
            if parent.poll() is None:
                parent.kill()
            _, errors = parent.communicate()
        assert "Traceback" not in errors, errors
    assert parent.returncode == 0, errors
    return killed


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_5000_runs_end_with_the_exact_table_although_workers_are_killed_every_few_seconds_and_the_command_ten_times(
    tmp_path: Path,
) -> None:
    rng = random.Random()
    tables = {}
    for name in ("whole", "soaked"):
        (tmp_path / name).mkdir()
        stops = sorted(rng.sample(range(ARMS * SEEDS), k=10)) if name == "soaked" else []
        killed = soak(tmp_path / name, stops, rng)
        folder = ReportFolder(tmp_path / name / "reports" / "soak")
        tables[name] = runs_csv(folder)
        assert count_trials(folder.path)["confirm"] == ARMS * SEEDS  # no run was repeated
    print(f"{killed} workers and {len(stops)} parents killed")
    assert killed > 50
    assert tables["soaked"] == tables["whole"]
    assert len(set(tables["whole"].splitlines())) == ARMS * SEEDS + 1
