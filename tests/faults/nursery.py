"""A process that has imported everything. For each line it reads, it forks a process that runs a study.

The fork starts in milliseconds, because nothing is left to import. A test can therefore kill twenty.
"""

import gc
import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ablate import models
from ablate.design.runs import Run
from ablate.execution.executor import Outcome
from ablate.study import study_file
from tests.commands import import_for_checks
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


def main() -> None:
    """For each folder read, print the id of the forked process, and its exit code when it has ended."""
    os.cpu_count = lambda: 1  # torch's threads would wait for each other on cores that other tests keep busy
    import_for_checks()
    gc.freeze()  # or each fork's garbage collector would touch, and so copy, all objects
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            folder = Path(line.strip())
            folder.parent.mkdir(parents=True, exist_ok=True)
            file = folder.parent / f"{folder.name}-nursery.yaml"
            file.write_text(STUDY)
            conduct(study_file.read(file), folder, Checkpoints())
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
