"""An optimiser for many networks at once. Each network has its own learning rate and other settings."""

from math import log

import torch
from torch import Tensor

from ablate.study.recipe import Recipe

RULES = ("sgd", "adam", "adamw", "rmsprop")
"""The optimisers of the cohort and the lanes engine. lanes_optimizer.h numbers them in this order."""
BETAS = (0.9, 0.999)
ALPHA = 0.99
"""The factor by which RMSprop's mean of squared gradients decays at each step."""
EPSILON = 1e-8
CLIP_EPSILON = 1e-6
"""The number that torch's clip_grad_norm_ adds to a norm before it divides by the norm."""


class Optimizer:
    """torch.optim's SGD, Adam, AdamW or RMSprop, for many networks at once.

    Each row of the parameters belongs to one network.
    """

    def __init__(self, like: Recipe, parameters: Tensor) -> None:
        """Make an optimiser for recipes that differ from `like` only in the settings that `reset` reads.

        If `gradient_clip` of `like` is 0, no row clips its gradient. Otherwise, every row clips its gradient.
        """
        self._rule = rule = like.optimizer
        self._nesterov, self._clips = like.nesterov, like.gradient_clip > 0
        self._parameters = parameters
        self._first = torch.zeros_like(parameters)
        self._second = torch.zeros_like(parameters) if rule != "sgd" else None
        rows, device = len(parameters), parameters.device
        self.steps = torch.zeros(rows, 1, dtype=torch.int64, device=device)
        """The number of steps that each row has made since its last reset, `(rows, 1)`."""
        self._rate, self._momentum, self._decay, self._clip = torch.zeros(
            4, rows, 1, dtype=parameters.dtype, device=device
        ).unbind()

    def reset(self, row: int, recipe: Recipe | None) -> None:
        """Reset a row's state, and read the row's settings from the recipe.

        If the recipe is None, the row's learning rate is 0, so its parameters stay constant.
        """
        for moment in (self._first, self._second):
            if moment is not None:
                moment[row] = 0
        self.steps[row] = 0
        self._rate[row] = recipe.learning_rate if recipe else 0
        self._momentum[row] = recipe.momentum if recipe else 0
        self._decay[row] = recipe.weight_decay if recipe else 0
        self._clip[row] = recipe.gradient_clip if recipe else 0

    def step(self, gradient: Tensor, rate: Tensor | None = None) -> None:
        """Change the parameters as torch.optim would. The function overwrites `gradient`.

        Args:
            gradient: the gradient of every parameter, `(rows, parameters)`.
            rate: each row's learning rate, `(rows, 1)`. If it is None, each row uses its recipe's rate.
        """
        parameters, first, second = self._parameters, self._first, self._second
        momentum, decay, rate = self._momentum, self._decay, self._rate if rate is None else rate
        self.steps.add_(1)
        if self._clips:
            norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
            gradient.mul_((self._clip / (norm + CLIP_EPSILON)).clamp(max=1))
        if self._rule == "adamw":
            parameters.mul_(1 - rate * decay)
        else:
            gradient.addcmul_(parameters, decay)
        if second is None:
            first.mul_(momentum).add_(gradient)
            ahead = gradient.addcmul_(first, momentum) if self._nesterov else first
            parameters.addcmul_(ahead, rate, value=-1)
        elif self._rule == "rmsprop":
            second.mul_(ALPHA).addcmul_(gradient, gradient, value=1 - ALPHA)
            first.mul_(momentum).addcdiv_(gradient, second.sqrt() + EPSILON)
            parameters.addcmul_(first, rate, value=-1)
        else:
            self._step_by_adam(gradient, second, rate)

    def _step_by_adam(self, gradient: Tensor, second: Tensor, rate: Tensor) -> None:
        first = self._first
        first.lerp_(gradient, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        # expm1 computes 1 - βᵗ with full precision. In float32, the subtraction 1 - 0.999 gives only five
        # correct digits.
        done = self.steps.to(first.dtype)
        size = rate / -torch.expm1(done * log(BETAS[0]))
        root = (-torch.expm1(done * log(BETAS[1]))).sqrt()
        self._parameters.addcdiv_(first * size, second.sqrt() / root + EPSILON, value=-1)
