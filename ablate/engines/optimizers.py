"""Optimisers for many networks at once: each network's parameters have their own settings."""

from math import log

import torch
from torch import Tensor

from ablate.study.recipe import Recipe

RULES = ("sgd", "adam", "adamw")
"""The update rules that the cohort and lanes engines support. lanes.cpp numbers them in this order."""
BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Optimizer:
    """torch.optim's SGD, Adam and AdamW for many networks. Each row is one network's parameters."""

    def __init__(self, rule: str, parameters: Tensor) -> None:
        self._rule = rule
        self._parameters = parameters
        self._first = torch.zeros_like(parameters)
        self._second = torch.zeros_like(parameters) if rule != "sgd" else None
        rows, device = len(parameters), parameters.device
        self.steps = torch.zeros(rows, 1, dtype=torch.int64, device=device)
        """The number of steps of each row so far, `(rows, 1)`."""
        self._rate, self._momentum, self._decay = torch.zeros(
            3, rows, 1, dtype=parameters.dtype, device=device
        ).unbind()

    def reset(self, row: int, recipe: Recipe | None) -> None:
        """Reset a row, and give it the recipe's settings. With None, the row's parameters stay constant."""
        for moment in (self._first, self._second):
            if moment is not None:
                moment[row] = 0
        self.steps[row] = 0
        self._rate[row] = recipe.learning_rate if recipe else 0
        self._momentum[row] = recipe.momentum if recipe else 0
        self._decay[row] = recipe.weight_decay if recipe else 0

    def step(self, gradient: Tensor) -> None:
        """Change the parameters as torch.optim would. Overwrites `gradient`."""
        parameters, first, second = self._parameters, self._first, self._second
        momentum, decay, rate = self._momentum, self._decay, self._rate
        self.steps.add_(1)
        if self._rule == "adamw":
            parameters.mul_(1 - rate * decay)
        else:
            gradient.addcmul_(parameters, decay)
        if second is None:
            first.mul_(momentum).add_(gradient)
            parameters.addcmul_(first, rate, value=-1)
            return
        first.lerp_(gradient, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        # expm1 computes 1 - βᵗ with full precision. In float32, plain 1 - 0.999 has only five correct digits.
        done = self.steps.to(parameters.dtype)
        size = rate / -torch.expm1(done * log(BETAS[0]))
        root = (-torch.expm1(done * log(BETAS[1]))).sqrt()
        parameters.addcdiv_(first * size, second.sqrt() / root + EPSILON, value=-1)
