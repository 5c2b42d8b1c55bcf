"""Which engine trains a run."""

import os

import torch

from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.engines.lanes import LanesTrainer, reason_against
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import Trainer


def choose_trainer(run: Run, dataset: Dataset, device: torch.device) -> Trainer:
    """The fastest engine that trains the run exactly; the plain loop trains any run.

    `ABLATE_ENGINE=loop` in the environment forces the loop. So does `cohort` for runs that train alone.
    """
    forced = os.environ.get("ABLATE_ENGINE") in ("loop", "cohort")
    if forced or reason_against(run, dataset, device) is not None:
        return LoopTrainer(run, dataset, device)
    return LanesTrainer(run, dataset, device)


def trains_in_cohorts(device: torch.device) -> bool:
    """Whether cohorts train the runs that they can: on a GPU, unless `ABLATE_ENGINE` is `loop`.

    `ABLATE_ENGINE=cohort` trains cohorts on a CPU too, where they are slower, to test what a GPU will do.
    """
    forced = os.environ.get("ABLATE_ENGINE")
    return forced == "cohort" or (device.type == "cuda" and forced != "loop")
