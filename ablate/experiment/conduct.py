"""Conduct a study: search, tune, confirm, time and inspect. This code yields events and prints nothing."""

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import torch

from ablate.cores import count_cores
from ablate.design.designs import Layout
from ablate.design.runs import Arm, Run
from ablate.devices.device import read_name
from ablate.execution.executor import Conditions, Outcome
from ablate.execution.workers import Workers, open_workers
from ablate.experiment.circumstances import describe_circumstances, describe_data
from ablate.experiment.events import Advanced, Event, FirstPair, Warned, describe_run
from ablate.experiment.plan import Plan, Wave
from ablate.experiment.tables import make_tables
from ablate.experiment.time_phase import Throughput
from ablate.experiment.try_arms import try_arms
from ablate.inspection.look_inside import look_inside
from ablate.records.folder import ReportFolder
from ablate.records.provenance import ArmCost, Provenance
from ablate.records.record import TIMING_KEY, Record
from ablate.records.run_records import Phase, RunRecord
from ablate.records.sqlite_record import FILE, SqliteRecord
from ablate.stats.chance import compute_ceiling
from ablate.study.spec import StudySpec
from ablate.timing.costs import Work
from ablate.timing.machine import describe_machine

MOST_AT_ONCE = 100
"""The most runs that are stored in one transaction."""
POLL_SECONDS = 1.0
"""How long a host without work waits before it looks for new results of other hosts."""


class Conduct:
    """Conducts one study on one machine: trains and times the planned runs that have no record yet."""

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
        store: Record | None = None,
    ) -> None:
        """Open the record and make the plan.

        Args:
            study: the study.
            layout: the study's arms and contrasts.
            folder: the report folder.
            conditions: the data, device and settings that all runs share.
            jobs: how many runs train at the same time.
            workers: opens the workers that train.
            alone: makes a context in which no other program of this study uses the machine.
            store: where records are stored; by default, a SQLite file in the folder.
        """
        self._study = study
        self._folder = folder
        self._conditions = conditions
        self._jobs = jobs
        self._open_workers = workers
        self._alone = alone
        self._threads = count_cores()
        self._store: Record = store or SqliteRecord(folder.path / FILE, study.name)
        self._machine = read_name(torch.device(conditions.device))
        self._work = Work(study.dataset.facts, study.validation)
        self._plan = Plan(
            study,
            layout,
            self._store.runs,
            device=conditions.device,
            compute_ceiling=lambda: compute_ceiling(describe_data(conditions.load(None))),
        )
        self._throughput = self._make_throughput([])
        self._worked = False
        self._ended = 1
        """How many runs were stored in the last transaction."""
        self._network_cautions: tuple[str, ...] | None = None

    def run_phases(self) -> Generator[Event, None, None]:
        """Do the remaining work, phase by phase. If the study is finished, do nothing."""
        for event in self._measure():
            self._worked = True
            yield event
        yield from self._look()  # inspection measures nothing, so it does not count as work

    def _measure(self) -> Iterator[Event]:
        yield from self._train()
        yield from self._time()

    def _train(self) -> Iterator[Event]:
        """Search, tune and confirm. Each wave ends before the next one starts."""
        workers: Workers | None = None
        planned: Counter[str] = Counter()
        try:
            for wave in self._plan.plan_waves():
                left = self._order(run for run in wave.runs if not self._plan.is_recorded(run))
                planned[wave.phase] += len(wave.runs)
                if left and workers is None:
                    cautions = try_arms(self._study, self._plan.layout, self._conditions.load)
                    self._network_cautions = cautions
                    yield from (Warned(text=f"{self._study.locate('model')}: {text}") for text in cautions)
                    workers = self._open_workers(self._conditions, self._jobs)
                    # Workers need seconds to import torch. This event shows that the command is running.
                    done, total = planned[wave.phase] - len(left), self._count_total(wave, planned)
                    detail = {"arm": f"{self._jobs} jobs", "detail": "starting"}
                    yield Advanced(phase=wave.phase, done=done, total=total, **detail)
                if left and workers is not None:
                    yield from self._train_wave(wave, left, workers, planned)
        finally:
            if workers is not None:
                workers.close()  # nothing else is allowed to run while throughput is timed

    def _train_wave(
        self, wave: Wave, left: list[Run], workers: Workers, planned: Counter[str]
    ) -> Iterator[Event]:
        """Train a wave's remaining runs. If hosts share the record, each host trains the runs it claims."""
        done, total = planned[wave.phase] - len(left), self._count_total(wave, planned)
        announced = wave.phase != Phase.CONFIRM or self._plan.has_first_pair()
        while left:
            for record in self._record(workers.outcomes(self._claim(left))):
                done += 1
                yield describe_run(wave.phase, done, total, record)
                if not announced and self._plan.has_first_pair():
                    announced = True
                    yield FirstPair()
            left = self._list_left_by_others(left)
            done = planned[wave.phase] - len(left)

    def _time(self) -> Iterator[Event]:
        """Measure each arm's throughput. Arms alternate, and nothing else runs on the machine."""
        arms = self._plan.list_trained_arms()
        if self._plan.layout.arms[0] not in arms:
            return  # without a trained baseline, no arm has a ratio to the baseline
        while not self._store.claim(TIMING_KEY):
            time.sleep(POLL_SECONDS)
        self._store.refresh()
        self._throughput = self._make_throughput(arms)
        if not self._throughput.is_complete():
            self._store.set_timing_machine(self._machine)
            with self._alone():
                for done, total, block in self._throughput.measure():
                    speed = f"{block.examples / block.seconds:,.0f} examples/s"
                    yield Advanced(phase="time", done=done, total=total, arm=block.arm, detail=speed)
            # Other hosts' reports show these costs, so the costs are shared before those hosts continue.
            if self._store.shared:
                self._store.share_provenance(self.make_provenance().to_dict())
        self._store.release(TIMING_KEY)

    def _look(self) -> Iterator[Event]:
        """Store which classes the trained networks confuse, and what their layers compute."""
        firsts = [self._plan.make_first_run(arm) for arm in self._plan.layout.arms]
        kept = [run for run in firsts if self._folder.locate_checkpoint(run.arm.slug).exists()]
        trained = {self._plan.key(run): run for run in kept if self._plan.is_recorded(run)}
        for done, arm in enumerate(look_inside(self._folder, trained, self._conditions.load), start=1):
            yield Advanced(phase="look", done=done, total=len(trained), arm=arm, detail="looked inside")

    @property
    def is_timed_elsewhere(self) -> bool:
        """Whether another host timed the arms. In this case, the record has the provenance of that host."""
        return bool(self._store.find_foreign_provenance(self._machine))

    def replay(self) -> None:
        """Go through the plan up to the first run without a record. Nothing is trained or timed."""
        for wave in self._plan.plan_waves():
            if not all(map(self._plan.is_recorded, wave.runs)):
                return
        self._throughput = self._make_throughput(self._plan.list_trained_arms())

    def close(self) -> None:
        """Close the record."""
        self._store.close()

    def make_tables(self) -> dict[str, pd.DataFrame]:
        """Make the tables that a report is made from."""
        return make_tables(self._plan, self._throughput.list_blocks(), self._folder.path)

    def make_provenance(self, *, measure_costs: bool = True) -> Provenance:
        """Describe where the recorded results come from.

        Measuring the cost of an arm takes two training steps. Without `measure_costs` only costs that are
        already known are included.
        """
        elsewhere = self._store.find_foreign_provenance(self._machine)
        kept = Provenance.from_dict(elsewhere) if elsewhere else self._folder.read_provenance()
        machine = describe_machine(torch.device(self._conditions.device), self._threads, self._jobs)
        if kept and (elsewhere or not self._worked):  # keep the machine that measured the recorded values
            machine = kept.machine
        known = kept.arms if kept else {}
        costs = {arm.name: known.get(arm.name, ArmCost()) for arm in self._plan.layout.arms}
        if measure_costs:
            for arm in self._plan.list_trained_arms():
                costs[arm.name] = self._throughput.measure_cost(
                    self._plan.make_first_run(arm), costs[arm.name]
                )
        cautions = self._network_cautions
        if cautions is None:  # nothing was left to train, so no arm was tried
            cautions = kept.network_cautions if kept else ()
        provenance = describe_circumstances(
            self._plan, machine, self._conditions.load(None), costs, self._conditions.plugins
        )
        return replace(provenance, network_cautions=cautions)

    def _count_total(self, wave: Wave, planned: Counter[str]) -> int:
        """Count the runs that the wave's phase will have in total, as far as this is known already."""
        return self._study.search.candidates if wave.phase == Phase.SEARCH else planned[wave.phase]

    def _order(self, runs: Iterable[Run]) -> list[Run]:
        """Sort by seed, so that complete pairs exist early. Within a seed, put the longest run first.

        With this order the last runs are short, and no core is idle for long at the end.
        """
        return sorted(runs, key=lambda run: (run.seed, -self._work.count_flops(run)))

    def _claim(self, runs: Iterable[Run]) -> Iterator[Run]:
        """Claim runs as they are asked for: as many at once as have just ended, because so many begin."""
        waiting = iter(runs)
        while some := {self._plan.key(run): run for run in islice(waiting, self._ended)}:
            yield from (some[key] for key in self._store.claim(*some))

    def _list_left_by_others(self, runs: Sequence[Run]) -> list[Run]:
        """List the runs that no host has recorded yet. If there are any, then wait a moment."""
        self._store.refresh()
        left = [run for run in runs if not self._plan.is_recorded(run)]
        if left:
            time.sleep(POLL_SECONDS)
        return left

    def _record(self, outcomes: Iterable[Outcome]) -> Iterator[RunRecord]:
        """Store the outcomes, and yield the record of each outcome that is stored.

        Outcomes that are ready at the same time are stored in one transaction. No outcome waits for a run.
        """
        ready: dict[str, RunRecord] = {}
        try:
            for outcome in outcomes:
                self._write_files(outcome)
                ready[self._plan.key(outcome.run)] = outcome.record
                if not outcome.more_ready or len(ready) == MOST_AT_ONCE:
                    stored, ready = ready, {}
                    self._store.add(stored)
                    self._ended = len(stored)
                    yield from stored.values()
        finally:
            if ready:  # the workers ended with an error
                self._store.add(ready)

    def _write_files(self, outcome: Outcome) -> None:
        slug, seed = outcome.run.arm.slug, outcome.run.seed
        # The files are written before the record, because a run with a record is never trained again.
        if outcome.checkpoint is not None:
            self._folder.write_checkpoint(slug, outcome.checkpoint)
        if outcome.predictions is not None:
            self._folder.write_predictions(slug, seed, outcome.predictions, self._read_test_labels)

    def _read_test_labels(self) -> np.ndarray[Any, Any]:
        return self._conditions.load(None).test_labels.cpu().numpy()

    def _make_throughput(self, arms: Iterable[Arm]) -> Throughput:
        runs = [self._plan.make_first_run(arm) for arm in arms]
        return Throughput(self._study, runs, self._conditions, self._store, self._threads)
