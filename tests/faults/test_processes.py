"""Processes that die, hang or are interrupted. No finished run is lost or repeated, and other runs complete."""

import os
import random
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from ablate.data.datasets import find_dataset
from ablate.design.designs import lay_out
from ablate.design.runs import Run
from ablate.errors import FolderError
from ablate.execution import workers
from ablate.execution.executor import Conditions, Outcome
from ablate.execution.workers import LocalProcesses
from ablate.experiment.conduct import Conduct
from ablate.interruption import Interrupted, delay_interrupts, raise_on_interrupt
from ablate.models import own
from ablate.records.folder import ReportFolder
from ablate.report import writer
from ablate.study.spec import StudySpec
from tests.commands import count_trials, environment
from tests.execution.test_workers import is_alive, workers_of
from tests.experiment.test_conduct import Stub, runs_csv
from tests.faults.small_search import PHASES, run_study
from tests.nursery import Child, fork

FAULTY = Conditions(
    dataset=find_dataset("digits"), data_root=None, validation=240, device="cpu", plugins=("tests.faults",)
)


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalProcesses]:
    made = LocalProcesses(FAULTY, jobs=2)
    yield made
    made.close()


@pytest.fixture
def short_idle_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the limit for an idle worker from five minutes to four seconds."""
    monkeypatch.setattr(workers, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(workers, "IDLE_CHECKS", 40)


@pytest.fixture
def short_run_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the limits for the length of a run to four seconds."""
    monkeypatch.setattr(workers, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(workers, "LEAST_CHECKS", 40)
    monkeypatch.setattr(workers, "MOST_SLOWDOWN", 1)


def make_faulty_runs(small, fault: str, healthy: int = 3) -> list[Run]:
    """A healthy run, a run with the fault, and more healthy runs."""
    own.allow(["tests.faults"])
    spec = small(
        "model=tests.faults.faulty:network", "baseline={}", f"factors={{fault: ['', {fault}]}}", "recipe.epochs=1"
    )  # fmt: skip
    sound, broken = lay_out(spec).arms
    runs = [Run(phase="tune", arm=sound, setting={}, seed=seed) for seed in range(healthy)]
    return [runs[0], Run(phase="tune", arm=broken, setting={}, seed=0), *runs[1:]]


def find_faulty_outcome(pool: LocalProcesses, runs: list[Run]) -> Outcome:
    """Run all, and return the outcome of the faulty run. All others must be complete."""
    outcomes = list(pool.outcomes(runs))
    assert len(outcomes) == len(runs)
    (found,) = [outcome for outcome in outcomes if outcome.run == runs[1]]
    assert {o.record.status for o in outcomes if o is not found} == {"complete"}
    return found


@pytest.mark.parametrize(
    ("fault", "code"), [("kill -9", -9), ("segmentation fault", -11), ("exit", 7)], ids=lambda value: str(value)
)  # fmt: skip
def test_a_run_whose_worker_always_dies_is_tried_twice_and_recorded_with_the_cause(
    small, pool: LocalProcesses, fault: str, code: int
) -> None:
    record = find_faulty_outcome(pool, make_faulty_runs(small, fault)).record
    assert record.status == "failed"
    hint = ", as when the system is out of memory" if code == -9 else ""
    assert record.cause == f"its worker died twice, with exit code {code}{hint}"


@pytest.mark.thorough
@pytest.mark.usefixtures("short_idle_limit")
def test_a_run_whose_worker_hangs_is_stopped_twice_and_recorded_with_the_cause(
    small, pool: LocalProcesses
) -> None:
    record = find_faulty_outcome(pool, make_faulty_runs(small, "hang")).record
    assert record.status == "failed"
    assert record.cause == "its worker died twice, stopped because it had not used the processor for 4 s"


@pytest.mark.usefixtures("short_run_limit")
def test_a_run_in_an_endless_loop_is_stopped_once_other_runs_show_how_long_a_run_takes(
    small, pool: LocalProcesses
) -> None:
    record = find_faulty_outcome(pool, make_faulty_runs(small, "endless loop")).record
    assert record.status == "failed"
    assert re.fullmatch(
        "its worker died twice, stopped because it had worked on the run for [0-9]+ s", record.cause or ""
    )


@pytest.mark.usefixtures("short_idle_limit")
def test_a_run_completes_although_its_worker_hung_once(small, pool: LocalProcesses) -> None:
    runs = make_faulty_runs(small, "hang")[::2]
    assert len(list(pool.outcomes(runs))) == 2
    victim = workers_of(psutil.Process())[0]
    victim.suspend()
    assert {outcome.record.status for outcome in pool.outcomes(runs)} == {"complete"}
    assert not is_alive(victim)


def test_no_run_is_stopped_for_its_length_before_another_run_is_complete(
    small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(workers, "LEAST_CHECKS", 1)
    pool = LocalProcesses(FAULTY, jobs=2)
    try:
        failed, slow = make_faulty_runs(small, "exception", healthy=1)[::-1]
        recipe = slow.arm.recipe.model_copy(update={"epochs": 20})
        arm = replace(slow.arm, recipe=recipe)
        runs = [failed, replace(slow, arm=arm)]
        statuses = [outcome.record.status for outcome in pool.outcomes(runs)]
    finally:
        pool.close()
    assert sorted(statuses) == ["complete", "failed"]  # on busy cores, the failed run can end later


def test_runs_complete_although_the_server_that_forks_workers_is_killed(small, pool: LocalProcesses) -> None:
    runs = make_faulty_runs(small, "kill -9")
    assert len(list(pool.outcomes(runs[:1]))) == 1
    (server,) = {worker.parent() for worker in workers_of(psutil.Process())}
    assert server is not None
    server.kill()
    while is_alive(server):
        time.sleep(0.01)
    assert find_faulty_outcome(pool, runs).record.status == "failed"


@pytest.mark.parametrize(
    ("fault", "status", "cause"),
    [
        ("exception", "failed", "LookupError: no such thing \\(faulty.py, line [0-9]+\\)"),
        ("own exception", "failed", "OwnError: a person's own \\(faulty.py, line [0-9]+\\)"),
        ("no memory", "oom", "RuntimeError: .*DefaultCPUAllocator: can't allocate memory.*"),
        ("MemoryError", "oom", "MemoryError \\(faulty.py, line [0-9]+\\)"),
        ("NaN", "diverged", "the loss became infinite or no number"),
        ("infinity", "diverged", "the loss became infinite or no number"),
    ],
)
def test_an_error_in_training_is_recorded_with_its_cause_and_the_other_runs_continue(
    small, pool: LocalProcesses, fault: str, status: str, cause: str
) -> None:
    runs = make_faulty_runs(small, fault)
    found = find_faulty_outcome(pool, runs)
    assert found.record.status == status
    assert re.fullmatch(cause, found.record.cause or "")
    assert found.run.recipe.batch_size == runs[1].recipe.batch_size  # the batch size was not reduced


def start_study(folder: Path) -> Child:
    """Start a process that runs the small search in the folder to its end."""
    return fork(run_study, str(folder), cwd=folder.parent, environment=environment())


@pytest.mark.thorough
def test_a_study_killed_at_20_random_moments_of_every_phase_ends_with_the_same_table_as_without_kills(
    tmp_path: Path,
) -> None:
    assert start_study(tmp_path / "whole").wait() == 0
    rng = random.Random()
    folder = tmp_path / "parts"
    for phase in [phase for phase in (*PHASES, "look") for _ in range(4)]:
        enough = count_trials(folder)
        if phase == "look":  # the inspection stores no trial, only inside.npz
            (folder / "inside.npz").unlink(missing_ok=True)
            enough = count_trials(tmp_path / "whole")
        else:
            enough[phase] += rng.randint(0, 2)
        with start_study(folder) as parent:
            while any(count_trials(folder)[p] < enough[p] for p in PHASES) and parent.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 1 if phase == "look" else 0.05))
            parent.kill()
        # the duration of the inspection is unknown
        assert parent.returncode in ((-signal.SIGKILL, 0) if phase == "look" else (-signal.SIGKILL,))
    assert start_study(folder).wait() == 0
    assert runs_csv(ReportFolder(folder)) == runs_csv(ReportFolder(tmp_path / "whole"))
    assert count_trials(folder) == count_trials(tmp_path / "whole")  # no run was repeated
    looked = [
        dict(np.load(tmp_path / name / "inside.npz", allow_pickle=False)) for name in ("parts", "whole")
    ]
    assert looked[0].keys() == looked[1].keys()
    assert all(np.array_equal(looked[0][name], looked[1][name]) for name in looked[0])


def test_a_folder_is_locked_until_its_process_is_killed_and_the_error_names_that_process(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "small"
    with start_study(folder) as parent:
        while count_trials(folder)["tune"] < 1:
            time.sleep(0.01)
        parent.send_signal(signal.SIGSTOP)  # wherever it is
        with pytest.raises(FolderError, match=rf"in use by process {parent.pid} on \S+: wait, or choose"):
            ReportFolder(folder).lock(fresh=False)
        parent.kill()
    assert parent.returncode == -signal.SIGKILL
    ReportFolder(folder).lock(fresh=False)


class Stopped(Stub):
    """Runs that are interrupted after a number of runs."""

    stop_for = 0

    def outcomes(self, runs):
        for outcome in super().outcomes(runs):
            if len(self.ran) > self.stop_for:
                raise Interrupted(130)
            yield outcome


def run_until_interrupted(
    spec: StudySpec, path: Path, stop_after: int, blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run the study until it is interrupted, and write what an interrupted command writes."""
    conditions = Conditions(dataset=spec.dataset, data_root=None, validation=spec.validation, device="cpu")
    folder = ReportFolder(path)
    folder.lock(fresh=False)
    folder.adopt(spec)
    stub = Stopped()
    stub.stop_for = stop_after
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # on busy cores two threads would wait for each other
    conduct = Conduct(spec, lay_out(spec), folder, conditions, jobs=1, workers=stub)
    timed = 0
    try:
        for event in conduct.run_phases():
            timed += getattr(event, "phase", "") == "time"
            if blocks and timed == blocks:
                break
    except Interrupted:
        pass
    folder.write_provenance(conduct.make_provenance(measure_costs=False))
    folder.write_tables(conduct.make_tables())
    conduct.close()
    folder.release()
    writer.write(path)


SEARCH = ("design=search", "search.candidates=4", "search.generation=2", "search.finalists=1")


@pytest.mark.parametrize(
    ("overrides", "stop_after", "blocks", "missing"),
    [
        ((), 0, 0, "6 of 6 confirmation runs are still missing."),
        ((), 5, 0, "6 of 6 confirmation runs are still missing."),
        (("tuning.trials=0",), 2, 0, "4 of 6 confirmation runs are still missing."),
        (("tuning.trials=0",), 9_999, 2, "All confirmation runs are done; the throughput measurement is not finished."),
        (SEARCH, 3, 0, "3 of 3 confirmation runs are still missing."),
    ],
    ids=["before the first run", "in tuning", "in confirming", "in timing", "in searching"],
)  # fmt: skip
def test_a_partial_report_says_first_what_is_missing_whenever_the_study_was_interrupted(
    small,
    tmp_path: Path,
    overrides: tuple[str, ...],
    stop_after: int,
    blocks: int,
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_until_interrupted(small(*overrides), tmp_path / "small", stop_after, blocks, monkeypatch)
    page = (tmp_path / "small" / "report.html").read_text()
    told = f"<b>Preliminary.</b> {missing} The verdict follows when the study is complete."
    assert told in page
    assert page.index(told) < page.index("<h2>")
    assert f"**Preliminary:** {missing}" in (tmp_path / "small" / "report.md").read_text()
    assert not (tmp_path / "small" / "tables" / "comparisons.csv").exists()


def test_a_signal_waits_until_an_uninterruptible_block_has_ended() -> None:
    done = []

    def work() -> None:
        with raise_on_interrupt():
            with delay_interrupts():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("whole")
            done.append("not reached")

    with pytest.raises(Interrupted) as raised:
        work()
    assert raised.value.code == 143
    assert done == ["whole"]
