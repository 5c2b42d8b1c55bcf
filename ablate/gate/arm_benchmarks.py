"""Time the arms of a study with pytest-benchmark: one benchmark for each arm."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ablate.cores import count_cores
from ablate.data import sources
from ablate.design.designs import lay_out
from ablate.design.names import settle_names
from ablate.design.runs import Arm, Run
from ablate.devices.choice import choose_device
from ablate.devices.device import synchronise
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import repeat_batches, settle_process
from ablate.execution.executor import Conditions
from ablate.models import own
from ablate.records.run_records import Phase
from ablate.stats.power import PAIRS_FOR_A_VERDICT
from ablate.study import study_file
from ablate.study.spec import StudySpec
from ablate.timing.blocks import count_steps_per_block, make_steps
from ablate.timing.machine import describe_machine
from ablate.torch_settings import keep_torch_settings


@dataclass(frozen=True, kw_only=True)
class TimedStudy:
    """A study with arms that are timed, and the folder in which its data is searched."""

    study: StudySpec
    arms: dict[str, Arm]
    """Maps the name of each arm to the arm. The baseline comes first."""
    data_dir: Path | None
    plugins: tuple[str, ...]

    def make_conditions(self) -> Conditions:
        """Find the data set, and choose the device.

        Raises:
            DataError: the data set is not on this machine, and cannot be downloaded.
        """
        dataset = self.study.dataset
        return Conditions(
            dataset=dataset,
            data_root=sources.find_root(dataset, self.data_dir, download=True),
            validation=self.study.validation,
            device=choose_device("auto"),
            plugins=self.plugins,
        )


def open_study(
    path: str | Path, *overrides: str, data_dir: str | Path | None = None, plugins: tuple[str, ...] = ()
) -> TimedStudy:
    """Read a study and list its arms. The mark `ablate_arms` of pytest has the same arguments.

    Raises:
        AblateError: the study has mistakes.
    """
    own.allow(tuple(plugins))
    study = settle_names(study_file.read_one(Path(path), overrides))
    return TimedStudy(
        study=study,
        arms={arm.name: arm for arm in lay_out(study).arms},
        data_dir=None if data_dir is None else Path(data_dir),
        plugins=tuple(plugins),
    )


def benchmark_arm(benchmark: Any, timed: TimedStudy, name: str) -> float | None:
    """Time training steps of one arm with the torch loop on all cores, like the timing phase of a study.

    The benchmark reports the time of one training step. There are `timing.blocks` rounds. Each round is a
    block of `timing.block_seconds`. `extra_info` has the arm, its number of parameters, its examples per
    second, the engine, the number of threads, and the hardware with the versions of libraries.

    Args:
        benchmark: the fixture of pytest-benchmark.
        timed: the study.
        name: the name of the arm.

    Returns:
        Examples per second, the median over rounds. None if pytest-benchmark is switched off. Then the arm
            makes a single step.
    """
    conditions = timed.make_conditions()
    device, threads = torch.device(conditions.device), count_cores()
    run = Run(phase=Phase.CONFIRM, arm=timed.arms[name], setting={}, seed=0)
    with keep_torch_settings():
        settle_process(threads)
        dataset = conditions.load(run.recipe.input_size)
        trainer = LoopTrainer(run, dataset, device)
        steps = make_steps(trainer.step, repeat_batches(len(dataset.labels), run.recipe.batch_size, device))
        timing, count = timed.study.timing, 1
        if benchmark.enabled:
            count = count_steps_per_block(steps, timing.block_seconds, device)
        rounds = max(PAIRS_FOR_A_VERDICT, timing.blocks)
        step = _wait_at_the_end_of_a_block(steps, count, device)
        examples = benchmark.pedantic(step, rounds=rounds, iterations=count, warmup_rounds=1)
    benchmark.extra_info.update(
        arm=name,
        parameters=sum(one.numel() for one in trainer.model.parameters()),
        engine=trainer.name,
        threads=threads,
        hardware=asdict(describe_machine(device, threads)),
    )
    if benchmark.stats is None:
        return None
    speed = float(examples / benchmark.stats.stats.median)
    benchmark.extra_info["examples_per_second"] = speed
    return speed


def _wait_at_the_end_of_a_block(
    steps: Callable[[int], int], count: int, device: torch.device
) -> Callable[[], int]:
    """Make a function that makes one step. After every `count` steps, it waits for the device."""
    calls = 0

    def step() -> int:
        nonlocal calls
        examples, calls = steps(1), calls + 1
        if calls % count == 0:
            synchronise(device)
        return examples

    return step
