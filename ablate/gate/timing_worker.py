"""A program that times training steps of a study's arms, one measurement for each line that it reads.

`ablate compare --commits` runs this file as a script. The checkout of a commit is the first folder in
PYTHONPATH, so the code of this commit trains. Three such programs take turns. The first line that the program
writes lists the arms of the study. Then the program reads the name of an arm from each line, and answers with
a measurement. All lines are JSON.
"""

import json
import os
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO


def open_study(arguments: Mapping[str, Any]) -> Generator[dict[str, Any], str, None]:
    """Yield the arms of a study with their numbers of parameters.

    Then yield a measurement for each name sent.

    Args:
        arguments: `study` (path), `overrides`, `plugins` and `data_dir` as in `ablate run`.
    """
    import torch

    import ablate
    from ablate.cores import count_cores
    from ablate.data import sources
    from ablate.design.designs import lay_out
    from ablate.design.names import settle_names
    from ablate.design.runs import Run
    from ablate.devices.choice import choose_device
    from ablate.engines.loop import LoopTrainer
    from ablate.engines.training import repeat_batches, settle_process
    from ablate.execution.executor import Conditions
    from ablate.models import own
    from ablate.records.run_records import Phase
    from ablate.study import study_file
    from ablate.timing.blocks import count_steps_per_block, measure_block

    own.allow(tuple(arguments["plugins"]))
    study = settle_names(study_file.read(Path(arguments["study"]), tuple(arguments["overrides"])))
    given = arguments["data_dir"]
    root = sources.find_root(study.dataset, None if given is None else Path(given), download=False)
    conditions = Conditions(
        dataset=study.dataset, data_root=root, validation=study.validation, device=choose_device("auto")
    )
    device = torch.device(conditions.device)
    settle_process(count_cores())
    steps: dict[str, Any] = {}
    counts: dict[str, int] = {}
    parameters: dict[str, int] = {}
    for arm in lay_out(study).arms:
        run = Run(phase=Phase.CONFIRM, arm=arm, setting={}, seed=0)
        dataset = conditions.load(run.recipe.input_size)
        trainer = LoopTrainer(run, dataset, device)
        batches = repeat_batches(len(dataset.labels), run.recipe.batch_size, device)
        steps[arm.name] = _make_steps(trainer, batches)
        parameters[arm.name] = sum(one.numel() for one in trainer.model.parameters() if one.requires_grad)
    name = yield {"arms": parameters, "ablate": str(Path(ablate.__file__).parent)}
    while True:
        if name not in counts:
            counts[name] = count_steps_per_block(steps[name], study.timing.block_seconds, device)
        block = measure_block(name, steps[name], counts[name], device, block=0, position=0)
        name = yield {
            "examples": block.examples,
            "seconds": block.seconds,
            "disturbed": bool(block.disturbed),
        }


def _make_steps(trainer: Any, batches: Iterator[Any]) -> Any:
    # As `timing.blocks.make_steps`, which checkouts of older commits do not have.
    def make_steps(count: int) -> int:
        examples = 0
        for _ in range(count):
            batch = next(batches)
            trainer.step(batch)
            examples += len(batch)
        return examples

    return make_steps


def serve(arguments: Sequence[str], orders: TextIO, answers: TextIO) -> None:
    """Answer each line of `orders` with a line in `answers`, until `orders` ends."""
    measuring = open_study(json.loads(arguments[0]))
    _write(next(measuring), answers)
    for line in orders:
        _write(measuring.send(json.loads(line)), answers)


def _write(answer: Mapping[str, Any], answers: TextIO) -> None:
    answers.write(f"{json.dumps(answer)}\n")
    answers.flush()


if __name__ == "__main__":
    # What a network prints must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path.pop(0)  # the folder of this file: its modules could hide others of the same name
    serve(sys.argv[1:], sys.stdin, answers)
