"""The lanes engine trains networks like LeNet in C++ on one CPU core, with one example in each SIMD lane."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.engines.augmentation import CROP_PADDING, Augmentation, apply_draws
from ablate.engines.lanes_blocks import split_into_blocks, split_off_input_norm
from ablate.engines.lanes_library import PARTS, Examples, Optimizer, load_library
from ablate.engines.lanes_tables import Memory, describe_network
from ablate.engines.loop import build_initial_model, explain_loop_only
from ablate.engines.optimizers import RULES
from ablate.engines.training import NotCovered


def reason_against(run: Run, dataset: Dataset, device: torch.device) -> str | None:
    """Explain why this engine cannot train the run exactly as the torch loop would. Return None if it can.

    The first call that needs the C++ library compiles it, which takes some seconds.
    """
    if device.type != "cpu":
        return f"it runs on a CPU, not on {device.type}"
    if dataset.images.dtype != torch.float32 or not dataset.images.is_contiguous():
        return "the images are not contiguous float32"
    if run.recipe.precision != "float32":
        return f"it does not compute in {run.recipe.precision}"
    if reason := explain_loop_only(run.recipe):
        return reason
    if run.recipe.optimizer not in RULES:
        return f"it does not have the optimizer {run.recipe.optimizer}"
    _, network = split_off_input_norm(
        build_initial_model(run, dataset.images.shape[1:], len(dataset.classes))
    )
    try:
        split_into_blocks(network)
    except NotCovered as reason:
        return str(reason)
    compiled = load_library()
    return compiled if isinstance(compiled, str) else None


class LanesTrainer:
    """Trains a run's network. Each step is one C++ call, which updates the parameters in place."""

    name = "lanes"

    def __init__(self, run: Run, dataset: Dataset, device: torch.device) -> None:
        """Build the run's network from its seed, with the same initial parameters as the torch loop engine.

        Raises:
            ValueError: the engine cannot train the run. The message says why.
        """
        reason = reason_against(run, dataset, device)
        compiled = load_library()
        if reason is not None or isinstance(compiled, str):
            raise ValueError(f"the lanes engine cannot train this run: {reason}")
        self._library = compiled
        recipe = run.recipe
        image_shape = dataset.images.shape[1:]
        lanes = compiled.lanes()
        groups = -(-min(recipe.batch_size, len(dataset.images)) // lanes)
        self._capacity = groups * lanes
        self._memory = Memory(lanes)
        self.model = build_initial_model(run, image_shape, len(dataset.classes)).train()
        self._input_norm, network = split_off_input_norm(self.model)
        self._network, layers = describe_network(network, image_shape, groups, self._memory)
        self._layers = list(zip(layers, split_into_blocks(network), strict=True))
        self._optimizer = Optimizer(
            rule=RULES.index(recipe.optimizer),
            nesterov=recipe.nesterov,
            learning_rate=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
            gradient_clip=recipe.gradient_clip,
            label_smoothing=recipe.label_smoothing,
        )
        self._augment = Augmentation(recipe.augmentation, run.seed)
        self._images, self._labels = dataset.images, dataset.labels.contiguous()
        self._totals = torch.zeros(2, dtype=torch.float64)

    def step(self, batch: Tensor) -> None:
        """Make one optimiser step on the examples with indices `batch` `(b,)`.

        Raises:
            ValueError: the batch is empty or larger than the recipe's batch size, or it has too few examples
                for batch norm.
            IndexError: an index or a label is out of range. The step did not change the parameters.
        """
        if len(batch) > self._capacity:
            raise ValueError(f"a batch must have 1 to {self._capacity} examples, not {len(batch)}")
        _require_indices(batch)
        if len(batch) == 1 and any(block.norm and layer.pixels == 1 for layer, block in self._layers):
            raise ValueError("batch norm needs more than 1 value per channel when training")
        # `examples` contains only the addresses of the tensors. So these tensors must stay alive until the
        # C++ call returns.
        draws = self._augment.draw(len(batch))  # the torch loop engine draws the same random numbers
        if self._input_norm is None:
            examples = _describe_examples(self._images, self._labels, batch)
            shifts = None if draws.corners is None else draws.corners - CROP_PADDING
            examples.flipped = None if draws.flipped is None else draws.flipped.data_ptr()
            examples.corners = None if shifts is None else shifts.data_ptr()
            examples.brightness = None if draws.brightness is None else draws.brightness.data_ptr()
        else:
            # No gradient flows back to the images. So torch can change and normalise them before the call.
            images = apply_draws(self._images.index_select(0, batch), draws)
            labels = self._labels.index_select(0, batch)
            normed, everyone = self._input_norm(images).contiguous(), torch.arange(len(batch))
            examples = _describe_examples(normed, labels, everyone)
        masks = []
        for layer, block in self._layers:
            if block.dropout:
                # Draw the masks layer by layer from the run's random stream, as nn.Dropout does. They are
                # then equal to the masks of the torch loop engine.
                mask = torch.empty(len(batch), layer.outs).bernoulli_(1 - block.dropout)
                masks.append(mask.div_(1 - block.dropout))
                layer.dropout = masks[-1].data_ptr()
        totals = self._totals.data_ptr()
        _require_in_bounds(self._library.train_step(self._network, self._optimizer, examples, totals))

    def set_rate(self, rate: float) -> None:
        """Use this learning rate in the following steps."""
        self._optimizer.learning_rate = rate

    def time_parts(self, batches: Sequence[Tensor]) -> Tensor:
        """Make one step on each batch, and measure the parts of each step.

        Returns:
            The wall time of each step, layer and part of `PARTS` in nanoseconds, `(steps, layers, parts)`.
        """
        times = torch.zeros(len(batches), len(self._layers), len(PARTS), dtype=torch.int64)
        for batch, row in zip(batches, times, strict=True):
            self._network.nanoseconds = row.data_ptr()
            self.step(batch)
        self._network.nanoseconds = None
        return times

    def reset(self) -> None:
        """Set the running totals to zero."""
        self._totals.zero_()

    def totals(self) -> Tensor:
        """Return the summed loss and the number of correct predictions since the last reset, `(2,)`."""
        return self._totals.clone()

    def predict(self, images: Tensor) -> Tensor:
        """Compute the logits of these images in evaluation mode, `(n, classes)`."""
        if self._input_norm is not None:
            images = self._input_norm.eval()(images)
            self._input_norm.train()
        images, everyone = images.contiguous(), torch.arange(len(images))
        logits = torch.empty(len(images), self._network.classes)
        examples = _describe_examples(images, None, everyone)
        self._library.compute_logits(self._network, examples, logits.data_ptr())
        return logits


def _describe_examples(images: Tensor, labels: Tensor | None, batch: Tensor) -> Examples:
    # The result contains only the addresses of the tensors. So the caller must keep the tensors alive.
    return Examples(
        images=images.data_ptr(),
        labels=None if labels is None else labels.data_ptr(),
        count=len(images),
        batch=batch.data_ptr(),
        batch_size=len(batch),
    )


def _require_indices(batch: Tensor) -> None:
    if not len(batch) or batch.dtype != torch.int64 or not batch.is_contiguous():
        raise ValueError(
            f"a batch must be a non-empty contiguous int64 tensor, not {len(batch)} values of {batch.dtype}"
        )


def _require_in_bounds(in_bounds: int) -> None:
    if not in_bounds:
        raise IndexError("the batch has an index for which there is no image, or a label without a class")
