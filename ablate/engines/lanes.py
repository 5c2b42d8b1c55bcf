"""Trains the LeNet family on one CPU core by a C++ step whose SIMD lanes are examples; see lanes.cpp."""

import ctypes

import torch
from torch import Tensor

from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.engines.lanes_library import Examples, Optimizer, library
from ablate.engines.lanes_tables import Memory, blocks_of, network_of
from ablate.engines.loop import initial_model
from ablate.engines.training import NotCovered

RULES = ("sgd", "adam", "adamw")
"""Position is the number by which lanes.cpp knows them."""


def why_not(run: Run, dataset: Dataset, device: torch.device) -> str | None:
    """Why this engine does not train the run exactly as the loop would; None where it does.

    The first run that it could train has the library compiled, which takes some seconds once a machine.
    """
    if device.type != "cpu":
        return f"it runs on a CPU, not on {device.type}"
    if dataset.images.dtype != torch.float32 or not dataset.images.is_contiguous():
        return "the images are not contiguous float32"
    if run.recipe.augmentation != "none":
        return "it does not augment"
    try:
        blocks_of(initial_model(run, dataset.images.shape[1:], len(dataset.classes)))
    except NotCovered as reason:
        return str(reason)
    compiled = library()
    return compiled if isinstance(compiled, str) else None


class LanesTrainer:
    """A network whose parameters one C++ call a step updates in place."""

    name = "lanes"

    def __init__(self, run: Run, dataset: Dataset, device: torch.device) -> None:
        """The run's network as its seed makes it, parameter for parameter the loop's.

        Raises:
            ValueError: the engine does not cover the run, with the reason `why_not` gives.
        """
        reason = why_not(run, dataset, device)
        compiled = library()
        if reason is not None or isinstance(compiled, str):
            raise ValueError(f"the lanes engine leaves this run to the loop: {reason}")
        self._library = compiled
        recipe = run.recipe
        image_shape = dataset.images.shape[1:]
        lanes = compiled.lanes()
        groups = -(-min(recipe.batch_size, len(dataset.images)) // lanes)
        self._capacity = groups * lanes
        self._memory = Memory(lanes)
        self.model = initial_model(run, image_shape, len(dataset.classes)).train()
        self._network, layers = network_of(self.model, image_shape, groups, self._memory)
        self._layers = list(zip(layers, blocks_of(self.model), strict=True))
        self._optimizer = Optimizer(
            rule=RULES.index(recipe.optimizer),
            learning_rate=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        self._images, self._labels = dataset.images, dataset.labels.contiguous()
        self._totals = torch.zeros(2, dtype=torch.float64)

    def step(self, batch: Tensor) -> None:
        """One optimiser step on the examples of `batch`, indices `(b,)`.

        Raises:
            ValueError: no examples, or more than the recipe's batch size.
            IndexError: an index outside the images or a label outside the classes; nothing was trained.
        """
        if len(batch) > self._capacity:
            raise ValueError(f"a batch is 1 to {self._capacity} contiguous int64, not {len(batch)}")
        examples = _examples(self._images, self._labels, batch)
        masks = []
        for layer, block in self._layers:
            if block.dropout:
                # Drawn as nn.Dropout draws them, layer by layer from the run's stream: the loop's own masks.
                kept = torch.empty(len(batch), layer.outs).bernoulli_(1 - block.dropout)
                masks.append(kept.div_(1 - block.dropout))
                layer.dropout = masks[-1].data_ptr()
        totals = self._totals.data_ptr()
        _require(self._library.train_step(self._network, self._optimizer, examples, totals))

    def reset(self) -> None:
        """Begin new running totals."""
        self._totals.zero_()

    def totals(self) -> Tensor:
        """Summed loss and right guesses since the last reset, `(2,)`."""
        return self._totals.clone()

    def evaluate(self, images: Tensor, labels: Tensor) -> float:
        """The share of images whose highest logit is their label's."""
        images, labels, everyone = images.contiguous(), labels.contiguous(), torch.arange(len(labels))
        correct = ctypes.c_int64()
        examples = _examples(images, labels, everyone)
        _require(self._library.count_correct(self._network, examples, correct))
        return correct.value / len(labels)


def _examples(images: Tensor, labels: Tensor, batch: Tensor) -> Examples:
    # Holds addresses alone: the caller keeps the tensors alive.
    if not len(batch) or batch.dtype != torch.int64 or not batch.is_contiguous():
        raise ValueError(f"a batch is contiguous int64, at least one, not {len(batch)} {batch.dtype}")
    return Examples(
        images=images.data_ptr(),
        labels=labels.data_ptr(),
        count=len(images),
        batch=batch.data_ptr(),
        batch_size=len(batch),
    )


def _require(in_bounds: int) -> None:
    if not in_bounds:
        raise IndexError("the batch names an image that is not there or a label that is no class")
