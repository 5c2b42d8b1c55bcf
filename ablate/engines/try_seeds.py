"""Test a user's network: do equal seeds give equal results, and do different seeds give different results?"""

import functools
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.devices.precision import compute_in
from ablate.engines.loop import LoopTrainer
from ablate.errors import ModelError
from ablate.formatting import format_list
from ablate.models.own import call_foreign
from ablate.models.own_networks import CHECKED_IMAGES
from ablate.seeds import read_streams, seeded_streams

FURTHER_PASSES = 16
"""The number of additional forward passes in each mode (training and evaluation).

Some networks draw random numbers only after several passes. For a LeNet, all passes together take 25 ms of
processor time.
"""


class Attempt:
    """A network that was built for a run but not yet trained, and all logits that the network returns."""

    def __init__(self, run: Run, trainer: LoopTrainer) -> None:
        """Copy the initial parameters, and start to record the logits of each pass."""
        self.run = run
        self.trainer = trainer
        self.start = {name: tensor.detach().clone() for name, tensor in trainer.model.named_parameters()}
        self.logits: list[Tensor] = []
        trainer.model.register_forward_hook(self._note)

    def _note(self, _network: object, _given: object, output: object) -> None:
        if isinstance(output, Tensor):
            self.logits.append(output.detach().clone())


def pass_again(attempt: Attempt, dataset: Dataset, passes: int = FURTHER_PASSES) -> dict[str, bytes]:
    """Pass images through the network `passes` times in each mode, without changing its parameters.

    Returns:
        The states of the global random generators after the passes in training mode. Each key is the name of
        the function that seeds the generator.

    Raises:
        ModelError: a pass failed.
    """
    run, trainer, device = attempt.run, attempt.trainer, dataset.images.device
    chosen = torch.arange(CHECKED_IMAGES, device=device) % len(dataset.labels)
    images = dataset.images[chosen]
    with seeded_streams(run.seed, "passes", device):
        for _ in range(passes):
            copy = images.clone(memory_format=trainer.image_format)
            with compute_in(run.recipe.precision, device):
                call_foreign(run.arm.model, functools.partial(trainer.model, copy))
        states = read_streams()
    with seeded_streams(run.seed, "evaluation", device):
        for _ in range(passes):
            call_foreign(run.arm.model, functools.partial(trainer.predict, images))
    return states


def require_same_numbers(first: Attempt, again: Attempt, *, exact: bool) -> None:
    """Require that two networks with the same seed are equal at the start, in training and in evaluation.

    If `exact` is False, the function compares only the initial parameters. This is used on a GPU, because the
    results of training can differ there by rounding.

    Raises:
        ModelError: two numbers differ that should be equal.
    """
    name = _find_difference(first.start, again.start)
    when = "when it is built again"
    if exact and name is None:
        ends = [dict(one.trainer.model.state_dict()) for one in (first, again)]
        name, when = _find_difference(*ends), "when it is built and trained again"
    if exact and name is None:
        equal = len(first.logits) == len(again.logits) and all(map(_are_equal, first.logits, again.logits))
        name, when = None if equal else "its logits", "when it is built, trained and evaluated again"
    if name is not None:
        raise ModelError(
            "model",
            f"{first.run.arm.model} gives different numbers in {name} {when} with the same seed: draw random "
            "numbers only from the global generators of random, numpy or torch, and change no default value",
        )


def list_cautions(attempt: Attempt, dataset: Dataset) -> tuple[str, ...]:
    """Write one warning for each kind of random numbers that do not depend on the seed.

    The two kinds are the initial weights, and the numbers that the forward pass draws.

    Raises:
        ModelError: the network cannot be built or used with another seed.
    """
    model = attempt.run.arm.model
    other_run = replace(attempt.run, seed=attempt.run.seed + 1)
    other = Attempt(other_run, LoopTrainer(other_run, dataset, dataset.images.device))
    cautions = []
    if _start_equal(attempt.start, other.start):
        cautions.append(
            f"{model} starts from the same weights at every seed, so the seed changes only the split and "
            "order of the images: remove calls such as torch.manual_seed from its code, unless the code "
            "loads these weights on purpose"
        )
    ends = [pass_again(one, dataset, passes=1) for one in (attempt, other)]
    if reset := [name for name in ends[0] if ends[0][name] == ends[1][name]]:
        cautions.append(
            f"{model} calls {format_list(reset)} in its forward pass, so it draws the same random numbers at "
            "every step of every seed: remove the call"
        )
    return tuple(cautions)


def _find_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> str | None:
    """Find the name of the first tensor that differs. Return None if all tensors are equal."""
    if list(one) != list(other):
        return next((name for name in one if name not in other), "the order of its layers")
    return next((name for name in one if not _are_equal(one[name], other[name])), None)


def _are_equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have equal shapes and values. NaN counts as equal to NaN."""
    return one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all())


def _start_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether all randomly initialised parameters of two networks are equal.

    A parameter counts as randomly initialised if its values differ. The weights of batch norm, for example,
    are all 1 at the start.
    """
    varied = set(_list_varied(one))
    return bool(varied) and list(one) == list(other) and all(_are_equal(one[k], other[k]) for k in varied)


def _list_varied(tensors: dict[str, Tensor]) -> Iterator[str]:
    """Yield the names of the tensors that have at least two different values."""
    for name, tensor in tensors.items():
        if tensor.numel() > 1 and bool((tensor != tensor.flatten()[0]).any()):
            yield name
