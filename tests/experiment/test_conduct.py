"""A study continues from its recorded runs, and an arm that cannot be trained does not stop it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from ablate.design.designs import lay_out
from ablate.design.runs import Run, name_setting
from ablate.errors import FolderError
from ablate.execution.executor import Conditions, Outcome
from ablate.execution.workers import Workers
from ablate.experiment.conduct import Conduct
from ablate.experiment.events import Advanced, FirstPair, Warned
from ablate.records.folder import ReportFolder
from ablate.records.record import Record
from ablate.records.run_records import RunRecord
from ablate.report import writer
from ablate.report.cautions import list_cautions
from ablate.report.conditions import list_conditions
from ablate.report.evidence import gather
from ablate.study import study_file
from ablate.study.spec import StudySpec
from tests.conftest import SMALL


class Stub:
    """Workers whose runs take no time: an accuracy that is a function of arm, rate and seed."""

    def __init__(self, fail: str = "", stop_after: int = 10_000) -> None:
        self.fail = fail
        self.stop_after = stop_after
        self.ran: list[str] = []

    def __call__(self, conditions: Conditions, jobs: int) -> "Stub":
        return self

    def outcomes(self, runs: Sequence[Run]) -> Iterator[Outcome]:
        for run in runs:
            if len(self.ran) == self.stop_after:
                raise KeyboardInterrupt
            self.ran.append(f"{run.phase} {run.arm.name} {name_setting(run.setting)} {run.seed}")
            yield Outcome(run=run, record=self.record(run))

    def record(self, run: Run) -> RunRecord:
        crashed = run.arm.name == self.fail
        accuracy = None if crashed else 0.8 + 0.001 * ((run.seed * 7 + len(run.arm.name)) % 10)
        return RunRecord(
            phase=run.phase,
            arm=run.arm.name,
            setting=name_setting(run.setting),
            seed=run.seed,
            values={**run.arm.factors, **run.setting},
            status="oom" if crashed else "complete",
            engine="stub",
            validation_accuracy=accuracy,
            test_accuracy=accuracy if run.phase == "confirm" else None,
            train_loss=None if crashed else 0.5,
            train_accuracy=accuracy,
        )

    def close(self) -> None:
        """Nothing to stop."""


def conduct(
    spec: StudySpec, path: Path, workers: Callable[[Conditions, int], Workers]
) -> tuple[list[Advanced | FirstPair], ReportFolder]:
    """Do what is left of the study in the folder and write what a report is made from."""
    with conducting(spec, path, workers) as (conducted, folder, added):
        events = list(conducted.run_phases())
        folder.write_provenance(replace(conducted.make_provenance(), changed_after_answer=added))
        folder.write_tables(conducted.make_tables())
    return events, folder


@contextmanager
def conducting(
    spec: StudySpec,
    path: Path,
    workers: Callable[[Conditions, int], Workers],
    store: Record | None = None,
    alone: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[tuple[Conduct, ReportFolder, tuple[str, ...]]]:
    """The study about to be conducted in the folder, which is held, and what was changed after an answer."""
    conditions = Conditions(dataset=spec.dataset, data_root=None, validation=spec.validation, device="cpu")
    folder = ReportFolder(path)
    folder.lock(fresh=False)
    try:
        added = folder.adopt(spec)
        with pytest.MonkeyPatch.context() as patched:
            # Two threads on cores that other tests keep busy wait for each other in every timed step.
            patched.setenv("OMP_NUM_THREADS", "1")
            conducted = Conduct(
                spec, lay_out(spec), folder, conditions, jobs=1, workers=workers, alone=alone, store=store
            )
        try:
            yield conducted, folder, added
        finally:
            conducted.close()
    finally:
        folder.release()


def runs_csv(folder: ReportFolder) -> bytes:
    return (folder.path / "tables" / "runs.csv").read_bytes()


def test_phases_follow_each_other_and_the_first_pair_is_told_once(small, tmp_path: Path) -> None:
    events, _ = conduct(small(), tmp_path / "small", Stub())
    phases = list(dict.fromkeys(event.phase for event in events if isinstance(event, Advanced)))
    assert phases == ["tune", "confirm", "time"]
    pair = events.index(FirstPair())
    assert [e.arm for e in events[pair - 2 : pair] if isinstance(e, Advanced)] == ["baseline", "pooling=max"]
    assert events.count(FirstPair()) == 1


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of runs of the small study, never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "small.yaml").write_text(SMALL)
    spec = study_file.read(folder / "small.yaml", ["timing.blocks=0"])
    return runs_csv(conduct(spec, folder / "whole", Stub())[1])


@pytest.mark.parametrize(
    "stop_after", [5, 15, *(pytest.param(runs, marks=pytest.mark.thorough) for runs in (0, 10, 20, 25))]
)
def test_wherever_it_is_stopped_it_ends_the_same_and_runs_nothing_twice(
    small, whole: bytes, tmp_path: Path, stop_after: int
) -> None:
    spec, first, second = small("timing.blocks=0"), Stub(stop_after=stop_after), Stub()
    try:
        conduct(spec, tmp_path / "parts", first)
    except KeyboardInterrupt:
        conduct(spec, tmp_path / "parts", second)
    assert runs_csv(ReportFolder(tmp_path / "parts")) == whole
    assert not set(first.ran) & set(second.ran)


# These runs differ by exactly 0, 0.1 or 0.9 points, so that the looks after 3 and 5 seeds go on.
WITH_LOOKS = ("seeds={looks: [3, 5, 8, 30]}", "tuning.trials=0", "timing.blocks=0")


@pytest.fixture(scope="module")
def whole_with_looks(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of runs of a study with looks, never stopped but by itself."""
    folder = tmp_path_factory.mktemp("looks")
    (folder / "small.yaml").write_text(SMALL)
    whole = Stub()
    _, at_once = conduct(study_file.read(folder / "small.yaml", WITH_LOOKS), folder / "whole", whole)
    evidence = gather(at_once.path)
    assert not evidence.preliminary
    seeds = evidence.tables["looks"]["look_seeds"].tolist()
    assert len(seeds) > 1
    assert seeds[-1] < 30
    assert len(whole.ran) == 2 * seeds[-1]
    return runs_csv(at_once)


@pytest.mark.parametrize(
    "stop_after", [8, *(pytest.param(runs, marks=pytest.mark.thorough) for runs in (3, 13, 19))]
)
def test_a_study_with_looks_stops_by_itself_and_ends_the_same_wherever_it_is_interrupted(
    small, whole_with_looks: bytes, tmp_path: Path, stop_after: int
) -> None:
    spec, first, second = small(*WITH_LOOKS), Stub(stop_after=stop_after), Stub()
    with suppress(KeyboardInterrupt):
        conduct(spec, tmp_path / "parts", first)
    conduct(spec, tmp_path / "parts", second)
    assert runs_csv(ReportFolder(tmp_path / "parts")) == whole_with_looks
    assert not set(first.ran) & set(second.ran)


@pytest.mark.thorough
def test_more_seeds_at_most_continue_a_study_with_looks(small, tmp_path: Path) -> None:
    short, long = (small(f"seeds={{looks: [3, {n}]}}", *WITH_LOOKS[1:]) for n in (4, 6))
    conduct(short, tmp_path / "grown", Stub())
    more = Stub()
    _, grown = conduct(long, tmp_path / "grown", more)
    _, whole = conduct(long, tmp_path / "whole", Stub())
    assert runs_csv(grown) == runs_csv(whole)
    with pytest.raises(FolderError, match=r"has seeds\.looks \[3, 6\], the new study has \[3, 4\]"):
        conduct(short, tmp_path / "grown", Stub())


@pytest.mark.usefixtures("undrawn")
def test_a_first_seed_moves_the_runs_that_decide_and_nothing_else(small, tmp_path: Path) -> None:
    """The stub's accuracies repeat every ten seeds. So the same looks and verdicts follow from seed 20 on."""
    options = (WITH_LOOKS[0], "timing.blocks=0")
    usual, moved = Stub(), Stub()
    _, old = conduct(small(*options), tmp_path / "old", usual)
    _, new = conduct(small(*options, "first_seed=20"), tmp_path / "new", moved)

    def list_seeds(stub: Stub, phase: str) -> list[int]:
        return [int(ran.split()[-1]) for ran in stub.ran if ran.startswith(phase)]

    assert list_seeds(moved, "confirm") == [seed + 20 for seed in list_seeds(usual, "confirm")]
    assert list_seeds(moved, "tune") == list_seeds(usual, "tune") != []
    before, after = (writer.write(folder.path) for folder in (old, new))
    for name in ("comparisons", "looks"):
        assert before.tables[name].to_csv() == after.tables[name].to_csv()
    verdict = (old.path / "report.md").read_text().split("## ")[0]
    assert verdict == (new.path / "report.md").read_text().split("## ")[0]
    assert "Seeds: the runs that decide the verdicts have the seeds from 20 on." in list_conditions(after)
    assert "Seeds:" not in " ".join(list_conditions(before))
    with pytest.raises(FolderError, match="has first_seed 20, the new study has 0"):
        conduct(small(*options), tmp_path / "new", Stub())


@pytest.mark.thorough
def test_tuning_chooses_by_the_metric_that_decides(small, tmp_path: Path) -> None:
    """The accuracy is the same for every learning rate. The loss falls with it, the calibration error rises."""

    class Scored(Stub):
        def record(self, run: Run) -> RunRecord:
            rate = float(dict(run.setting)["learning_rate"]) if run.setting else 0.0
            metrics = {"log_loss": 0.5 - rate, "calibration_error": rate, "accuracy": 0.8}
            record = replace(super().record(run), validation_accuracy=0.8, validation_metrics=metrics)
            return replace(record, test_metrics=metrics if run.phase == "confirm" else {})

    chosen = {}
    for metric in ("accuracy", "log_loss", "calibration_error"):
        _, folder = conduct(
            small(f"decision.metric={metric}", "timing.blocks=0"), tmp_path / metric, Scored()
        )
        tuned = gather(folder.path).tables["tuning"]
        chosen[metric] = set(tuned["chosen"])
        highest = set(tuned["high"])
    assert chosen["log_loss"] == chosen["calibration_error"] == highest  # tuned by the loss
    assert chosen["accuracy"] != highest


def test_the_longest_run_of_a_seed_goes_first_so_that_no_core_idles_at_the_end(small, tmp_path: Path) -> None:
    spec = small(
        "factors={epochs: [2, 4], kernel_size: [5, 3]}", "tuning.trials=0", "seeds=2", "timing.blocks=0"
    )
    stub = Stub()
    conduct(spec, tmp_path / "small", stub)
    order = [(ran.split()[-1], ran.split()[1]) for ran in stub.ran]
    by_length = ["epochs=4", "baseline", "kernel_size=3"]
    assert order == [(seed, arm) for seed in "01" for arm in by_length]


def test_what_the_try_out_tells_reaches_the_terminal_and_the_report_for_good(
    small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ablate.experiment.conduct.try_arms", lambda *_: ("all arms: a network seeds itself",)
    )
    spec = small("timing.blocks=0")
    events, folder = conduct(spec, tmp_path / "report", Stub())
    (warned,) = (event for event in events if isinstance(event, Warned))
    assert warned.text.endswith(": model: all arms: a network seeds itself")
    assert "All arms: a network seeds itself." in list_cautions(gather(folder.path))
    conduct(spec, tmp_path / "report", Stub())  # tries nothing, because nothing is left to train
    assert "All arms: a network seeds itself." in list_cautions(gather(folder.path))


def test_a_finished_study_asks_for_nothing(small, tmp_path: Path) -> None:
    _, folder = conduct(small(), tmp_path / "small", Stub())
    table, idle = runs_csv(folder), Stub()
    assert conduct(small(), tmp_path / "small", idle)[0] == []
    assert idle.ran == []
    assert runs_csv(folder) == table


def test_more_seeds_or_arms_run_only_what_is_new_and_end_as_if_asked_at_once(small, tmp_path: Path) -> None:
    wider = ("seeds=5", "factors={pooling: [avg, max, none], activation: [sigmoid, relu]}", "timing.blocks=0")
    conduct(small("timing.blocks=0"), tmp_path / "grown", Stub())
    more = Stub()
    _, grown = conduct(small(*wider), tmp_path / "grown", more)
    at_once = Stub()
    _, whole = conduct(small(*wider), tmp_path / "whole", at_once)
    assert runs_csv(grown) == runs_csv(whole)
    assert 0 < len(more.ran) < len(at_once.ran)


@pytest.mark.usefixtures("undrawn")
def test_an_arm_that_runs_out_of_memory_does_not_keep_the_others_from_a_report(small, tmp_path: Path) -> None:
    spec = small("factors={pooling: [avg, max, none]}")
    _, folder = conduct(spec, tmp_path / "small", Stub(fail="pooling=max"))
    evidence = writer.write(folder.path)
    assert not evidence.preliminary
    verdicts = evidence.tables["comparisons"].set_index("arm")["verdict"]
    assert verdicts["pooling=max"] == "no verdict"
    assert verdicts["pooling=none"] != "no verdict"
    assert set(evidence.tables["timing"]["arm"]) == {"baseline", "pooling=none"}
    assert evidence.failed_runs > 0
