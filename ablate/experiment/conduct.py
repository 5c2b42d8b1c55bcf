"""Search, tune, confirm, time: what is done, what is left. Emits events; prints and draws nothing."""

import os
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd
import torch

from ablate import models
from ablate.design.arms import grid_of
from ablate.design.designs import Layout, confirm_runs
from ablate.design.runs import Arm, Run, Setting
from ablate.execution.executor import Conditions
from ablate.execution.workers import Workers, open_workers
from ablate.experiment.time_phase import Throughput
from ablate.inspection import inside
from ablate.records.folder import ReportFolder
from ablate.records.record import TIMING, RecordStore
from ablate.records.run_records import RunRecord, TuningOutcome
from ablate.records.tables import epochs_frame, frame, runs_frame
from ablate.search.generations import Generations
from ablate.study.spec import StudySpec
from ablate.timing.costs import Work
from ablate.timing.machine import device_name, environment
from ablate.tuning.rule import Choice, Trial, advance

POLL_SECONDS = 1.0
"""So often a host that has nothing left to do looks what has become of the others' runs."""


@dataclass(frozen=True, kw_only=True)
class Advanced:
    """So much of a phase is done; `arm` and `detail` tell of the latest run or timing block."""

    phase: str
    done: int
    total: int
    arm: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class FirstPair:
    """Every arm has its first confirmed seed: a preliminary report can be written."""


Event = Advanced | FirstPair


class Conduct:
    """One study on one machine, from what is on record to what the report needs."""

    def __init__(
        self,
        study: StudySpec,
        layout: Layout,
        folder: ReportFolder,
        conditions: Conditions,
        *,
        jobs: int,
        workers: Callable[[Conditions, int], Workers] = open_workers,
        alone: Callable[[], AbstractContextManager[None]] = nullcontext,
        store: RecordStore | None = None,
    ) -> None:
        """Within `alone` nobody else works on this machine; `store` keeps the record, if not the folder."""
        self.study = study
        self.layout = layout
        self._folder = folder
        self._conditions = conditions
        self._jobs = jobs
        self._open_workers = workers
        self._alone = alone
        self._threads = os.cpu_count() or 1
        self._store = store or RecordStore(folder.path / "study.db", study.name)
        self._machine = device_name(torch.device(conditions.device))
        self._planned: dict[str, Run] = {}
        self._work = Work(study.dataset.facts, study.validation)
        self._choices: dict[str, Choice] = {}
        self._generations = Generations(study)
        self._throughput = self._throughput_of([])
        self._worked = False

    def events(self) -> Generator[Event, None, None]:
        """Do what is left to do, phase by phase; a finished study does nothing."""
        for event in self._phases():
            self._worked = True
            yield event
        yield from self._look()

    def _phases(self) -> Iterator[Event]:
        workers: Workers | None = None
        try:
            so_far: Counter[str] = Counter()
            for runs, phase in self._waves():
                left = [run for run in self._packed(runs) if self._key(run) not in self._store.runs]
                so_far[phase] += len(runs)
                done = so_far[phase] - len(left)
                total = self.study.search.candidates if phase == "search" else so_far[phase]
                if left and workers is None:
                    workers = self._open_workers(self._conditions, self._jobs)
                    # They take seconds to import torch; nobody should wonder whether anything happens.
                    yield Advanced(
                        phase=phase, done=done, total=total, arm=f"{self._jobs} jobs", detail="starting"
                    )
                announced = phase != "confirm" or self._first_pair_on_record()
                while left and workers is not None:
                    for outcome in workers.outcomes(filter(self._claim, left)):
                        self._record(outcome.run, outcome.record, outcome.checkpoint)
                        done += 1
                        yield _advanced(phase, done, total, outcome.record)
                        if not announced and self._first_pair_on_record():
                            announced = True
                            yield FirstPair()
                    left = self._left_by_others(left)
                    done = so_far[phase] - len(left)
        finally:
            # Timing wants the machine to itself.
            if workers is not None:
                workers.close()
        yield from self._time()

    def _time(self) -> Iterator[Event]:
        trained = [arm for arm in self.layout.arms if self._completes(arm)]
        if self.layout.arms[0] not in trained:
            return  # without the baseline there is nothing to alternate with
        while not self._store.claim(TIMING):
            time.sleep(POLL_SECONDS)
        self._store.refresh()
        self._throughput = self._throughput_of(trained)
        if not self._throughput.complete():
            self._store.time_here(self._machine)
            with self._alone():
                for done, total, block in self._throughput.measure():
                    speed = f"{block.examples / block.seconds:,.0f} examples/s"
                    yield Advanced(phase="time", done=done, total=total, arm=block.arm, detail=speed)
            if self._store.shared:  # before the others may go on, which want to tell what it cost
                self._store.keep(environment=self.facts())
        self._store.release(TIMING)

    def _look(self) -> Iterator[Event]:
        """What the trained networks confuse and see; nothing of it is measured, so it may be made up for."""
        firsts = [self._first_run(arm) for arm in self.layout.arms]
        left = [run for run in firsts if self._folder.checkpoint(run.arm.slug).exists()]
        trained = {self._key(run): run for run in left if self._key(run) in self._store.runs}
        for done, arm in enumerate(inside.keep(self._folder, trained, self._conditions.load), start=1):
            yield Advanced(phase="look", done=done, total=len(trained), arm=arm, detail="looked inside")

    @property
    def timed_elsewhere(self) -> bool:
        """Whether what is known of the machine that timed is another host's to tell."""
        return bool(self._store.elsewhere(self._machine))

    def replay(self) -> None:
        """Plan as far as what is on record goes; nothing is run, nothing is timed."""
        for runs, _ in self._waves():
            if any(self._key(run) not in self._store.runs for run in runs):
                return
        self._throughput = self._throughput_of(arm for arm in self.layout.arms if self._completes(arm))

    def close(self) -> None:
        """Let go of the record."""
        self._store.close()

    def tables(self) -> dict[str, pd.DataFrame]:
        """What is on record of this study's runs, as the tables a report is made from."""
        # A record made before a factor was added does not know it; the plan does.
        records = [
            replace(record, values={**run.arm.factors, **run.setting}) for run, record in self._recorded()
        ]
        values = list(dict.fromkeys([*self.study.factor_names, *self.study.tuning.ranges]))
        return {
            "runs": runs_frame(records, values),
            "epochs": epochs_frame(records),
            "tuning": frame("tuning", (asdict(row) for row in self._tuning_rows())),
            "timing": frame("timing", (asdict(block) for block in self._throughput.blocks())),
        }

    def facts(self, *, weigh: bool = True) -> dict[str, Any]:
        """Environment, data and each arm's cost, for `environment.json`.

        Without `weigh` only costs that are known already: an arm's takes two of its training steps.
        """
        device = torch.device(self._conditions.device)
        elsewhere = self._store.elsewhere(self._machine)
        kept = elsewhere or self._folder.environment()
        machine = {**environment(device, self._threads), "jobs": self._jobs}
        if elsewhere or not self._worked:  # the figures are those of the machine that measured them
            machine = {key: kept.get(key, value) for key, value in machine.items()}
        costs = {arm.name: kept.get("arms", {}).get(arm.name, {}) for arm in self.layout.arms}
        for arm in self.layout.arms:
            if weigh and self._completes(arm):
                costs[arm.name] = self._throughput.cost(self._first_run(arm), costs[arm.name])
        dataset = self._conditions.load(None)
        records = [record for _, record in self._recorded()]
        engines = [record.engine for record in records if record.engine]
        of_models = sorted({arm.model for arm in self.layout.arms})
        return {
            **machine,
            "engines": {name: engines.count(name) for name in sorted(set(engines))},
            "data": {
                "dataset": dataset.name,
                "test_images": len(dataset.test_labels),
                "classes": list(dataset.classes),
                # Who always names the commonest class is right this often.
                "chance": dataset.test_labels.bincount().max().item() / len(dataset.test_labels),
                "sha256": dataset.checksums,
            },
            "arms": costs,
            "networks": {
                arm.name: {"model": arm.model, **models.keywords(arm.model), **arm.keywords}
                for arm in self.layout.arms
            },
            # Only a person's own networks have code that may change while their weights stay.
            "code": {model: code for model in of_models if (code := models.fingerprint(model))},
            "plugins": list(self._conditions.plugins),
            "contrasts": [list(pair) for pair in self.layout.contrasts],
            "left_out": dict(self.layout.left_out),
            "search": self._generations.facts(),
            "mixed_engines": self._mixed_engines(),
            "causes": {f"{r.phase} {r.arm} {r.setting} seed {r.seed}": r.cause for r in records if r.cause},
        }

    def _waves(self) -> Iterator[tuple[list[Run], str]]:
        """Sets of runs that may go on side by side: each tuning stage, then everything to confirm."""
        if self.study.design == "search":
            for runs in self._generations.waves(lambda run: self._store.runs[self._key(run)]):
                yield runs, "search"
                self._planned.update((self._key(run), run) for run in runs)
            self.layout = self._generations.layout()
        if self.study.tuning.active:
            grids = {arm.name: grid_of(self.study, arm) for arm in self.layout.arms}
            while True:
                wanted = advance(grids, self._scores())
                if isinstance(wanted, dict):
                    self._choices = wanted
                    break
                by_name = {arm.name: arm for arm in self.layout.arms}
                runs = [_tuning_run(by_name[trial.arm], trial) for trial in wanted]
                yield runs, "tune"
                self._planned.update((self._key(run), run) for run in runs)
            chosen: dict[str, Setting] = {name: choice.chosen for name, choice in self._choices.items()}
        else:
            chosen = {arm.name: {} for arm in self.layout.arms}
        runs = confirm_runs(self.study, self.layout.arms, chosen)
        self._planned.update((self._key(run), run) for run in runs)
        yield runs, "confirm"

    def _claim(self, run: Run) -> bool:
        return self._store.claim(self._key(run))

    def _left_by_others(self, runs: Sequence[Run]) -> list[Run]:
        """What other hosts have neither put on record nor, as far as this one knows, given up."""
        self._store.refresh()
        left = [run for run in runs if self._key(run) not in self._store.runs]
        if left:
            time.sleep(POLL_SECONDS)
        return left

    def _packed(self, runs: Sequence[Run]) -> list[Run]:
        """Seed after seed, so that pairs are complete early, and in each the longest run first.

        Then what is left for the last free worker is short, and no core idles long at the end.
        """
        return sorted(runs, key=lambda run: (run.seed, -self._work.of(run)))

    def _scores(self) -> dict[Trial, float]:
        return {
            Trial(arm=run.arm.name, setting=tuple(run.setting.items()), seed=run.seed): (
                self._store.runs[key].validation_accuracy or 0.0
            )
            for key, run in self._planned.items()
            if run.phase == "tune"
        }

    def _key(self, run: Run) -> str:
        return run.key(self.study, self._conditions.device)

    def _record(self, run: Run, record: RunRecord, checkpoint: bytes | None) -> None:
        if checkpoint is not None:  # before the record: what is on record is never made again
            self._folder.write_checkpoint(run.arm.slug, checkpoint)
        self._store.add_run(self._key(run), record)

    def _recorded(self, *phases: str) -> Iterator[tuple[Run, RunRecord]]:
        """The planned runs that are on record, of the named phases or of all."""
        for key, run in self._planned.items():
            if key in self._store.runs and (not phases or run.phase in phases):
                yield run, self._store.runs[key]

    def _first_pair_on_record(self) -> bool:
        firsts = [key for key, run in self._planned.items() if run.phase == "confirm" and run.seed == 0]
        return bool(firsts) and all(key in self._store.runs for key in firsts)

    def _first_run(self, arm: Arm) -> Run:
        """The arm as it is confirmed: what is timed and weighed."""
        choice = self._choices.get(arm.name)
        return Run(phase="confirm", arm=arm, setting=choice.chosen if choice else {}, seed=0)

    def _throughput_of(self, arms: Iterable[Arm]) -> Throughput:
        runs = [self._first_run(arm) for arm in arms]
        return Throughput(self.study, runs, self._conditions, self._store, self._threads)

    def _mixed_engines(self) -> list[str]:
        """Arms whose confirmed runs were made by more than one engine."""
        engines: dict[str, set[str]] = {}
        for run, record in self._recorded("confirm"):
            engines.setdefault(run.arm.name, set()).add(record.engine)
        return [name for name, used in engines.items() if len(used - {""}) > 1]

    def _completes(self, arm: Arm) -> bool:
        """Whether any confirmed run of the arm came to its end: what cannot be trained cannot be timed."""
        return any(
            run.arm == arm and record.status in ("complete", "diverged")
            for run, record in self._recorded("confirm")
        )

    def _tuning_rows(self) -> Iterator[TuningOutcome]:
        tuned = [record for _, record in self._recorded("tune")]
        for arm, choice in self._choices.items():
            of_arm = [record for record in tuned if record.arm == arm]
            for name in choice.chosen:
                tried = [point[name] for point in choice.tried]
                yield TuningOutcome(
                    arm=arm,
                    parameter=name,
                    best=choice.best[name],
                    chosen=choice.chosen[name],
                    low=min(tried),
                    high=max(tried),
                    at_edge=choice.at_edge,
                    extended=choice.extended,
                    trials=len(of_arm),
                    failed=sum(record.status in ("failed", "oom") for record in of_arm),
                    diverged=sum(record.status == "diverged" for record in of_arm),
                )


def _tuning_run(arm: Arm, trial: Trial) -> Run:
    return Run(phase="tune", arm=arm, setting=dict(trial.setting), seed=trial.seed)


def _advanced(phase: str, done: int, total: int, record: RunRecord) -> Advanced:
    accuracy = record.validation_accuracy if record.test_accuracy is None else record.test_accuracy
    failure = f"{record.status}, {record.cause}" if record.cause else record.status
    outcome = failure if accuracy is None else f"accuracy {accuracy:.3f}"
    return Advanced(
        phase=phase,
        done=done,
        total=total,
        arm=record.arm,
        detail=f"{record.setting} seed {record.seed}: {outcome}",
    )
