"""Conduct all phases of a study: search, tune, confirm, time, inspect. This module only yields events."""

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
from ablate.experiment.kept_epochs import warn_of_unkept
from ablate.experiment.plan import Plan, Wave
from ablate.experiment.tables import make_tables
from ablate.experiment.time_phase import Throughput
from ablate.experiment.try_arms import try_arms
from ablate.inspection.look_inside import look_inside
from ablate.records.folder import ReportFolder
from ablate.records.provenance import ArmCost, Provenance, add_waiting_times
from ablate.records.record import TIMING_KEY, Record
from ablate.records.run_records import TRAINED, Phase, RunRecord
from ablate.records.sqlite_record import FILE, SqliteRecord
from ablate.stats.chance import compute_ceiling
from ablate.study.spec import StudySpec
from ablate.timing.costs import Work
from ablate.timing.machine import describe_machine

MOST_AT_ONCE = 100
"""The maximum number of runs that are stored in one transaction."""
POLL_SECONDS = 1.0
"""If a host has no run to train, it waits this many seconds before it reads new results of other hosts."""


class Conduct:
    """Conducts one study on one machine: trains all runs and makes all measurements without a record."""

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
            conditions: the data, the device and the settings that all runs share.
            jobs: the number of runs that train at the same time.
            workers: opens the workers that train the runs.
            alone: makes a context in which no other program of this study uses the machine.
            store: the record that stores results. By default, the record is a SQLite file in the folder.
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
        """The number of runs that the last transaction stored."""
        self._network_cautions: tuple[str, ...] | None = None

    def run_phases(self) -> Generator[Event, None, None]:
        """Do all work of the study that has no record yet, one phase after the other."""
        for event in self._measure():
            self._worked = True
            yield event
        yield from self._look()  # inspection gives no results of the study, so it does not count as work

    def _measure(self) -> Iterator[Event]:
        yield from self._train()
        yield from self._time()

    def _train(self) -> Iterator[Event]:
        """Search, tune and confirm. Each wave (group of runs) ends before the next wave starts."""
        workers: Workers | None = None
        planned: Counter[str] = Counter()
        try:
            for wave in self._plan.plan_waves():
                left = self._order(run for run in wave.runs if not self._plan.is_recorded(run))
                planned[wave.phase] += len(wave.runs)
                unkept = warn_of_unkept(self._study, wave.runs, self._lacks_epoch_weights)
                yield from (Warned(text=text) for text in unkept)
                if left and workers is None:
                    cautions = try_arms(self._study, self._plan.layout, self._conditions.load)
                    self._network_cautions = cautions
                    yield from (Warned(text=f"{self._study.locate('model')}: {text}") for text in cautions)
                    workers = self._open_workers(self._conditions, self._jobs)
                    # Workers need seconds to import torch. This event shows the user that they are starting.
                    done, total = planned[wave.phase] - len(left), self._count_total(wave, planned)
                    detail = {"arm": f"{self._jobs} jobs", "detail": "starting"}
                    yield Advanced(phase=wave.phase, done=done, total=total, **detail)
                if left and workers is not None:
                    yield from self._train_wave(wave, left, workers, planned)
        finally:
            if workers is not None:
                workers.close()  # workers would disturb the measurement of throughput

    def _train_wave(
        self, wave: Wave, left: list[Run], workers: Workers, planned: Counter[str]
    ) -> Iterator[Event]:
        """Train a wave's remaining runs.

        If several hosts share the record, each host trains only the runs that it claims.
        """
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
            return  # throughput is reported as a ratio to the baseline, which did not train
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
            # The reports of other hosts show the costs, too. So share the costs before other hosts continue.
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
        """Whether another host timed the arms. Then the record has that host's description of the results."""
        return bool(self._store.find_foreign_provenance(self._machine))

    def replay(self) -> None:
        """Go through the plan's waves (groups of runs) up to the first wave with a run that has no record.

        Nothing is trained or timed.
        """
        for wave in self._plan.plan_waves():
            if not all(map(self._plan.is_recorded, wave.runs)):
                return
        self._throughput = self._make_throughput(self._plan.list_trained_arms())

    def close(self) -> None:
        """Close the record."""
        self._store.close()

    def make_tables(self) -> dict[str, pd.DataFrame]:
        """Make the tables from which the report is written."""
        return make_tables(self._plan, self._throughput.list_blocks(), self._folder.path)

    def make_provenance(self, *, measure_costs: bool = True) -> Provenance:
        """Describe how the recorded results were made.

        If `measure_costs` is True, arms whose costs are unknown are measured. This takes two training steps
        for each arm. Otherwise, unknown costs are left out.
        """
        elsewhere = self._store.find_foreign_provenance(self._machine)
        kept = Provenance.from_dict(elsewhere) if elsewhere else self._folder.read_provenance()
        machine = describe_machine(torch.device(self._conditions.device), self._threads, self._jobs)
        # If another host timed the arms, or if this command measured nothing, keep the description of the
        # machine that was recorded before.
        if kept and (elsewhere or not self._worked):
            machine = kept.machine
        known = kept.arms if kept else {}
        costs = {arm.name: known.get(arm.name, ArmCost()) for arm in self._plan.layout.arms}
        if measure_costs:
            for arm in self._plan.list_trained_arms():
                costs[arm.name] = self._throughput.measure_cost(
                    self._plan.make_first_run(arm), costs[arm.name]
                )
        costs = add_waiting_times(costs, self._store.read_shared_costs())
        cautions = self._network_cautions
        if cautions is None:  # nothing was left to train, so no arm was tried
            cautions = kept.network_cautions if kept else ()
        provenance = describe_circumstances(
            self._plan, machine, self._conditions.load(None), costs, self._conditions.plugins
        )
        return replace(provenance, network_cautions=cautions)

    def _count_total(self, wave: Wave, planned: Counter[str]) -> int:
        """Count all runs of the wave's phase that are planned so far. A search has a fixed number of runs."""
        return self._study.search.candidates if wave.phase == Phase.SEARCH else planned[wave.phase]

    def _order(self, runs: Iterable[Run]) -> list[Run]:
        """Sort runs by seed, so that some seeds have a run of every arm early.

        Among the runs of one seed, the longest run comes first. Then the last runs are short, and no core is
        idle for long at the end.
        """
        return sorted(runs, key=lambda run: (run.seed, -self._work.count_flops(run)))

    def _claim(self, runs: Iterable[Run]) -> Iterator[Run]:
        """Claim runs, so that no other host trains them. Yield the runs that this host gets.

        Workers ask for as many new runs as have just ended. So this number of runs is claimed at once.
        """
        waiting = iter(runs)
        while some := {self._plan.key(run): run for run in islice(waiting, self._ended)}:
            yield from (some[key] for key in self._store.claim(*some))

    def _list_left_by_others(self, runs: Sequence[Run]) -> list[Run]:
        """List the runs that no host has recorded yet. If such runs exist, first wait for a moment."""
        self._store.refresh()
        left = [run for run in runs if not self._plan.is_recorded(run)]
        if left:
            time.sleep(POLL_SECONDS)
        return left

    def _record(self, outcomes: Iterable[Outcome]) -> Iterator[RunRecord]:
        """Store the outcomes of runs, and yield the record of each stored outcome.

        Outcomes that are ready at the same time are stored in one transaction. An outcome never waits for a
        run that is still training.
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
            if ready:  # an error ended the loop before these outcomes were stored
                self._store.add(ready)

    def _write_files(self, outcome: Outcome) -> None:
        slug, seed = outcome.run.arm.slug, outcome.run.seed
        # The files are written before the record, because a run with a record is never trained again.
        if outcome.checkpoint is not None:
            self._folder.write_checkpoint(slug, outcome.checkpoint)
        if outcome.epoch_weights is not None:
            self._folder.write_epoch_weights(slug, outcome.epoch_weights)
        if outcome.predictions is not None:
            self._folder.write_predictions(slug, seed, outcome.predictions, self._read_test_labels)

    def _lacks_epoch_weights(self, run: Run) -> bool:
        record = self._store.runs.get(self._plan.key(run))
        trained = record is not None and record.status in TRAINED
        return trained and not self._folder.locate_epoch_weights(run.arm.slug).exists()

    def _read_test_labels(self) -> np.ndarray[Any, Any]:
        return self._conditions.load(None).test_labels.cpu().numpy()

    def _make_throughput(self, arms: Iterable[Arm]) -> Throughput:
        runs = [self._plan.make_first_run(arm) for arm in arms]
        return Throughput(self._study, runs, self._conditions, self._store, self._threads)
