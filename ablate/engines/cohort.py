"""The cohort engine trains many runs of one architecture at once. Each run trains as if it were alone."""

import json
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate import models
from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.devices import graphs
from ablate.devices.device import choose_wide_dtype
from ablate.devices.precision import use_precision
from ablate.engines.augmentation import Augmentation, Draws, apply_draws
from ablate.engines.loop import build_initial_model, explain_loop_only
from ablate.engines.optimizers import RULES, Optimizer
from ablate.engines.replicas import Replicas
from ablate.engines.schedules import is_scheduled
from ablate.engines.training import NotCovered, list_marks
from ablate.seeds import derive_seed

STEPS_PER_GRAPH = 8
"""The number of training steps in one recorded graph. One launch starts the whole graph, which saves time."""
WARM_UP_STEPS = 3
EVALUATED_AT_ONCE = 8_192
"""The number of images in one evaluation step, for all networks of the cohort together.

A training step with 32 places and batches of 256 has the same number of images.
"""


def reason_against(run: Run, dataset: Dataset) -> str | None:
    """Explain why this engine cannot train the run exactly as the torch loop would. Return None if it can.

    Dropout masks are an exception: each engine draws them with the same probability, but from its own random
    stream.
    """
    if run.recipe.precision == "bfloat16":
        return "it does not compute in bfloat16"
    if reason := explain_loop_only(run.recipe):
        return reason
    if run.recipe.optimizer not in RULES:
        return f"it does not have the optimizer {run.recipe.optimizer}"
    try:
        Replicas(build_initial_model(run, dataset.images.shape[1:], len(dataset.classes)), 1)
    except NotCovered as reason:
        return str(reason)
    return None


def make_cohort_key(run: Run) -> str:
    """Make a string from all settings that must be equal within a cohort.

    Runs with equal strings can train in one cohort.
    """
    recipe = run.recipe
    return json.dumps(
        [
            run.phase,
            run.arm.model,
            {**models.read_keywords(run.arm.model), **run.keywords},
            [
                recipe.optimizer,
                recipe.batch_size,
                recipe.train_images,
                recipe.augmentation,
                recipe.input_size,
                recipe.drop_last,
                recipe.precision,
                is_scheduled(recipe),
                recipe.nesterov,
                recipe.label_smoothing > 0,
                recipe.gradient_clip > 0,
            ],
        ],
        sort_keys=True,
    )


class Cohort:
    """A fixed number of places for networks of one architecture. All places make each training step together.

    If the number of places changes, matrix products on a GPU can add numbers in another order. Then results
    can differ by rounding. So the number is fixed, and it is part of the engine's name in the records. In an
    empty place, all parameters and the learning rate are zero.

    All values that differ between runs are stored in tensors. So one recorded step can train all runs.
    """

    def __init__(self, like: Run, dataset: Dataset, *, examples: int, places: int) -> None:
        """Make empty places for runs. `make_cohort_key` must return the same for each run as for `like`.

        An epoch of each run has `examples` examples.

        Raises:
            NotCovered: the engine cannot train such runs. The exception's text is the reason.
        """
        self._images, self._labels = dataset.images, dataset.labels
        self._classes = len(dataset.classes)
        self._device = dataset.images.device
        model = build_initial_model(like, dataset.images.shape[1:], self._classes)
        self._model = model.to(dataset.images.dtype)
        self._replicas = Replicas(self._model, places)
        self.parameters = dataset.images.new_zeros(places, self._replicas.size)
        self._optimizer = Optimizer(like.recipe, self.parameters)
        self._seeds = torch.zeros(places, 1, dtype=torch.int64, device=self._device)
        self._batch_size = min(like.recipe.batch_size, examples)
        self._full_batches, self._rest = divmod(examples, self._batch_size)
        self.marks = list_marks(examples, self._batch_size)
        self._order = torch.zeros(places, examples, dtype=torch.int64, device=self._device)
        draws = Augmentation(like.recipe.augmentation, like.seed).draw(examples)
        self._flipped = None if draws.flipped is None else torch.zeros_like(self._order, dtype=torch.bool)
        self._corners = None if draws.corners is None else torch.zeros_like(self._order).repeat(2, 1, 1)
        brightness = torch.zeros_like(self._order, dtype=torch.float32)
        self._brightness = None if draws.brightness is None else brightness
        smoothing = self.parameters.new_zeros(places, 1)
        self._smoothing = smoothing if like.recipe.label_smoothing else None
        batches = self._full_batches + (self._rest > 0)
        rates = self.parameters.new_zeros(places, batches)
        self._rates = rates if is_scheduled(like.recipe) else None
        self._position = torch.zeros((), dtype=torch.int64, device=self._device)
        self._precision = like.recipe.precision
        self._columns = torch.arange(self._batch_size, device=self._device)
        self._totals = torch.zeros(places, 2, dtype=choose_wide_dtype(self._device), device=self._device)
        use_precision(self._precision)
        self._graphs = self._record_graphs() if graphs.can_record(self._device) else {}

    def seat(self, place: int, run: Run) -> None:
        """Put a run into a place: copy its initial parameters there, and reset the place's optimiser."""
        model = build_initial_model(run, self._images.shape[1:], self._classes)
        self.parameters[place] = torch.cat([p.detach().flatten() for p in model.parameters()]).to(
            self.parameters
        )
        self._optimizer.reset(place, run.recipe)
        if self._smoothing is not None:
            self._smoothing[place] = run.recipe.label_smoothing
        self._seeds[place] = derive_seed(run.seed, "dropout")

    def vacate(self, place: int) -> None:
        """Empty a place: set its parameters and learning rates to zero."""
        self.parameters[place] = 0
        self._optimizer.reset(place, None)
        if self._rates is not None:
            self._rates[place] = 0

    def load(self, place: int, order: Tensor, draws: Sequence[Draws], rates: Sequence[float] = ()) -> None:
        """Load the examples, random numbers and rates that a place needs for its next epoch.

        Args:
            place: the number of the place.
            order: the indices of the epoch's examples, in the order of training, `(examples,)`.
            draws: each batch's random numbers for augmentation.
            rates: each batch's learning rate. It is read only if the recipe changes the rate during a run.
        """
        self._order[place] = order.to(self._device)
        if self._rates is not None:
            self._rates[place] = self._rates.new_tensor(rates)
        if self._flipped is not None:
            flipped = [batch.flipped for batch in draws if batch.flipped is not None]
            self._flipped[place] = torch.cat(flipped).to(self._device)
        if self._corners is not None:
            corners = [batch.corners for batch in draws if batch.corners is not None]
            self._corners[:, place] = torch.cat(corners, dim=1).to(self._device)
        if self._brightness is not None:
            factors = [batch.brightness for batch in draws if batch.brightness is not None]
            self._brightness[place] = torch.cat(factors).to(self._device)

    def epoch(self) -> Tensor:
        """Train one epoch in every place.

        Returns:
            A tensor `(marks, places, 2)`. For each of the `marks` and each place, it has the summed loss and
            the number of correct predictions since the start of the epoch.
        """
        self._position.zero_()
        self._totals.zero_()
        readings = []
        done = 0
        for batches, _ in self.marks:
            full = min(batches, self._full_batches)
            self.train(full - done, self._batch_size)
            self.train(batches - full, self._rest)
            done = full
            readings.append(self._totals.clone())
        return torch.stack(readings)  # `stack` does not wait for the device, which can still be working

    def train(self, steps: int, size: int) -> None:
        """Make `steps` training steps of the network in every place.

        Each step uses the next `size` examples of the run in this place.
        """
        use_precision(self._precision)
        while steps:
            at_once = STEPS_PER_GRAPH if steps >= STEPS_PER_GRAPH else 1
            if self._graphs:
                self._graphs[size, at_once].replay()
            else:
                self._repeat(size, at_once)
            steps -= at_once

    def predict(self, images: Tensor, indices: Tensor) -> Tensor:
        """Compute the logits in evaluation mode, `(places, n, classes)`.

        `indices`, `(places, n)`, selects each place's images from `images`.
        """
        places, size = len(indices), max(1, EVALUATED_AT_ONCE // len(indices))
        logits = self.parameters.new_empty(*indices.shape, self._classes)
        use_precision(self._precision)
        with torch.inference_mode():
            for part, into in zip(indices.split(size, dim=1), logits.split(size, dim=1), strict=True):
                chosen_images = images.index_select(0, part.flatten()).unflatten(0, (places, -1))
                into.copy_(self._replicas(self.parameters, chosen_images))
        return logits

    def state(self, place: int) -> dict[str, Tensor]:
        """Return a copy of a place's parameters on the CPU, as a `state_dict` of the model."""
        row = self.parameters[place].cpu()
        torch.nn.utils.vector_to_parameters(row, self._model.parameters())
        return {name: tensor.clone() for name, tensor in self._model.state_dict().items()}

    def _step(self, size: int) -> None:
        """Make one training step in every place, on the place's next `size` examples.

        No value is copied to the CPU, so that the device's graphs can record the step.
        """
        columns = self._position + self._columns[:size]
        batch = self._order.index_select(1, columns).flatten()
        draws = Draws(
            flipped=None if self._flipped is None else self._flipped.index_select(1, columns).flatten(),
            corners=None if self._corners is None else self._corners.index_select(2, columns).flatten(1),
            brightness=None if (b := self._brightness) is None else b.index_select(1, columns).flatten(),
        )
        images = apply_draws(self._images.index_select(0, batch), draws)
        labels = self._labels.index_select(0, batch)
        # Autograd binds a leaf tensor to the CUDA stream of its first use. So each step makes a new leaf.
        parameters = self.parameters.detach().requires_grad_()
        places = len(parameters)
        stream = self._seeds, self._optimizer.steps
        logits = self._replicas(parameters, images.unflatten(0, (places, size)), stream)
        losses = F.cross_entropy(logits.flatten(0, 1), labels, reduction="none").view(places, size).mean(1)
        smoothed = losses if self._smoothing is None else smooth(losses, logits, self._smoothing)
        (gradient,) = torch.autograd.grad(smoothed.sum(), parameters)
        self._optimizer.step(gradient, self._find_rates(columns))
        with torch.no_grad():
            right = (logits.argmax(2) == labels.view(places, size)).sum(1)
            self._totals.add_(torch.stack([losses.to(self._totals) * size, right.to(self._totals)], dim=1))
            self._position.add_(size)

    def _find_rates(self, columns: Tensor) -> Tensor | None:
        """Find each place's learning rate for a batch, `(places, 1)`. Return None if rates never change.

        `columns` has the positions of the batch's examples in the epoch.
        """
        if self._rates is None:
            return None
        return self._rates.index_select(1, columns[:1] // self._batch_size)

    def _record_graphs(self) -> dict[tuple[int, int], graphs.Graph]:
        """Record the graphs of training steps.

        Recording executes training steps. All places are still empty, so these steps change no run.

        Returns:
            A dict that maps a batch size and a number of steps to a graph.
        """
        sizes = [self._batch_size] * (self._full_batches > 0) + [self._rest] * (self._rest > 0)
        wanted = [(size, 1) for size in sizes]
        if self._full_batches >= STEPS_PER_GRAPH:
            wanted.append((self._batch_size, STEPS_PER_GRAPH))

        def warm_up() -> None:
            for size in sizes:
                self._repeat(size, WARM_UP_STEPS, restart=True)

        bodies = {(size, count): partial(self._repeat, size, count) for size, count in wanted}
        return graphs.record(self._device, warm_up, bodies)

    def _repeat(self, size: int, count: int, *, restart: bool = False) -> None:
        """Make `count` training steps. With `restart`, every step uses the first batch of the epoch."""
        for _ in range(count):
            if restart:
                self._position.zero_()
            self._step(size)


def smooth(losses: Tensor, logits: Tensor, smoothing: Tensor) -> Tensor:
    """Compute each place's mean cross-entropy with smoothed labels, `(places,)`, as F.cross_entropy does.

    Args:
        losses: each place's mean cross-entropy without smoothing, `(places,)`.
        logits: each place's logits, `(places, b, classes)`.
        smoothing: each place's `label_smoothing`, `(places, 1)`.
    """
    shares = smoothing.flatten()
    return (1 - shares) * losses - shares * logits.log_softmax(2).mean((1, 2))
