"""Choose the engine that trains a run."""

import os

import torch

from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.devices.device import is_accelerator
from ablate.engines.lanes import LanesTrainer, reason_against
from ablate.engines.loop import LoopTrainer
from ablate.engines.measured_choice import SMALLEST_MEASURED, is_lanes_slower
from ablate.engines.tailored import TailoredTrainer, can_tailor
from ablate.engines.training import Trainer


def choose_trainer(run: Run, dataset: Dataset, device: torch.device) -> Trainer:
    """Choose the fastest engine that trains the run exactly as the torch loop engine does.

    The first choice is the lanes engine (C++ code for small networks), the second is the tailored loop, and
    the third is the torch loop. If the network is large, a short measurement decides whether the lanes engine
    is faster. The result of the measurement is stored.

    If the environment variable `ABLATE_ENGINE` is `loop` or `cohort`, the torch loop engine is chosen. With
    `cohort`, this function is called only for runs that cannot train in a cohort.
    """
    forced = os.environ.get("ABLATE_ENGINE") in ("loop", "cohort")
    if forced:
        return LoopTrainer(run, dataset, device)
    if reason_against(run, dataset, device) is not None:
        return _make_torch_trainer(run, dataset, device)
    lanes = LanesTrainer(run, dataset, device)
    large = sum(parameter.numel() for parameter in lanes.model.parameters()) >= SMALLEST_MEASURED
    if large and is_lanes_slower(
        run,
        dataset,
        make_lanes=lambda: LanesTrainer(run, dataset, device),
        make_other=lambda: _make_torch_trainer(run, dataset, device),
    ):
        return _make_torch_trainer(run, dataset, device)
    return lanes


def _make_torch_trainer(run: Run, dataset: Dataset, device: torch.device) -> Trainer:
    kind = TailoredTrainer if can_tailor(run, dataset, device) else LoopTrainer
    return kind(run, dataset, device)


def trains_in_cohorts(device: torch.device) -> bool:
    """Whether runs on this device train in cohorts (several runs together), if the engine supports the runs.

    On an accelerator, runs train in cohorts unless `ABLATE_ENGINE` is `loop`. On a CPU, they do so only with
    `ABLATE_ENGINE=cohort`. This is slow, but it makes tests of the cohort engine possible without a GPU.
    """
    forced = os.environ.get("ABLATE_ENGINE")
    return forced == "cohort" or (is_accelerator(device) and forced != "loop")
