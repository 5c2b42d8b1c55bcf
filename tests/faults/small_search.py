"""A study with every phase, whose runs take milliseconds. A test can therefore kill it twenty times."""

import io
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ablate import models
from ablate.design.runs import Run
from ablate.execution.executor import Outcome
from ablate.study import study_file
from tests.conftest import SMALL
from tests.experiment.test_conduct import Stub, conduct

PHASES = ("search", "tune", "confirm", "time")
STUDY = (
    SMALL.replace("trials: 2", "trials: 8")
    .replace("seeds: 3", "seeds: 15")
    .replace("blocks: 3", "blocks: 12")
) + "design: search\nsearch: {candidates: 12, generation: 4, finalists: 1}\n"


class Checkpoints(Stub):
    """Runs that take a few milliseconds and leave checkpoints, so that networks can be inspected."""

    def outcomes(self, runs: Sequence[Run]) -> Iterator[Outcome]:
        for outcome in super().outcomes(runs):
            time.sleep(0.005)
            buffer = io.BytesIO()
            run = outcome.run
            if run.phase == "confirm" and run.seed == 0:
                network = models.build(
                    "lenet", run.keywords, input_shape=(1, 28, 28), classes=10, init="default", seed=0
                )
                torch.save(network.state_dict(), buffer)
            yield Outcome(run=run, record=outcome.record, checkpoint=buffer.getvalue() or None)


def run_study(path: str) -> None:
    """Run the study in the folder to its end."""
    # torch's threads would wait for each other on cores that other tests keep busy
    os.environ["OMP_NUM_THREADS"] = "1"
    folder = Path(path)
    folder.parent.mkdir(parents=True, exist_ok=True)
    file = folder.parent / f"{folder.name}-study.yaml"
    file.write_text(STUDY)
    conduct(study_file.read(file), folder, Checkpoints())
