"""How runs are trained: which engine a run gets, and why."""

import torch

from ablate.data import Dataset
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import Trainer
from ablate.space import Run


def trainer_for(run: Run, dataset: Dataset, device: torch.device) -> Trainer:
    """The fastest engine that trains the run exactly; the plain loop trains anything."""
    return LoopTrainer(run, dataset, device)
