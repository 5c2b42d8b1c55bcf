"""Estimate a study's runs and minutes on this machine. To do so, time a few training steps of each arm."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import torch

from ablate.data.loading import Dataset, make_noise
from ablate.design.arms import make_grid
from ablate.design.designs import Layout
from ablate.design.runs import Arm, Run
from ablate.engines.choice import choose_trainer
from ablate.engines.lanes import reason_against
from ablate.engines.training import repeat_batches, settle_process
from ablate.formatting import format_count
from ablate.records.run_records import Phase
from ablate.study.spec import StudySpec
from ablate.timing.costs import count_flops_per_example
from ablate.tuning.rescoring import SHORTLISTED_PER_ARM
from ablate.tuning.trials import RESCORING_SEEDS
from ablate.tuning.widening import EXTENSION_STEPS

STEPS = range(5, 16)
"""The allowed numbers of training steps that are timed for an arm.

After the smallest number of steps, the timing stops as soon as all steps together have taken `SECONDS`.
"""
SECONDS = 0.05
EVALUATION_SHARE = 0.35
"""The time to evaluate an example, divided by the time to train on an example.

Measured for LeNet: 0.33 to 0.4.
"""
NAMED = 4
"""A line names at most this many arms. If there are more arms, the line only says how many more."""
START_SECONDS = 10.0
"""The estimated time to start the workers, read the data and write the report."""


@dataclass(frozen=True, kw_only=True)
class ArmPrice:
    """The size of one arm, and the speed at which one core trains it."""

    arm: str
    parameters: int
    flops_per_example: int
    examples_per_second: float
    reason_for_loop: str | None
    """Why the torch loop or the tailored loop trains the arm. None if another engine trains the arm."""


@dataclass(frozen=True, kw_only=True)
class StudyPrice:
    """The estimated runs and minutes of a study.

    Before training, only the smallest and the largest number of tuning runs are known. So the minutes are a
    range, too.
    """

    arms: list[ArmPrice]
    runs_in_words: str
    minutes: tuple[float, float]
    """The smallest and the largest number of minutes that the study is expected to take."""

    @property
    def minutes_in_words(self) -> str:
        """The minutes as text, for example `about 13 to 22 minutes`."""
        least, most = (round(minutes) for minutes in self.minutes)
        if most == 0:
            return "less than a minute"
        return f"about {least} to {most} minutes" if least < most else f"about {format_count(most, 'minute')}"

    @property
    def engines_in_words(self) -> list[str]:
        """Sentences that say why the torch loop trains some arms, with one sentence for each reason.

        The list is empty if the torch loop trains no arm.
        """
        reasons: dict[str, list[str]] = {}
        for arm in self.arms:
            if arm.reason_for_loop is not None:
                reasons.setdefault(arm.reason_for_loop, []).append(arm.arm)
        lines = []
        for reason, names in reasons.items():
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            who = "every arm" if len(names) == len(self.arms) else f"{'; '.join(names[:NAMED])}{more}"
            lines.append(f"the torch loop trains {who}. The lanes engine is not used: {reason}")
        return lines


def price(study: StudySpec, layout: Layout, *, jobs: int) -> StudyPrice:
    """Time a few training steps of every arm on one core, and estimate the time of the whole study.

    A search chooses its later candidates (networks to try) and its finalists only during training. So only
    the candidates of the first generation are timed, and the others are assumed to take as long.
    """
    settle_process(1)
    searching = study.design == "search"
    arms: Sequence[Arm] = layout.arms
    if searching:
        # Import this module only here, because it imports Optuna, which takes half a second.
        from ablate.search.sampler import propose

        first = propose(study, [], 0, study.search.generation)
        arms = list({candidate.arm.name: candidate.arm for candidate in first}.values())
    priced = [_price_arm(arm, study) for arm in arms]
    if searching:
        seconds, tuning, confirming = _estimate_search_seconds(study, arms, priced)
        words = f"{study.search.candidates} candidates, then {1 + study.search.finalists} arms"
    else:
        seconds, tuning, confirming = _estimate_seconds(study, arms, priced)
        words = f"{len(arms)} arms"
    timed = 1 + study.search.finalists if searching else len(arms)
    timing = study.timing.blocks * (timed + 1) * study.timing.block_seconds + START_SECONDS
    least, most = ((s / jobs + timing) / 60 for s in seconds)
    return StudyPrice(
        arms=priced,
        runs_in_words=(
            f"{words}, {_spell_range(*tuning)} runs to tune, {_spell_range(*confirming)} to confirm"
        ),
        minutes=(least, most),
    )


def _spell_range(least: int, most: int) -> str:
    """Write a range of numbers as text: `12 to 36`, `12` if both are equal, or `no` if both are zero."""
    return f"{least} to {most}" if least < most else f"{most or 'no'}"


Estimate = tuple[tuple[float, float], tuple[int, int], tuple[int, int]]
"""Three pairs of a smallest and a largest number: seconds on one core, tuning runs, confirmation runs."""


def _estimate_seconds(study: StudySpec, arms: Sequence[Arm], priced: Sequence[ArmPrice]) -> Estimate:
    """Estimate the seconds and the numbers of runs for a study that is not a search."""
    tuning = [0, 0]
    seconds = [0.0, 0.0]
    seeds = study.fewest_seeds, study.most_seeds
    for arm, known in zip(arms, priced, strict=True):
        # A tuning run is evaluated only after its last epoch. A confirmation run is evaluated after every
        # epoch, and on the test images at the end.
        tuned = _count_examples(study, arm) + EVALUATION_SHARE * study.validation
        tested = EVALUATION_SHARE * study.dataset.facts.test_images
        confirmed = _count_work(study, arm) + tested
        for end, runs in enumerate(_count_tuning_runs(study, arm, arms)):
            tuning[end] += runs
            seconds[end] += (runs * tuned + seeds[end] * confirmed) / known.examples_per_second
    confirming = seeds[0] * len(arms), seeds[1] * len(arms)
    return (seconds[0], seconds[1]), (tuning[0], tuning[1]), confirming


def _estimate_search_seconds(study: StudySpec, arms: Sequence[Arm], priced: Sequence[ArmPrice]) -> Estimate:
    """Estimate the seconds and the numbers of runs for a search. `arms` is a sample of the candidates."""
    finals = 1 + study.search.finalists
    (least, most), tuning, _ = _estimate_seconds(study, arms, priced)
    share = finals / len(arms)
    a_candidate = fmean(
        _count_work(study, arm) / known.examples_per_second for arm, known in zip(arms, priced, strict=True)
    )
    searching = study.search.candidates * a_candidate
    return (
        (searching + least * share, searching + most * share),
        (round(tuning[0] * share), round(tuning[1] * share)),
        (study.fewest_seeds * finals, study.most_seeds * finals),
    )


def _count_examples(study: StudySpec, arm: Arm) -> int:
    """Count the examples that one run of the arm trains on, over all epochs."""
    images = study.dataset.facts.count_training_images(arm.recipe.train_images, study.validation)
    return images * arm.recipe.epochs


def _count_work(study: StudySpec, arm: Arm) -> float:
    """Compute the work of a run that is evaluated on the validation images after every epoch.

    The unit is the work to train on one example.
    """
    return _count_examples(study, arm) + EVALUATION_SHARE * study.validation * arm.recipe.epochs


def _count_tuning_runs(study: StudySpec, arm: Arm, arms: Sequence[Arm]) -> tuple[int, int]:
    """Compute the smallest and the largest number of runs that tuning can need for an arm."""
    grid = make_grid(study, arm)
    if not study.tuning.active or not grid.ranges:
        return 0, 0
    least = len(grid.list_points())
    most = least + (2 * EXTENSION_STEPS if len(grid.ranges) == 1 else 0)
    alike = sum(make_grid(study, other) == grid for other in arms)
    return (
        least + len(RESCORING_SEEDS) * min(least, SHORTLISTED_PER_ARM),
        most + len(RESCORING_SEEDS) * min(most, SHORTLISTED_PER_ARM * alike),
    )


def _price_arm(arm: Arm, study: StudySpec) -> ArmPrice:
    device = torch.device("cpu")
    dataset = make_noise(study.dataset.facts, arm.recipe.input_size)
    run = Run(phase=Phase.CONFIRM, arm=arm, setting={}, seed=0)
    trainer = choose_trainer(run, dataset, device)
    batches = repeat_batches(len(dataset.labels), arm.recipe.batch_size, device)
    trainer.step(next(batches))
    seconds: list[float] = []
    while len(seconds) < STEPS[0] or (len(seconds) < STEPS[-1] and sum(seconds) < SECONDS):
        batch = next(batches)
        started = time.perf_counter()
        trainer.step(batch)
        seconds.append(time.perf_counter() - started)
    return ArmPrice(
        arm=arm.name,
        parameters=sum(parameter.numel() for parameter in trainer.model.parameters()),
        flops_per_example=count_flops_per_example(trainer.model, dataset.images.shape[1:]),
        # Cold caches or another program can slow down a single step. This hardly changes the median.
        examples_per_second=len(batch) / median(seconds),
        reason_for_loop=_explain_loop(run, dataset) if trainer.name in ("loop", "tailored") else None,
    )


def _explain_loop(run: Run, dataset: Dataset) -> str:
    if reason := reason_against(run, dataset, dataset.images.device):
        return reason
    forced = os.environ.get("ABLATE_ENGINE")
    return (
        f"ABLATE_ENGINE={forced}"
        if forced
        else "in a short measurement, it was slower for a network this large"
    )
