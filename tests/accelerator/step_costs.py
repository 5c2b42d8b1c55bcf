"""Kernels for each training step, and bytes for each example, of ablate's engines on the simulated device.

    python -m tests.accelerator.step_costs

prints a table for LeNet-5. The numbers depend on the code alone, not on a machine: they are what the engines ask of any
accelerator, op by op. A compiler that fuses operations, or cuDNN's choice of kernels, may change them.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ablate.data.datasets import DatasetFacts, find_dataset
from ablate.data.loading import Dataset, make_noise
from ablate.design.runs import Arm, Run
from ablate.engines.augmentation import Augmentation
from ablate.engines.cohort import Cohort
from ablate.engines.loop import LoopTrainer
from ablate.study.recipe import Recipe
from tests.accelerator.counters import Counts, count


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """What a training step asks of the device."""

    kernels: float
    """Kernels for each step."""
    launches: float
    """Launches for each step: those of kernels, or of graphs of many kernels."""
    bytes_per_example: float
    bytes_by_kernel: dict[str, float]
    """The bytes for each example that each kind of kernel moves, the largest first."""
    host_reads: int
    """Host reads in all measured steps."""


def measure_steps(steps: Callable[[], object], number: int, examples: int) -> StepCost:
    """Measure `number` steps with `examples` examples in each, over all runs. `steps()` makes all of them."""
    with count() as counts:
        steps()
    return summarise(counts, number, examples)


def summarise(counts: Counts, number: int, examples: int) -> StepCost:
    """Divide what was counted among the steps and their examples."""
    every = number * examples
    return StepCost(
        kernels=counts.kernel_count / number,
        launches=counts.launches / number,
        bytes_per_example=counts.bytes_moved / every,
        bytes_by_kernel={name: size / every for name, size in Counter(counts.bytes).most_common()},
        host_reads=counts.host_reads.total(),
    )


def measure_loop(run: Run, dataset: Dataset, number: int = 2) -> StepCost:
    """Measure steps of the torch loop engine, after one that prepares the optimiser."""
    trainer = LoopTrainer(run, dataset, dataset.images.device)
    batches = torch.arange(run.recipe.batch_size * (number + 1), device=dataset.images.device)
    first, *others = (batches % len(dataset.labels)).split(run.recipe.batch_size)
    trainer.step(first)
    return measure_steps(lambda: [trainer.step(batch) for batch in others], number, run.recipe.batch_size)


def measure_cohort(run: Run, dataset: Dataset, places: int, number: int = 2) -> StepCost:
    """Measure steps of a cohort of `places` runs like this one, replayed from graphs if the device has them."""
    size = run.recipe.batch_size
    examples = size * (number + 1)  # a graph's warm-up ends behind the first batch
    cohort = Cohort(run, dataset, examples=examples, places=places)
    for place in range(places):
        cohort.seat(place, run)
        cohort.load(
            place,
            torch.arange(examples) % len(dataset.labels),
            [Augmentation(run.recipe.augmentation, run.seed).draw(examples)],
        )
    return measure_steps(lambda: cohort.train(number, size), number, places * size)


def make_lenet_run(**recipe: object) -> Run:
    """A run of D2L's LeNet-5 with its own recipe, but for the changes given."""
    usual = {"batch_size": 256, "optimizer": "sgd", "learning_rate": 0.9}
    arm = Arm(name="lenet", model="lenet", keywords={}, recipe=Recipe(**usual | recipe), factors={})
    return Run(phase="confirm", arm=arm, setting={}, seed=0)


def measure_lenet(batch_size: int = 256) -> dict[str, StepCost]:
    """Measure LeNet-5 on images of Fashion-MNIST's size: by name, the loop and cohorts of 1 and of 32."""
    facts: DatasetFacts = find_dataset("fashion_mnist").facts
    dataset = make_noise(facts, images=1_024).to(torch.device("sim", 0))
    run = make_lenet_run(batch_size=batch_size)
    return {
        "loop": measure_loop(run, dataset, 1),
        "cohort of 1": measure_cohort(run, dataset, 1, 1),
        "cohort of 32": measure_cohort(run, dataset, 32, 1),
    }


def main() -> None:
    """Print the table."""
    from tests.accelerator.install import install

    install()
    for name, cost in measure_lenet().items():
        print(
            f"{name:12} {cost.kernels:5.0f} kernels and {cost.launches:4.0f} launches a step, "
            f"{cost.bytes_per_example / 1000:6.0f} kB an example, {cost.host_reads} host reads"
        )
        for kernel, size in list(cost.bytes_by_kernel.items())[:12]:
            print(f"    {kernel:32} {size / 1000:7.1f} kB an example")


if __name__ == "__main__":
    main()
