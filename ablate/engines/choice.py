"""Choose the engine that trains a run."""

import os

import torch

from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.devices.device import is_accelerator
from ablate.engines.lanes import LanesTrainer, reason_against
from ablate.engines.loop import LoopTrainer
from ablate.engines.training import Trainer


def choose_trainer(run: Run, dataset: Dataset, device: torch.device) -> Trainer:
    """Choose the fastest engine that trains the run exactly. The torch loop engine trains any run.

    The environment variable `ABLATE_ENGINE` forces the torch loop engine if it is `loop` or `cohort`. With
    `cohort`, only runs that train alone reach this function.
    """
    forced = os.environ.get("ABLATE_ENGINE") in ("loop", "cohort")
    if forced or reason_against(run, dataset, device) is not None:
        return LoopTrainer(run, dataset, device)
    return LanesTrainer(run, dataset, device)


def trains_in_cohorts(device: torch.device) -> bool:
    """Whether runs train in cohorts where possible: on an accelerator, unless `ABLATE_ENGINE` is `loop`.

    `ABLATE_ENGINE=cohort` makes runs train in cohorts on a CPU too. This is slower, and serves to test
    without a GPU what a GPU will do.
    """
    forced = os.environ.get("ABLATE_ENGINE")
    return forced == "cohort" or (is_accelerator(device) and forced != "loop")
