"""The plan: the runs that a study needs, computed only from the study and the recorded runs.

This module trains nothing, and reads and writes no files. The same study and the same records always give the
same runs. The number of worker processes and interruptions of the study make no difference.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ablate.design.arms import make_grid
from ablate.design.designs import Layout, list_confirm_runs
from ablate.design.runs import Arm, Run, Setting
from ablate.experiment.contrasts import list_contrasts
from ablate.experiment.kept_epochs import mark_kept
from ablate.metrics import METRICS
from ablate.records.run_records import TRAINED, Phase, RunRecord
from ablate.records.tables import make_frame
from ablate.search.generations import Generations
from ablate.stats.comparisons import Judgement, judge
from ablate.stats.decision_values import DEFAULT
from ablate.stats.looks import plan_looks
from ablate.study.spec import StudySpec
from ablate.tuning.choice import Choice
from ablate.tuning.rule import advance
from ablate.tuning.trials import Trial

WORST_LOSS = -1e6
"""If tuning chooses by a loss, a run without a loss gets this score. It is far below every other score."""


@dataclass(frozen=True, kw_only=True)
class Wave:
    """Runs that can train at the same time.

    A wave is one generation of a search, one stage of tuning, or all confirmation runs (trainings after
    tuning) that the next test of the results needs.
    """

    phase: Phase
    runs: tuple[Run, ...]


class Plan:
    """The waves of one study in their order, and the results of the finished waves."""

    def __init__(
        self,
        study: StudySpec,
        layout: Layout,
        records: Mapping[str, RunRecord],
        *,
        device: str,
        compute_ceiling: Callable[[], float],
    ) -> None:
        """Plan a study.

        Args:
            study: the study.
            layout: the study's arms and contrasts.
            records: maps the key of each run to the run's record. The caller adds records while the plan is
                in use.
            device: the device on which the runs train.
            compute_ceiling: computes the highest test accuracy that guessing can reach. This function is
                called only for a study with several looks (tests of the results).
        """
        self.study = study
        self.layout = layout
        self.choices: Mapping[str, Choice] = {}
        """Maps each arm's name to the choice of tuning. It is empty before tuning ends, or without tuning."""
        self.generations = Generations(study)
        self._records = records
        self._device = device
        self._compute_ceiling = compute_ceiling
        self._runs: dict[str, Run] = {}
        self._keys: dict[int, tuple[Run, str]] = {}
        """Maps the `id` of a run to the run and its key.

        Keys are kept because they are needed often, and computing one takes a third of a millisecond.
        """

    def plan_waves(self) -> Iterator[Wave]:
        """Yield the waves of search, tuning and confirmation.

        The caller must record all runs of a wave before it asks for the next wave.
        """
        yield from self._search()
        yield from self._tune()
        yield from self._confirm()

    def key(self, run: Run) -> str:
        """Compute the key under which the run is stored."""
        known = self._keys.get(id(run))
        if known is None:
            # While the run is kept, no other run can get the same id.
            known = self._keys[id(run)] = run, run.key(self.study, self._device)
        return known[1]

    def is_recorded(self, run: Run) -> bool:
        """Whether the run has a record (a stored result). A run with a record is not trained again."""
        return self.key(run) in self._records

    def find_recorded(self, phase: Phase | None = None) -> Iterator[tuple[Run, RunRecord]]:
        """Yield each planned run that has a record, together with this record.

        If `phase` is None, the runs of all phases are included.
        """
        for key, run in self._runs.items():
            if key in self._records and phase in (None, run.phase):
                yield run, self._records[key]

    def has_first_pair(self) -> bool:
        """Whether every arm has a recorded confirmation run with the first seed."""
        firsts = [key for key, run in self._runs.items() if run.is_first]
        return bool(firsts) and all(key in self._records for key in firsts)

    def has_trained(self, arm: Arm) -> bool:
        """Whether a confirmation run of the arm is complete or diverged. Other arms are not timed."""
        return any(
            run.arm == arm and record.status in TRAINED for run, record in self.find_recorded(Phase.CONFIRM)
        )

    def list_trained_arms(self) -> list[Arm]:
        """List the arms that can be timed."""
        return [arm for arm in self.layout.arms if self.has_trained(arm)]

    def make_first_run(self, arm: Arm) -> Run:
        """Make the arm's first confirmation run. The network of this run is timed and inspected."""
        choice = self.choices.get(arm.name)
        setting = choice.chosen if choice else {}
        (first,) = list_confirm_runs([arm], {arm.name: setting}, {arm.name: 1}, self.study.first_seed)
        return first

    def _search(self) -> Iterator[Wave]:
        if self.study.design != "search":
            return
        for runs in self.generations.propose_waves(lambda run: self._records[self.key(run)]):
            yield Wave(phase=Phase.SEARCH, runs=tuple(runs))
            self._add(runs)
        self.layout = self.generations.lay_out()

    def _tune(self) -> Iterator[Wave]:
        if not self.study.tuning.active:
            return
        arms = {arm.name: arm for arm in self.layout.arms}
        grids = {name: make_grid(self.study, arm) for name, arm in arms.items()}
        guessing = METRICS[self._tuned_by].guess(self.study.dataset.facts.classes)
        while True:
            wanted = advance(grids, self._read_scores(), guessing=guessing)
            if isinstance(wanted, dict):
                self.choices = wanted
                return
            runs = [
                Run(phase=Phase.TUNE, arm=arms[trial.arm], setting=dict(trial.setting), seed=trial.seed)
                for trial in wanted
            ]
            yield Wave(phase=Phase.TUNE, runs=tuple(runs))
            self._add(runs)

    def _confirm(self) -> Iterator[Wave]:
        """Yield one wave of runs for each look (test of the results).

        A study with a fixed number of seeds has only one look.
        """
        settings: dict[str, Setting] = {
            arm.name: self.make_first_run(arm).setting for arm in self.layout.arms
        }
        seeds = dict.fromkeys(settings, self.study.fewest_seeds)
        while True:
            listed = list_confirm_runs(self.layout.arms, settings, seeds, self.study.first_seed)
            runs = mark_kept(self.study, listed)
            new = [run for run in runs if self.key(run) not in self._runs]
            if not new:
                return
            self._add(new)
            yield Wave(phase=Phase.CONFIRM, runs=tuple(new))
            seeds |= self._judge().wanted_seeds

    def _judge(self) -> Judgement:
        """Judge the recorded confirmation runs, to find out which arms need more seeds."""
        study = self.study
        looks = plan_looks(study.seeds, study.decision.alpha)
        if len(looks) == 1:
            return Judgement(wanted_seeds={})
        runs = make_frame("runs", (vars(record) for _, record in self.find_recorded(Phase.CONFIRM)))
        return judge(
            runs,
            list_contrasts(study, self.layout),
            study.decision,
            ceiling=self._compute_ceiling(),
            looks=looks,
            values=self._read_decision_values(),
        )

    def _read_decision_values(self) -> pd.Series | None:
        """Read each run's value of the study's decision metric. The index of the series is arm and seed.

        Return None if this metric is the accuracy, because `judge` reads accuracies from the table of runs.
        """
        metric = self.study.decision.metric
        if metric == DEFAULT:
            return None
        values = {
            (record.arm, record.seed): record.test_metrics[metric]
            for _, record in self.find_recorded(Phase.CONFIRM)
            if metric in record.test_metrics
        }
        return pd.Series(values, index=pd.MultiIndex.from_tuples(values, names=["arm", "seed"]), dtype=float)

    def _add(self, runs: Sequence[Run]) -> None:
        self._runs.update((self.key(run), run) for run in runs)

    def _read_scores(self) -> dict[Trial, float]:
        """Read the validation score of each trial. A run that diverged or failed gets the worst score."""
        return {
            Trial(arm=run.arm.name, setting=tuple(run.setting.items()), seed=run.seed): self._read_score(key)
            for key, run in self._runs.items()
            if run.phase == Phase.TUNE
        }

    @property
    def _tuned_by(self) -> str:
        """The name of the metric by which tuning chooses settings. If it is a loss, scores are negative."""
        metric = METRICS[self.study.decision.metric]
        return metric.tuned_by or self.study.decision.metric

    def _read_score(self, key: str) -> float:
        record, name = self._records[key], self._tuned_by
        if name == DEFAULT:
            return record.validation_accuracy or 0.0
        value = record.validation_metrics.get(name)
        if METRICS[name].higher_is_better:
            return value or 0.0
        return WORST_LOSS if value is None else -value
