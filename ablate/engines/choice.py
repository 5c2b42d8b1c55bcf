"""How runs are trained: which engine a run gets, and why."""

import os

import torch

from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.engines.lanes import LanesTrainer, why_not
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import Trainer


def trainer_for(run: Run, dataset: Dataset, device: torch.device) -> Trainer:
    """The fastest engine that trains the run exactly; the plain loop trains anything.

    `ABLATE_ENGINE=loop` in the environment forces the loop, and so does `cohort` for what trains by itself.
    """
    forced = os.environ.get("ABLATE_ENGINE") in ("loop", "cohort")
    if forced or why_not(run, dataset, device) is not None:
        return LoopTrainer(run, dataset, device)
    return LanesTrainer(run, dataset, device)


def trains_in_cohorts(device: torch.device) -> bool:
    """Whether runs that can are trained together: on a GPU, unless `ABLATE_ENGINE` is `loop`.

    `ABLATE_ENGINE=cohort` has them so on a CPU as well, where it is slower: to test what a GPU will do.
    """
    forced = os.environ.get("ABLATE_ENGINE")
    return forced == "cohort" or (device.type == "cuda" and forced != "loop")
