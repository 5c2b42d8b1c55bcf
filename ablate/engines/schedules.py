"""Learning-rate schedules: the factor by which the recipe's learning rate is multiplied at each step.

The factors are equal to those of torch.optim.lr_scheduler if its schedulers step after each optimiser step. A
factor is computed from the recipe and the number of the step. So all engines train with the same factors, and
no engine needs a scheduler.
"""

import math
from collections.abc import Sequence

from ablate.study.recipe import Recipe

WARM_UP_START = 0.01
"""The factor of the first warm-up step. torchvision's training scripts begin with the same factor."""
RISE_SHARE = 0.3
"""A one-cycle schedule raises the rate in this share of its steps, the default `pct_start` of OneCycleLR."""
CYCLE_START, CYCLE_END = 1 / 25, 1 / 25 / 1e4
"""The first and the last factor of a one-cycle schedule.

They come from the defaults of OneCycleLR: 25 for `div_factor`, and 1e4 for `final_div_factor`.
"""


def is_scheduled(recipe: Recipe) -> bool:
    """Whether the learning rate differs between the steps of a run."""
    return recipe.schedule != "constant" or recipe.warmup_epochs > 0


def compute_factor(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Compute the factor of the learning rate at a step of a run. Step 0 is the first step.

    During the warm-up, the factor rises as in torch's LinearLR. The schedule begins after the warm-up, as in
    torch's SequentialLR, and ends with the last step of the run.
    """
    warm_up = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warm_up:
        return WARM_UP_START + (1 - WARM_UP_START) * step / warm_up
    done, steps = step - warm_up, recipe.epochs * steps_per_epoch - warm_up
    match recipe.schedule:
        case "constant":
            return 1.0
        case "step":  # StepLR
            return float(recipe.step_factor ** (done // (recipe.count_step_epochs() * steps_per_epoch)))
        case "cosine":  # CosineAnnealingLR with eta_min=0
            return _interpolate(1, 0, done / steps)
        case "linear":  # LinearLR from 1 to 0
            return 1 - done / steps
        case "one_cycle":  # OneCycleLR with cycle_momentum=False
            peak = RISE_SHARE * steps - 1
            if done <= peak:
                return _interpolate(CYCLE_START, 1, done / peak)
            return _interpolate(1, CYCLE_END, (done - peak) / (steps - 1 - peak))


def list_rates(recipe: Recipe, epoch: int, steps_per_epoch: int) -> Sequence[float]:
    """List the learning rates at the steps of an epoch. Epoch 0 is the first epoch."""
    first = epoch * steps_per_epoch
    factors = (compute_factor(recipe, first + step, steps_per_epoch) for step in range(steps_per_epoch))
    return [recipe.learning_rate * factor for factor in factors]


def _interpolate(start: float, end: float, share: float) -> float:
    """Interpolate from `start` (at share 0) to `end` (at share 1) along half a period of a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
