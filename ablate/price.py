"""What a study will take on this machine, from a few timed steps on made-up images; trains nothing of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ablate.data import synthetic
from ablate.engines import trainer_for
from ablate.engines.training import batches_forever, settle_process
from ablate.runs import Arm, Run
from ablate.space import grid_of
from ablate.spec import DATASETS, StudySpec
from ablate.timing import flops_per_example
from ablate.tuning import EXTENSION_STEPS, RESCORING_SEEDS, SHORTLISTED_PER_ARM

STEPS = 8
EVALUATION_SHARE = 0.35
"""Of the time of a training example: forward only, measured 0.33 to 0.4 for LeNet, loop and lanes."""
START_SECONDS = 10.0
"""Starting the workers, reading the data, writing the report."""


@dataclass(frozen=True, kw_only=True)
class ArmPrice:
    """One arm's size and its speed on one core."""

    arm: str
    parameters: int
    flops_per_example: int
    examples_per_second: float


@dataclass(frozen=True, kw_only=True)
class StudyPrice:
    """Runs and minutes from the least to the most that tuning may ask for."""

    arms: list[ArmPrice]
    tuning_runs: tuple[int, int]
    confirm_runs: int
    minutes: tuple[float, float]


def price(study: StudySpec, arms: Sequence[Arm], *, jobs: int) -> StudyPrice:
    """Time a few steps of every arm on one core and add up the study."""
    settle_process(1)
    facts = DATASETS[study.dataset]
    priced = [_arm_price(arm, study) for arm in arms]
    tuning = [0, 0]
    seconds = [0.0, 0.0]
    for arm, known in zip(arms, priced, strict=True):
        trained = arm.recipe.train_images or facts.train_images - study.validation
        work = trained * arm.recipe.epochs
        # Tuning looks at the validation images after the last epoch alone, confirming after every one.
        looked = EVALUATION_SHARE * study.validation
        confirmed = study.seeds * (work + looked * arm.recipe.epochs + EVALUATION_SHARE * facts.test_images)
        for end, runs in enumerate(_tuning_runs(study, arm, arms)):
            tuning[end] += runs
            seconds[end] += (runs * (work + looked) + confirmed) / known.examples_per_second
    timing = study.timing.blocks * (len(arms) + 1) * study.timing.block_seconds + START_SECONDS
    least, most = ((s / jobs + timing) / 60 for s in seconds)
    return StudyPrice(
        arms=priced,
        tuning_runs=(tuning[0], tuning[1]),
        confirm_runs=study.seeds * len(arms),
        minutes=(least, most),
    )


def _tuning_runs(study: StudySpec, arm: Arm, arms: Sequence[Arm]) -> tuple[int, int]:
    """The fewest and the most runs that tuning may ask of an arm."""
    grid = grid_of(study, arm)
    if not study.tuning.active or not grid.ranges:
        return 0, 0
    least = len(grid.points())
    most = least + (2 * EXTENSION_STEPS if len(grid.ranges) == 1 else 0)
    alike = sum(grid_of(study, other) == grid for other in arms)
    return (
        least + len(RESCORING_SEEDS) * min(least, SHORTLISTED_PER_ARM),
        most + len(RESCORING_SEEDS) * min(most, SHORTLISTED_PER_ARM * alike),
    )


def _arm_price(arm: Arm, study: StudySpec) -> ArmPrice:
    device = torch.device("cpu")
    dataset = synthetic(study.dataset)
    trainer = trainer_for(Run(phase="confirm", arm=arm, setting={}, seed=0), dataset, device)
    batches = batches_forever(len(dataset.labels), arm.recipe.batch_size, device)
    trainer.step(next(batches))
    started = time.perf_counter()
    examples = 0
    for _ in range(STEPS):
        batch = next(batches)
        trainer.step(batch)
        examples += len(batch)
    return ArmPrice(
        arm=arm.name,
        parameters=sum(parameter.numel() for parameter in trainer.model.parameters()),
        flops_per_example=flops_per_example(trainer.model, dataset.images.shape[1:]),
        examples_per_second=examples / (time.perf_counter() - started),
    )
