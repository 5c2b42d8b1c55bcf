"""Try a run before the study starts: make one training step for each batch size, and an evaluation."""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ablate import models
from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.devices.device import is_accelerator
from ablate.devices.precision import explain_missing
from ablate.engines.compiling import is_compiler_error
from ablate.engines.loop import EVALUATION_BATCH, LoopTrainer
from ablate.engines.try_seeds import Attempt, list_cautions, pass_again, require_same_numbers
from ablate.errors import ModelError, format_error
from ablate.formatting import format_count
from ablate.models.own import call_foreign
from ablate.models.own_networks import require_logits
from ablate.seeds import derive_seed, seeded_streams
from ablate.torch_settings import keep_torch_settings


def try_out(run: Run, dataset: Dataset, *, examples: int, evaluated: tuple[int, ...]) -> tuple[str, ...]:
    """Find out whether a run can train: make one step for each of its batch sizes, and evaluate.

    One step uses a full batch. If the last batch of an epoch is smaller, another step uses a batch of this
    smaller size.

    A user's network is built and trained twice with one seed, to find out whether equal seeds give equal
    results. The network is also built with another seed, to find out whether the seed changes anything.

    Args:
        run: the run to try.
        dataset: the run's data set, or random images of the same shape, on the device that will train.
        examples: the number of examples in an epoch. This number determines the size of the last batch.
        evaluated: the number of images in each evaluation of the run.

    Returns:
        Warnings about random numbers that are the same at every seed. Each warning is one sentence.

    Raises:
        ModelError: the run would fail. The error's `keyword` names the key of the study file to change, such
            as `model` or `recipe.batch_size`.
    """
    device, model = dataset.images.device, run.arm.model
    if reason := explain_missing(run.recipe.precision, device):
        raise ModelError("recipe.precision", f"{reason}: write precision: float32 or bfloat16")
    cautions: tuple[str, ...] = ()
    with keep_torch_settings():
        first = _try_training(run, dataset, examples)
        if model not in models.MODELS:
            pass_again(first, dataset)
            again = _try_training(run, dataset, examples)
            pass_again(again, dataset)
            _require_own_parameters(run, first.trainer.model, again.trainer.model)
            require_same_numbers(first, again, exact=not is_accelerator(device))
            cautions = list_cautions(again, dataset)
        with seeded_streams(run.seed, "evaluation", device):
            for count in sorted({size for n in evaluated for size in _list_sizes(n, EVALUATION_BATCH)}):
                chosen = torch.arange(count, device=device) % len(dataset.labels)
                call_foreign(model, functools.partial(first.trainer.predict, dataset.images[chosen]))
    return cautions


def _try_training(run: Run, dataset: Dataset, examples: int) -> Attempt:
    """Build the run's network, and train one step on a batch of each size that the run has."""
    device, model = dataset.images.device, run.arm.model
    generator = torch.Generator().manual_seed(derive_seed(run.seed, "try-out"))
    order = torch.randperm(len(dataset.labels), generator=generator)
    attempt = Attempt(run, LoopTrainer(run, dataset, device))
    trainer = attempt.trainer
    trainer.model.register_forward_hook(functools.partial(_check_output, model, len(dataset.classes)))
    first, *last = _list_sizes(examples, run.recipe.batch_size)
    with seeded_streams(run.seed, "dropout", device):
        _require_compiler(run, lambda: trainer.step(order[torch.arange(first) % len(order)].to(device)))
        loss = trainer.totals()[0].item()
        if not math.isfinite(loss):
            raise ModelError(
                "model", f"{model} has a loss of {loss} on its first batch, before any step: correct its code"
            )
        for size in last:
            try:
                call_foreign(model, functools.partial(trainer.step, order[:size].to(device)))
            except ModelError as error:
                raise ModelError(
                    "recipe.batch_size",
                    f"the last batch has {format_count(size, 'image')} ({examples:,} images in batches of "
                    f"{first:,}) and fails: {error}: choose another batch_size, or write drop_last: true",
                ) from None
    return attempt


def _require_compiler(run: Run, step: Callable[[], None]) -> None:
    """Make a step. If torch cannot compile the network, name the key `compile`, and not the network."""
    try:
        call_foreign(run.arm.model, step)
    except ModelError as error:
        cause = error.__context__
        if run.recipe.compile and cause is not None and is_compiler_error(cause):
            told = f"torch.compile failed ({format_error(cause)}): write compile: false"
            raise ModelError("recipe.compile", told) from None
        raise


def _list_sizes(examples: int, batch_size: int) -> list[int]:
    """List the different batch sizes of an epoch. The size of the first batch comes first."""
    sizes = (min(batch_size, examples), examples % batch_size)
    return [size for size in dict.fromkeys(sizes) if size]


def _check_output(model: str, classes: int, network: nn.Module, given: tuple[Tensor], output: Any) -> None:
    """Require that `output` has logits for the images in `given`. This function is a forward hook."""
    require_logits(model, output, len(given[0]), classes, training=network.training)
    if not network.training and not output.isfinite().all():
        raise ModelError("model", f"{model} gives NaN or infinity as logits in evaluation: correct its code")


def _require_own_parameters(run: Run, first: nn.Module, second: nn.Module) -> None:
    """Require that two networks of one arm have no parameter or buffer in common.

    Otherwise, all runs would train one network.
    """
    both = [{id(tensor) for tensor in (*one.parameters(), *one.buffers())} for one in (first, second)]
    if both[0] & both[1]:
        raise ModelError(
            "model",
            f"{run.arm.model} gives the same parameters each time it is called, so all runs would train one "
            "network: build new layers in each call",
        )
