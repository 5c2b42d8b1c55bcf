"""The plain training loop in torch: the reference for every other engine, and the thing that is timed."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate import models
from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.engines.augmentation import Augmentation
from ablate.study.spec import Recipe

EVALUATION_BATCH = 1_000


class LoopTrainer:
    """A network trained step by step with autograd, everything it needs resident on one device."""

    name = "loop"

    def __init__(self, run: Run, dataset: Dataset, device: torch.device) -> None:
        """The run's network as its seed makes it, with its optimiser."""
        model = initial_model(run, dataset.images.shape[1:], len(dataset.classes))
        self._format = _memory_format(device)
        self.model: nn.Module = model.to(device, memory_format=self._format).train()  # type: ignore[call-overload]
        self._optimizer = _optimizer(run.recipe, self.model)
        self._augment = Augmentation(run.recipe.augmentation, run.seed)
        self._images, self._labels = dataset.images, dataset.labels
        self._loss_sum = torch.zeros((), device=device)
        self._correct = torch.zeros((), device=device)

    def step(self, batch: Tensor) -> None:
        """One optimiser step on the examples of `batch`, indices `(b,)`; nothing is synchronised."""
        images = self._augment(self._images[batch]).contiguous(memory_format=self._format)
        labels = self._labels[batch]
        self._optimizer.zero_grad(set_to_none=True)
        logits = self.model(images)
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        self._optimizer.step()
        with torch.no_grad():
            self._loss_sum.add_(loss.detach(), alpha=len(batch))
            self._correct.add_((logits.argmax(1) == labels).sum())

    def reset(self) -> None:
        """Begin new running totals."""
        self._loss_sum.zero_()
        self._correct.zero_()

    def totals(self) -> Tensor:
        """Summed loss and right guesses since the last reset, `(2,)` on the device."""
        return torch.stack([self._loss_sum, self._correct])

    def evaluate(self, images: Tensor, labels: Tensor) -> float:
        """The share of images whose highest logit is their label's, in evaluation mode."""
        self.model.eval()
        correct = torch.zeros((), dtype=torch.int64, device=labels.device)
        with torch.inference_mode():
            for start in range(0, len(labels), EVALUATION_BATCH):
                chunk = slice(start, start + EVALUATION_BATCH)
                logits = self.model(images[chunk].contiguous(memory_format=self._format))
                correct += (logits.argmax(1) == labels[chunk]).sum()
        self.model.train()
        return int(correct) / len(labels)


def initial_model(run: Run, image_shape: Sequence[int], classes: int) -> nn.Module:
    """The run's network on the CPU, every parameter a function of the run's seed."""
    return models.build(
        run.arm.model,
        run.keywords,
        input_shape=image_shape,
        classes=classes,
        init=run.recipe.init,
        seed=run.seed,
    )


def _optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    # Fused: one kernel a step; Adam at batch 32 went from 6.5 to 7.4 thousand examples/s a core (medians).
    parameters, rate, decay = model.parameters(), recipe.learning_rate, recipe.weight_decay
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, rate, momentum=recipe.momentum, weight_decay=decay, fused=True)
        case "adam":
            return torch.optim.Adam(parameters, rate, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(parameters, rate, weight_decay=decay, fused=True)


def _memory_format(device: torch.device) -> torch.memory_format:
    # On a CPU channels-last is the faster layout for these small maps; CUDA's fp32 kernels like the default.
    return torch.channels_last if device.type == "cpu" else torch.contiguous_format
