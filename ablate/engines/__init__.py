"""How runs are trained: which engine a run gets, and why."""

import os

import torch

from ablate.data import Dataset
from ablate.engines.lanes import LanesTrainer, why_not
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import Trainer
from ablate.runs import Run


def trainer_for(run: Run, dataset: Dataset, device: torch.device) -> Trainer:
    """The fastest engine that trains the run exactly; the plain loop trains anything.

    `ABLATE_ENGINE=loop` in the environment forces the loop.
    """
    if os.environ.get("ABLATE_ENGINE") == "loop" or why_not(run, dataset, device) is not None:
        return LoopTrainer(run, dataset, device)
    return LanesTrainer(run, dataset, device)
