"""The torch loop engine. Tests compare all other engines with it. The timing phase uses only this engine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate import models
from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.devices.precision import compute_in
from ablate.engines import eager_optimizers
from ablate.engines.augmentation import Augmentation
from ablate.engines.compiling import compile_network
from ablate.engines.memory_format import choose_memory_format
from ablate.study.recipe import Recipe

EVALUATION_BATCH = 1_000
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
"""The memory formats that a recipe can name."""


class LoopTrainer:
    """Trains a network step by step with autograd. All data stays on one device."""

    name = "loop"

    def __init__(self, run: Run, dataset: Dataset, device: torch.device) -> None:
        """Build the run's network and its optimiser. The run's seed determines the initial parameters."""
        model = build_initial_model(run, dataset.images.shape[1:], len(dataset.classes))
        self.image_format = FORMATS.get(run.recipe.memory_format) or choose_memory_format(
            run.arm.model,
            run.keywords,
            image_shape=dataset.images.shape[1:],
            classes=len(dataset.classes),
            device=device,
        )
        """The memory format of the image tensors that are passed to the network."""
        self.model: nn.Module = model.to(device, memory_format=self.image_format)  # type: ignore[call-overload]
        self.model.train()  # a user's own `train` can return None
        self._network = compile_network(self.model) if run.recipe.compile else self.model
        self._optimizer = _make_optimizer(run.recipe, self.model)
        self._smoothing, self._clip = run.recipe.label_smoothing, run.recipe.gradient_clip
        self._precision = run.recipe.precision
        self._augment = Augmentation(run.recipe.augmentation, run.seed)
        self._images, self._labels = dataset.images, dataset.labels
        self._loss_sum = torch.zeros((), device=device)
        self._correct = torch.zeros((), device=device)

    @property
    def memory_format(self) -> str:
        """The name of the image tensors' memory format: channels_last or contiguous."""
        return "channels_last" if self.image_format == torch.channels_last else "contiguous"

    def step(self, batch: Tensor) -> None:
        """Start a training step on the examples with indices `batch` `(b,)`.

        The call does not wait until the device has finished the step.
        """
        images = self._augment(self._images[batch]).contiguous(memory_format=self.image_format)
        labels = self._labels[batch]
        self._optimizer.zero_grad(set_to_none=True)
        with compute_in(self._precision, images.device):
            logits = self._network(images)
            loss = F.cross_entropy(logits, labels, label_smoothing=self._smoothing)
            # The recorded loss never includes label smoothing, so that the losses of arms can be compared.
            plain = F.cross_entropy(logits.detach(), labels) if self._smoothing else loss.detach()
        loss.backward()
        if self._clip:
            nn.utils.clip_grad_norm_(self._optimizer.param_groups[0]["params"], self._clip)
        self._optimizer.step()
        with torch.no_grad():
            self._loss_sum.add_(plain, alpha=len(batch))
            self._correct.add_((logits.argmax(1) == labels).sum())

    def set_rate(self, rate: float) -> None:
        """Use this learning rate in the following steps."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate

    def reset(self) -> None:
        """Set the running totals to zero."""
        self._loss_sum.zero_()
        self._correct.zero_()

    def totals(self) -> Tensor:
        """Return the summed loss and the number of correct predictions since the last reset, `(2,)`.

        The tensor is on the device.
        """
        return torch.stack([self._loss_sum, self._correct])

    def predict(self, images: Tensor) -> Tensor:
        """Compute the logits of `images` in evaluation mode, `(n, classes)` on the device."""
        with self.evaluating(images.device) as network:
            # Copy images and logits: a user's network can change its input, or return the same tensor for
            # every chunk.
            logits = [
                network(chunk.clone(memory_format=self.image_format)).clone()
                for chunk in images.split(EVALUATION_BATCH)
            ]
        return torch.cat(logits)

    @contextmanager
    def evaluating(self, device: torch.device) -> Iterator[nn.Module]:
        """Yield the network in evaluation mode, without gradients and with the precision of the recipe."""
        self.model.eval()
        try:
            with torch.inference_mode(), compute_in(self._precision, device):
                yield self._network
        finally:
            self.model.train()


def explain_loop_only(recipe: Recipe) -> str | None:
    """Say why only the torch loop can train with this recipe. None if other engines can, too."""
    if recipe.compile:
        return "the recipe compiles the network with torch.compile"
    if recipe.memory_format != "auto":
        return f"the recipe names the memory format {recipe.memory_format}"
    return None


def build_initial_model(run: Run, image_shape: Sequence[int], classes: int) -> nn.Module:
    """Build the run's untrained network on the CPU. The run's seed determines every parameter."""
    return models.build(
        run.arm.model,
        run.keywords,
        input_shape=image_shape,
        classes=classes,
        init=run.recipe.init,
        seed=run.seed,
    )


def _make_optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    # A fused optimiser needs only one kernel per step. Measured with Adam at batch size 32 on one core: with
    # `fused`, training runs at 7,400 examples/s; without `fused`, at 6,500 examples/s.
    parameters, rate, decay = model.parameters(), recipe.learning_rate, recipe.weight_decay
    momentum = recipe.momentum
    match recipe.optimizer:
        case "sgd":
            # torch refuses `nesterov` without momentum. Without momentum, `nesterov` would change nothing.
            nesterov = recipe.nesterov and momentum > 0
            return eager_optimizers.SGD(
                parameters, rate, momentum=momentum, weight_decay=decay, nesterov=nesterov, fused=True
            )
        case "adam":
            return eager_optimizers.Adam(parameters, rate, weight_decay=decay, fused=True)
        case "adamw":
            return eager_optimizers.AdamW(parameters, rate, weight_decay=decay, fused=True)
        case "rmsprop":  # torch has no fused version
            return eager_optimizers.RMSprop(parameters, rate, momentum=momentum, weight_decay=decay)
