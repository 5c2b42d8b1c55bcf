"""How fast each engine trains; run with `pytest tests/benchmarks -n 0 --benchmark-only`."""

import pytest

from ablate import study
from ablate.data import Dataset
from ablate.engines.lanes import LanesTrainer, why_not
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import batches_forever, settle_process
from ablate.runs import Run
from ablate.space import lay_out
from tests.conftest import CPU, STUDIES

STEPS = 4


@pytest.mark.parametrize("arm", [0, 1], ids=["baseline", "pooling=max"])
@pytest.mark.parametrize("engine", [LoopTrainer, LanesTrainer], ids=["loop", "lanes"])
def test_training_throughput(
    benchmark, digits: Dataset, engine: type[LoopTrainer | LanesTrainer], arm: int
) -> None:
    """One run alone on one core, batches of 256, digits resident."""
    settle_process(1)
    spec = study.read(STUDIES / "lenet_pooling.yaml")
    run = Run(phase="confirm", arm=lay_out(spec).arms[arm], setting={}, seed=0)
    if engine is LanesTrainer and (reason := why_not(run, digits, CPU)):
        pytest.skip(reason)
    trainer = engine(run, digits, CPU)
    batches = batches_forever(len(digits.labels), spec.recipe.batch_size, CPU)

    def some_steps() -> None:
        for _ in range(STEPS):
            trainer.step(next(batches))

    benchmark.pedantic(some_steps, rounds=5, warmup_rounds=1)
    if benchmark.stats is not None:  # None where benchmarks are switched off and this only runs once
        examples = STEPS * spec.recipe.batch_size
        benchmark.extra_info["examples_per_second"] = examples / benchmark.stats.stats.median
    assert trainer.totals()[0] > 0
