"""How fast each engine trains; run with `pytest tests/benchmarks --benchmark-only`, compare with --benchmark-compare."""

import pytest

from ablate import study
from ablate.data import Dataset
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import batches_forever, settle_process
from ablate.space import Run, arms
from tests.conftest import CPU, STUDIES

STEPS = 4


@pytest.mark.parametrize("arm", [0, 1], ids=["baseline", "pooling=max"])
def test_training_throughput_of_the_loop(benchmark, digits: Dataset, arm: int) -> None:
    """One core, batches of 256, digits resident: what the timing phase of lenet_pooling measures."""
    settle_process(1)
    spec = study.read(STUDIES / "lenet_pooling.yaml")
    trainer = LoopTrainer(Run(phase="confirm", arm=arms(spec)[arm], setting={}, seed=0), digits, CPU)
    batches = batches_forever(len(digits.labels), spec.recipe.batch_size, CPU)

    def some_steps() -> None:
        for _ in range(STEPS):
            trainer.step(next(batches))

    benchmark.pedantic(some_steps, rounds=5, warmup_rounds=1)
    benchmark.extra_info["examples_per_second"] = (
        STEPS * spec.recipe.batch_size / benchmark.stats.stats.median
    )
    assert benchmark.extra_info["examples_per_second"] > 0
